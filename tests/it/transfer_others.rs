//! Files and commands by everybody else's clients: sshfs, PuTTY, dropbear, paramiko, asyncssh, lftp,
//! rclone.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::unistd::close;
use tempfile::TempDir;

use crate::bare::{Place, text};
use crate::harness::daemon::{Daemon, user};
use crate::harness::process::{Background, PATIENCE, run};
use crate::{python, said};

fn port(daemon: &Daemon) -> &str {
    daemon.address.rsplit_once(':').expect("HOST:PORT").1
}

#[track_caller]
fn finished(command: &mut Command) -> Output {
    run(command, b"", PATIENCE)
}

/// Unmounts on drop.
struct Mounted(TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut command = Command::new("fusermount3");
        command.args(["-u", "-z"]).arg(self.0.path());
        command.status().ok();
    }
}

#[test]
fn sshfs_mounts_the_home() {
    assert!(
        Path::new("/dev/fuse").exists(),
        "NOT RUN: there is no /dev/fuse here, so sshfs cannot mount; give the machine FUSE"
    );
    let daemon = Daemon::start(|_| ());
    let mount = Mounted(tempfile::tempdir().expect("a temp dir"));
    let mut command = Command::new("sshfs");
    command.args(["workspace:", text(mount.0.path()), "-F"]);
    command.arg(&daemon.client.config);
    said::ok(&finished(&mut command));
    let (there, here) = (daemon.home(), mount.0.path());
    let data = said::noise(5_000_000);
    fs::create_dir(here.join("d")).expect("mkdir");
    // sshfs tells at the close what became of the writes, which `fs::write` would not.
    let mut file = fs::File::create(here.join("d/file")).expect("create");
    file.write_all(&data).expect("write");
    close(file).expect("every write was carried out");
    let arrived = fs::read(there.join("d/file")).expect("it");
    let same = arrived
        .iter()
        .zip(&data)
        .take_while(|(a, b)| a == b)
        .count();
    assert!(
        arrived == data,
        "{} bytes right after the close, the first {same} as written",
        arrived.len()
    );
    assert!(fs::read(here.join("d/file")).expect("read") == data);
    fs::rename(here.join("d/file"), here.join("d/moved")).expect("rename");
    fs::write(here.join("d/second"), "second").expect("write");
    fs::rename(here.join("d/second"), here.join("d/moved")).expect("rename over a file");
    assert_eq!(
        fs::read_to_string(there.join("d/moved")).expect("it"),
        "second"
    );
    std::os::unix::fs::symlink("moved", here.join("d/link")).expect("symlink");
    assert_eq!(
        fs::read_link(there.join("d/link")).expect("it"),
        Path::new("moved")
    );
    let file = fs::OpenOptions::new()
        .write(true)
        .open(here.join("d/moved"));
    file.and_then(|file| file.set_len(3)).expect("truncate");
    assert_eq!(
        fs::read_to_string(there.join("d/moved")).expect("it"),
        "sec"
    );
    let names = fs::read_dir(here.join("d")).expect("a listing").count();
    assert_eq!(names, 2);
    fs::remove_dir_all(here.join("d")).expect("remove");
    let space = finished(Command::new("df").arg(here));
    said::ok(&space);
}

/// PuTTY's tools, with the key in their format and the host key pinned.
struct Putty {
    _daemon: Background,
    place: Place,
    home: PathBuf,
    port: String,
    user: String,
    fingerprint: String,
}

impl Putty {
    #[track_caller]
    fn new() -> Self {
        let place = Place::new();
        let (daemon, client, home) = place.serve_known();
        let mut convert = Command::new("puttygen");
        convert.arg(&client.identity).arg("-o");
        said::ok(&finished(convert.arg(place.path("client/key.ppk"))));
        let mut list = Command::new("ssh-keygen");
        let list = said::ok(&finished(list.arg("-lf").arg(&client.known_hosts)));
        let line = list.lines().find(|line| line.contains("ED25519"));
        let fingerprint = line.and_then(|line| line.split(' ').nth(1));
        let config = fs::read_to_string(&client.config).expect("the client's configuration");
        let setting = |name: &str| {
            let line = config
                .lines()
                .find_map(|line| line.trim().strip_prefix(name));
            line.expect("a setting of the client's").trim().to_owned()
        };
        Self {
            _daemon: daemon,
            port: setting("Port "),
            user: setting("User "),
            fingerprint: fingerprint.expect("an ed25519 host key").to_owned(),
            place,
            home,
        }
    }

    fn here(&self, name: &str) -> PathBuf {
        self.place.path("client").join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("HOME", self.here(""));
        command.current_dir(self.here(""));
        command.args(["-batch", "-P", &self.port, "-hostkey"]);
        command.args([&self.fingerprint, "-i", "key.ppk"]);
        command
    }

    fn host(&self) -> String {
        format!("{}@127.0.0.1", self.user)
    }
}

#[test]
fn plink_runs_commands() {
    let putty = Putty::new();
    let mut command = putty.command("plink");
    let data = said::noise(2_000_000);
    command.args(["-ssh", &putty.host(), "cat; echo err >&2; exit 42"]);
    let output = run(&mut command, &data, PATIENCE);
    assert_eq!(said::failed(&output, 42), "err\n");
    assert!(output.stdout == data, "{} came back", output.stdout.len());
}

#[test]
fn psftp_and_pscp_copy_files() {
    let putty = Putty::new();
    let data = said::noise(2_000_000);
    fs::write(putty.here("file"), &data).expect("a file");
    fs::write(
        putty.here("batch"),
        "put file up\nget up back\nmkdir d\nmv up d\nls d\n",
    )
    .expect("batch");
    let mut command = putty.command("psftp");
    let host = putty.host();
    said::ok(&finished(command.args(["-be", "-b", "batch", &host])));
    assert!(fs::read(putty.here("back")).expect("it") == data);
    assert!(fs::read(putty.home.join("d/up")).expect("it") == data);
    for flag in ["-sftp", "-scp"] {
        let there = format!("{host}:up{flag}");
        let mut command = putty.command("pscp");
        said::ok(&finished(command.args([flag, "file", &there])));
        let mut command = putty.command("pscp");
        said::ok(&finished(command.args([flag, &there, "again"])));
        assert!(fs::read(putty.here("again")).expect("it") == data, "{flag}");
    }
}

#[test]
fn dropbears_client_runs_commands() {
    let daemon = Daemon::start(|_| ());
    let directory = tempfile::tempdir().expect("a temp dir");
    let key: PathBuf = directory.path().join("key");
    let mut convert = Command::new("dropbearconvert");
    convert.args(["openssh", "dropbear"]);
    said::ok(&finished(convert.arg(&daemon.client.identity).arg(&key)));
    let mut command = Command::new("dbclient");
    command.env("HOME", directory.path());
    command.args(["-y", "-y", "-i", text(&key), "-p", port(&daemon)]);
    command.args([&format!("{}@127.0.0.1", user()), "cat; exit 42"]);
    let data = said::noise(2_000_000);
    let output = run(&mut command, &data, PATIENCE);
    said::failed(&output, 42);
    assert!(output.stdout == data, "{} came back", output.stdout.len());
}

#[test]
fn paramiko_gets_sixty_megabytes_with_its_unbounded_prefetch() {
    let daemon = Daemon::start(|_| ());
    let script = r#"
import hashlib
client = connect()
sftp = client.open_sftp()
data = os.urandom(1 << 20) * 60
with open("/dev/shm/podssh-%d" % os.getpid(), "wb") as file: file.write(data)
local = file.name
try:
    sftp.put(local, "up")
    sftp.get("up", local)
    with open(local, "rb") as file: assert file.read() == data
finally:
    os.unlink(local)
assert sftp.stat("up").st_size == len(data)
sftp.chmod("up", 0o600); sftp.rename("up", "moved"); sftp.posix_rename("moved", "moved2")
sftp.symlink("moved2", "link"); assert sftp.readlink("link") == "moved2"
assert sorted(sftp.listdir()) == sorted(os.listdir(HOME))
with sftp.open("moved2", "r+") as file:
    file.seek(5); file.write(b"hello"); file.truncate(10)
assert open(HOME + "/moved2", "rb").read()[5:] == b"hello"
"#;
    python::check(&daemon, python::PARAMIKO, script);
}

#[test]
fn paramiko_runs_commands_and_forwards() {
    let daemon = Daemon::start(|_| ());
    let script = r#"
client = connect()
stdin, stdout, stderr = client.exec_command("cat; echo err >&2; exit 7")
stdin.write(b"in"); stdin.channel.shutdown_write()
assert stdout.read() == b"in" and stderr.read() == b"err\n"
assert stdout.channel.recv_exit_status() == 7
shell = client.invoke_shell(width=90, height=20); shell.send("stty size; exit 3\n")
text = b""
while not shell.exit_status_ready() or shell.recv_ready(): text += shell.recv(1000)
assert b"20 90" in text and shell.recv_exit_status() == 3, text
# a destination of ours, reached through the workspace
server = socket.create_server(("127.0.0.1", 0))
tunnel = client.get_transport().open_channel("direct-tcpip", server.getsockname(), ("127.0.0.1", 1))
peer, _ = server.accept()
peer.sendall(b"hello"); assert tunnel.recv(5) == b"hello"
tunnel.sendall(b"back"); assert peer.recv(4) == b"back"
# and a port of the workspace that leads to us
port = client.get_transport().request_port_forward("127.0.0.1", 0)
visitor = socket.create_connection(("127.0.0.1", port))
inward = client.get_transport().accept(20)
visitor.sendall(b"knock"); assert inward.recv(5) == b"knock"
"#;
    python::check(&daemon, python::PARAMIKO, script);
}

#[test]
fn asyncssh_runs_commands_copies_and_forwards() {
    let daemon = Daemon::start(|_| ());
    let script = r#"
async def echo(reader, writer):
    while data := await reader.read(65536): writer.write(data)
    writer.write_eof()
async def talk(reader, writer):
    writer.write(b"x" * 1000000); writer.write_eof()
    assert len(await reader.read()) == 1000000
async def main(conn):
    result = await conn.run("cat; exit 3", input="text")
    assert (result.stdout, result.exit_status) == ("text", 3)
    data = os.urandom(5 << 20)
    async with conn.start_sftp_client() as sftp:
        async with sftp.open("file", "wb") as file: await file.write(data)
        async with sftp.open("file", "rb") as file: assert await file.read() == data
        assert (await sftp.statvfs(".")).bsize > 0
        await sftp.posix_rename("file", "moved")
        assert await sftp.realpath(".") == HOME
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with conn.forward_local_port("127.0.0.1", 0, "localhost", port) as there:
        await talk(*await asyncio.open_connection("127.0.0.1", there.get_port()))
    async with conn.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port) as there:
        await talk(*await asyncio.open_connection("127.0.0.1", there.get_port()))
    async with conn.forward_socks("127.0.0.1", 0) as there:
        reader, writer = await asyncio.open_connection("127.0.0.1", there.get_port())
        writer.write(b"\5\1\0"); assert await reader.readexactly(2) == b"\5\0"
        writer.write(b"\5\1\0\1\x7f\0\0\1" + struct.pack(">H", port)); await reader.readexactly(10)
        await talk(reader, writer)
start(main)
"#;
    python::check(&daemon, python::ASYNCSSH, script);
}

/// libssh2 before 1.11, as in Debian 12, knows neither AEAD ciphers nor encrypt-then-MAC.
#[test]
fn curl_puts_gets_lists_and_renames_by_libssh2() {
    let daemon = Daemon::start(|setup| setup.args(["--compat"]));
    let here = tempfile::tempdir().expect("a temp dir");
    let (up, down) = (here.path().join("up"), here.path().join("down"));
    let data = said::noise(3_000_000);
    fs::write(&up, &data).expect("a file");
    let curl = |args: &[&str], path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--insecure", "--key", text(&daemon.client.identity)]);
        curl.arg("--pubkey")
            .arg(daemon.client.identity.with_extension("pub"));
        curl.args(["--user", &format!("{}:", user())]).args(args);
        curl.arg(format!("sftp://127.0.0.1:{}/~/{path}", port(&daemon)));
        said::ok(&finished(&mut curl))
    };
    curl(&["--ftp-create-dirs", "-T", text(&up)], "new/file");
    assert!(fs::read(daemon.home().join("new/file")).expect("it") == data);
    curl(&["-o", text(&down)], "new/file");
    assert!(fs::read(&down).expect("it") == data);
    let home = daemon.home();
    let rename = format!("rename {0}/new/file {0}/new/moved", text(&home));
    let listing = curl(&["-Q", &rename], "new/");
    assert!(
        listing.contains("moved") && !listing.contains("file"),
        "{listing}"
    );
}

#[test]
fn lftp_mirrors_a_tree() {
    let daemon = Daemon::start(|_| ());
    let local = tempfile::tempdir().expect("a temp dir");
    fs::create_dir_all(local.path().join("tree/sub")).expect("folders");
    let data = said::noise(2_000_000);
    fs::write(local.path().join("tree/sub/file"), &data).expect("a file");
    let mut command = Command::new("lftp");
    command.current_dir(local.path()).env("HOME", local.path());
    let ssh = format!("ssh -a -x -F {}", text(&daemon.client.config));
    let script = format!(
        "set sftp:connect-program \"{ssh}\"; set net:max-retries 1; open sftp://{}:@workspace; \
         mirror -R tree up; mirror up back; mv up moved; cls -1; bye",
        user()
    );
    let shown = said::ok(&finished(command.args(["-c", &script])));
    assert!(shown.contains("moved"), "{shown}");
    assert!(fs::read(local.path().join("back/sub/file")).expect("it") == data);
}

#[test]
fn rclone_copies_checks_and_synchronises_a_tree() {
    let daemon = Daemon::start(|_| ());
    let local = tempfile::tempdir().expect("a temp dir");
    let tree = local.path().join("tree");
    fs::create_dir_all(tree.join("sub")).expect("folders");
    fs::write(tree.join("sub/file"), said::noise(3_000_000)).expect("a file");
    fs::write(tree.join("old"), "old").expect("a file");
    let rclone = |arguments: &[&str]| {
        let mut command = Command::new("rclone");
        command.env("HOME", local.path()).args(arguments);
        command.args(["--config", "/dev/null", "--retries", "1"]);
        command.args(["--sftp-host", "127.0.0.1", "--sftp-port", port(&daemon)]);
        command.args(["--sftp-user", user()]);
        command.arg("--sftp-key-file").arg(&daemon.client.identity);
        said::ok(&finished(&mut command))
    };
    let here = text(&tree);
    rclone(&["copy", here, ":sftp:up"]);
    // By checksums that the far side computes, then byte by byte.
    rclone(&["check", here, ":sftp:up"]);
    rclone(&["check", "--download", here, ":sftp:up"]);
    fs::remove_file(tree.join("old")).expect("it");
    fs::write(tree.join("new"), "new").expect("a file");
    rclone(&["sync", here, ":sftp:up"]);
    let listed = rclone(&["lsf", "--recursive", ":sftp:up"]);
    let mut listed: Vec<_> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, ["new", "sub/", "sub/file"]);
    rclone(&["moveto", ":sftp:up/new", ":sftp:up/moved"]);
    let moved = daemon.home().join("up/moved");
    assert_eq!(fs::read(moved).expect("it"), b"new");
}
