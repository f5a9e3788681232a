'use strict';
// One case of npm's ssh2 against a running server; exits 0 and prints one line of figures, or throws.
// Usage: node client.js CASE HOST PORT USER IDENTITY KNOWN_HOSTS
const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { promisify } = require('node:util');
const { Client } = require('ssh2');

const [name, host, port, username, identity, knownHosts] = process.argv.slice(2);
const keys = fs.readFileSync(knownHosts, 'utf8').split('\n').map((line) => line.split(' ')[2]);

function connect(options = {}) {
  const client = new Client();
  return new Promise((resolve, reject) => {
    client.on('ready', () => resolve(client)).on('error', reject).connect({
      host,
      port: Number(port),
      username,
      privateKey: fs.readFileSync(identity),
      hostVerifier: (key) => keys.includes(key.toString('base64')),
      ...options,
    });
  });
}

// Listens within the callback: what follows in the same segment is told before a promise would be.
function exec(client, command, stdin = '', options = {}) {
  return new Promise((resolve, reject) => {
    client.exec(command, options, (error, channel) => {
      if (error) {
        reject(error);
        return;
      }
      const out = [];
      const err = [];
      let exit;
      channel.on('data', (data) => out.push(data));
      channel.stderr.on('data', (data) => err.push(data));
      channel.on('exit', (code, signal) => { exit = { code, signal }; });
      channel.on('close', () => {
        resolve({ ...exit, out: Buffer.concat(out), err: Buffer.concat(err).toString() });
      });
      channel.end(stdin);
    });
  });
}

const digest = (data) => crypto.createHash('sha256').update(data).digest('hex');

/** Sends `data` into `stream` and yields what an echo at its other end sends back. */
async function echoed(stream, data) {
  const back = [];
  stream.on('data', (chunk) => back.push(chunk));
  stream.end(data);
  await once(stream, 'end');
  return Buffer.concat(back);
}

async function echoServer(where) {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  server.listen(where);
  await once(server, 'listening');
  server.unref();
  return server;
}

const cases = {
  async exec() {
    const client = await connect();
    let done = await exec(client, 'echo out; echo err >&2; exit 42');
    assert.deepStrictEqual([done.code, done.out.toString(), done.err], [42, 'out\n', 'err\n']);
    done = await exec(client, 'kill -TERM $$');
    assert.match(String(done.signal), /TERM/);
    const binary = crypto.randomBytes(3_000_000);
    done = await exec(client, 'cat', binary);
    assert.strictEqual(digest(done.out), digest(binary));
    done = await exec(client, 'stty size; echo $TERM', '', { pty: { rows: 33, cols: 111, term: 'vt100' } });
    assert.strictEqual(done.out.toString(), '33 111\r\nvt100\r\n');
    client.end();
    return 'exit status, signal, 3 MB of stdin, pty';
  },

  async sftp() {
    const client = await connect();
    const sftp = await promisify(client.sftp.bind(client))();
    const local = fs.mkdtempSync(path.join(os.tmpdir(), 'podssh-ssh2-'));
    try {
      const [up, down] = ['up', 'down'].map((file) => path.join(local, file));
      fs.writeFileSync(up, crypto.randomBytes(50 << 20));
      const call = (method, ...args) => promisify(sftp[method].bind(sftp))(...args);
      const start = Date.now();
      await call('mkdir', '.claude');
      await call('fastPut', up, '.claude/remote.part');
      const put = Date.now() - start;
      await call('chmod', '.claude/remote.part', 0o755);
      await call('ext_openssh_rename', '.claude/remote.part', '.claude/remote');
      const stat = await call('stat', '.claude/remote');
      assert.strictEqual(stat.mode & 0o777, 0o755);
      await call('fastGet', '.claude/remote', down);
      const get = Date.now() - start - put;
      assert.strictEqual(digest(fs.readFileSync(down)), digest(fs.readFileSync(up)));
      const names = (await call('readdir', '.claude')).map((entry) => entry.filename);
      assert.ok(names.includes('remote') && !names.includes('remote.part'), names.join());
      await assert.rejects(call('stat', 'nowhere'), { code: 2 });
      client.end();
      return `fastPut of 50 MiB in ${put} ms, fastGet in ${get} ms`;
    } finally {
      fs.rmSync(local, { recursive: true });
    }
  },

  async forward() {
    const client = await connect();
    const data = crypto.randomBytes(20 << 20);
    const start = Date.now();
    const tcp = await echoServer({ host: '127.0.0.1', port: 0 });
    const out = promisify(client.forwardOut.bind(client));
    const stream = await out('127.0.0.1', 0, 'localhost', tcp.address().port);
    assert.strictEqual(digest(await echoed(stream, data)), digest(data));
    const took = Date.now() - start;

    // The way back: the server listens, the client answers.
    client.on('tcp connection', (_details, accept) => { const back = accept(); back.pipe(back); });
    const bound = await promisify(client.forwardIn.bind(client))('127.0.0.1', 0);
    const socket = net.connect({ host: '127.0.0.1', port: bound, allowHalfOpen: true });
    await once(socket, 'connect');
    assert.strictEqual(digest(await echoed(socket, data.subarray(0, 5 << 20))), digest(data.subarray(0, 5 << 20)));
    await promisify(client.unforwardIn.bind(client))('127.0.0.1', bound);

    // Unix sockets, in the workspace's own file system.
    const remote = (await exec(client, 'mktemp -d')).out.toString().trim();
    client.on('unix connection', (_details, accept) => { const back = accept(); back.pipe(back); });
    const listen = promisify(client.openssh_forwardInStreamLocal.bind(client));
    await listen(`${remote}/socket`);
    const local = promisify(client.openssh_forwardOutStreamLocal.bind(client));
    const unix = await local(`${remote}/socket`);
    assert.strictEqual((await echoed(unix, Buffer.from('by way of a socket'))).toString(), 'by way of a socket');
    await exec(client, `rm -r ${remote}`);
    client.end();
    return `20 MiB there and back in ${took} ms; forwardIn, unix sockets`;
  },

  async execs() {
    // The ssh2 of an agent host: keepalives all the time, many short commands at once.
    let answers = 0;
    const debug = (line) => { answers += /Inbound: Received REQUEST_FAILURE/.test(line) ? 1 : 0; };
    const client = await connect({ keepaliveInterval: 50, keepaliveCountMax: 40, debug });
    const start = Date.now();
    const numbers = Array.from({ length: 200 }, (_, number) => number);
    const worker = async () => {
      for (let number = numbers.pop(); number !== undefined; number = numbers.pop()) {
        const done = await exec(client, `echo ${number}; exit ${number % 200}`);
        assert.deepStrictEqual([done.code, done.out.toString()], [number % 200, `${number}\n`]);
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    const took = Date.now() - start;
    // Idle but for keepalives, each of which must be answered or ssh2 hangs up.
    const already = answers;
    const deadline = Date.now() + 30_000;
    while (answers < already + 10 && Date.now() < deadline) await exec(client, 'sleep 0.05');
    assert.ok(answers >= already + 10, `${answers} keepalives answered`);
    client.end();
    return `200 execs, 16 at a time, in ${took} ms; ${answers} keepalives answered`;
  },
};

cases[name]().then(
  (figures) => { console.log(figures); process.exit(0); },
  (error) => { console.error(error); process.exit(1); },
);
