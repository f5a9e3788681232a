'use strict';
// Loads VS Code's page in headless Chromium and works in it as a person does: waits for the workbench,
// opens a terminal by its key, types a line. Exits 0 and prints the page's title, or says what is wrong.
// Usage: node page.js URL SCREENSHOT LINE
const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const WebSocket = require('ws');

const [url, screenshot, line] = process.argv.slice(2);
const PATIENCE = 90_000;

async function eventually(what, look) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE} ms: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

/** One page, by Chromium's debugging protocol. */
class Page {
  static async connect(address) {
    const page = new Page();
    page.answers = new Map();
    page.socket = new WebSocket(address, { perMessageDeflate: false });
    page.socket.on('message', (text) => {
      const message = JSON.parse(text);
      if (message.method === 'Runtime.consoleAPICalled' && message.params.type === 'error') {
        console.error('page:', ...message.params.args.map((arg) => arg.value ?? arg.description));
      }
      page.answers.get(message.id)?.(message);
    });
    await once(page.socket, 'open');
    await page.send('Runtime.enable');
    await page.send('Page.enable');
    return page;
  }

  send(method, params = {}) {
    const id = this.answers.size + 1;
    return new Promise((resolve, reject) => {
      this.answers.set(id, ({ result, error }) => (error ? reject(new Error(error.message)) : resolve(result)));
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  async evaluate(expression) {
    const { result } = await this.send('Runtime.evaluate', { expression, returnByValue: true });
    return result.value;
  }

  async key(key, code, keyCode, modifiers = 0) {
    const event = { key, code, windowsVirtualKeyCode: keyCode, modifiers };
    await this.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', ...event });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  }

  async shoot(file) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }
}

async function work(page) {
  await page.send('Page.navigate', { url });
  const has = (selector) => page.evaluate(`!!document.querySelector(${JSON.stringify(selector)})`);
  await eventually('the workbench', () => has('.monaco-workbench .part.statusbar .statusbar-item'));
  await eventually('the explorer', () => has('.monaco-workbench .explorer-viewlet'));
  const CONTROL = 2;
  await eventually('a terminal', async () => {
    if (await has('.terminal-wrapper .xterm-helper-textarea')) return true;
    await page.key('`', 'Backquote', 192, CONTROL);
    await new Promise((resolve) => { setTimeout(resolve, 2000); });
    return has('.terminal-wrapper .xterm-helper-textarea');
  });
  // Its shell's prompt: something is on the screen, then the line can be typed.
  await eventually('the shell', () => page.evaluate(
    '[...document.querySelectorAll(".terminal-wrapper .xterm-helper-textarea")].some((area) => area === document.activeElement)',
  ));
  await page.send('Input.insertText', { text: line });
  await page.key('Enter', 'Enter', 13);
  const title = await page.evaluate('document.title');
  assert.match(title, /code-server|Visual Studio Code/);
  return title;
}

async function main() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'podssh-page-'));
  const chromium = spawn('chromium', [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
    '--window-size=1280,800', '--no-proxy-server', '--remote-debugging-port=0', `--user-data-dir=${directory}`, 'about:blank',
  ], { stdio: ['ignore', 'ignore', fs.openSync(path.join(directory, 'log'), 'w')] });
  try {
    const file = path.join(directory, 'DevToolsActivePort');
    const port = await eventually('Chromium', () => fs.existsSync(file) && fs.readFileSync(file, 'utf8').split('\n')[0]);
    const targets = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
    const page = await Page.connect(targets.find((target) => target.type === 'page').webSocketDebuggerUrl);
    try {
      console.log(await work(page));
    } finally {
      await page.shoot(screenshot);
    }
  } finally {
    const gone = once(chromium, 'exit');
    chromium.kill();
    await gone;
    fs.rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
