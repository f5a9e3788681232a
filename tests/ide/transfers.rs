//! What moves trees over a shell or SFTP: git, rsync, sshfs, and mutagen's long framed streams.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::harness::client::Client;
use crate::harness::daemon::{Daemon, Setup};
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::support::{LONG, noise, scratch, succeeds};

fn ssh_command(client: &Client) -> String {
    format!("ssh -F {}", client.config.display())
}

#[track_caller]
fn same_tree(left: &Path, right: &Path) {
    let mut diff = Command::new("diff");
    diff.args(["-r", "--no-dereference"]).args([left, right]);
    succeeds(&mut diff, b"", PATIENCE);
}

/// git in `directory` with no configuration but this.
fn git(daemon: &Daemon, directory: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=tester", "-c", "user.email=tester@podssh"])
        .args(["-c", "init.defaultBranch=main", "-c", "gc.auto=0"])
        .args(args)
        .current_dir(directory)
        .env("HOME", directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_SSH_COMMAND", ssh_command(&daemon.client))
        .env_remove("SSH_AUTH_SOCK");
    succeeds(&mut git, b"", LONG)
}

#[test]
fn git_pushes_clones_and_fetches_two_thousand_files() {
    let daemon = Daemon::start(Setup::named);
    let local = scratch();
    let at = |name: &str| local.path().join(name);
    fs::create_dir(at("ours")).expect("a directory");
    git(&daemon, &at("ours"), &["init", "--quiet"]);
    for number in 0..2000 {
        let directory = at("ours").join(format!("d{}", number % 40));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join(format!("f{number}")), noise(number, 1)).expect("a file");
    }
    git(&daemon, &at("ours"), &["add", "."]);
    git(
        &daemon,
        &at("ours"),
        &["commit", "--quiet", "-m", "two thousand"],
    );
    succeeds(
        daemon
            .client
            .command("ssh")
            .args(["workspace", "git init --quiet --bare -b main repo"]),
        b"",
        PATIENCE,
    );
    git(
        &daemon,
        &at("ours"),
        &["push", "--quiet", "workspace:repo", "main"],
    );
    // Protocol 2 needs GIT_PROTOCOL to get through.
    git(
        &daemon,
        local.path(),
        &[
            "-c",
            "protocol.version=2",
            "clone",
            "--quiet",
            "workspace:repo",
            "theirs",
        ],
    );
    let head = |name: &str| git(&daemon, &at(name), &["rev-parse", "HEAD"]);
    assert_eq!(head("ours"), head("theirs"));
    same_tree(&at("ours/d7"), &at("theirs/d7"));

    fs::write(at("ours/more"), noise(5 << 20, 2)).expect("a file");
    git(&daemon, &at("ours"), &["add", "."]);
    git(&daemon, &at("ours"), &["commit", "--quiet", "-m", "more"]);
    git(
        &daemon,
        &at("ours"),
        &["push", "--quiet", "workspace:repo", "main"],
    );
    git(&daemon, &at("theirs"), &["fetch", "--quiet"]);
    git(
        &daemon,
        &at("theirs"),
        &["merge", "--quiet", "--ff-only", "origin/main"],
    );
    assert_eq!(head("ours"), head("theirs"));
    git(&daemon, &at("theirs"), &["fsck", "--full", "--strict"]);
    let url = "workspace:nowhere";
    let mut missing = Command::new("git");
    missing
        .args(["ls-remote", url])
        .env("GIT_SSH_COMMAND", ssh_command(&daemon.client));
    let output = missing.output().expect("git");
    let said = String::from_utf8_lossy(&output.stderr);
    // The last words of the other side come through whole.
    assert!(
        said.contains("'nowhere' does not appear to be a git repository"),
        "{said}"
    );
}

/// Names that quoting, splitting or encoding would break.
fn odd_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "plain",
        " leading and trailing ",
        "two\nlines",
        "tab\there",
        "quote's",
        "double\"quote",
        "back\\slash",
        "$HOME `id` $(id)",
        "*?[a]{b,c}",
        "-rf",
        "--delete",
        "~",
        "#hash",
        ";semi&amp|",
        "ünïcødé",
        "日本語",
        "e\u{301}",
        "host:path",
        "%percent%41",
        "é".repeat(120).as_str(),
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.push(b"latin1-\xe9\xff".to_vec());
    names.push(b"bell-\x07-escape-\x1b[31m".to_vec());
    names
}

fn odd_tree(at: &Path) {
    fs::create_dir(at).expect("a directory");
    for (number, name) in odd_names().iter().enumerate() {
        let name = OsStr::from_bytes(name);
        fs::write(at.join(name), noise(number * 1000, 3)).expect("a file");
        let directory = at.join("directories").join(name);
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join(name), b"inside").expect("a file");
        let mode = fs::Permissions::from_mode(0o600 + (number as u32 % 8) * 9);
        fs::set_permissions(at.join(name), mode).expect("chmod");
    }
    symlink("plain", at.join("link")).expect("a link");
    symlink("nowhere at all", at.join("dangling")).expect("a link");
    fs::hard_link(at.join("plain"), at.join("hard")).expect("a link");
    let sparse = File::create(at.join("sparse")).expect("a file");
    sparse.set_len(30 << 20).expect("a hole");
}

fn rsync(daemon: &Daemon, args: &[&str], from: &str, to: &str) -> String {
    let mut rsync = Command::new("rsync");
    rsync
        .args(["-e", &ssh_command(&daemon.client)])
        .args(args)
        .args(["--", from, to]);
    succeeds(&mut rsync, b"", LONG)
}

#[test]
fn rsync_mirrors_a_tree_of_odd_names_both_ways() {
    let daemon = Daemon::start(|_| ());
    let local = scratch();
    let tree = local.path().join("tree");
    odd_tree(&tree);
    let from = format!("{}/", tree.display());
    let options = ["-rlptH", "--sparse", "--delete"];
    rsync(&daemon, &options, &from, "workspace:the tree/");
    same_tree(&tree, &daemon.home().join("the tree"));

    let back = local.path().join("back");
    let to = format!("{}/", back.display());
    rsync(&daemon, &options, "workspace:the tree/", &to);
    same_tree(&tree, &back);
    // Nothing left to say, times and modes and links included.
    let left = rsync(&daemon, &["-rlptHnic"], &from, "workspace:the tree/");
    assert_eq!(left, "", "differences remain");

    fs::remove_dir_all(tree.join("directories")).expect("gone");
    fs::write(tree.join("plain"), noise(2_000_000, 4)).expect("a file");
    rsync(
        &daemon,
        &["-rlptHz", "--sparse", "--delete"],
        &from,
        "workspace:the tree/",
    );
    same_tree(&tree, &daemon.home().join("the tree"));
}

/// A mounted file system, unmounted with the test.
struct Mount {
    at: PathBuf,
    _sshfs: Background,
}

impl Mount {
    #[track_caller]
    fn start(daemon: &Daemon, at: PathBuf) -> Self {
        fs::create_dir(&at).expect("a directory");
        let mut sshfs = Command::new("sshfs");
        sshfs
            .args(["-f", "-o", "transform_symlinks", "-F"])
            .arg(&daemon.client.config)
            .arg("workspace:")
            .arg(&at)
            .stdin(Stdio::null());
        let mut sshfs = Background::start(&mut sshfs);
        let mounted = at.clone();
        eventually("the mount", PATIENCE, || {
            assert!(sshfs.is_running(), "sshfs ended (is /dev/fuse there?)");
            let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
            mounts
                .contains(&mounted.display().to_string())
                .then_some(())
        });
        Self { at, _sshfs: sshfs }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("fusermount3")
            .args(["-u", "-z"])
            .arg(&self.at)
            .status()
            .ok();
    }
}

#[test]
fn a_tree_is_worked_on_through_sshfs() {
    let daemon = Daemon::start(|_| ());
    let local = scratch();
    let mount = Mount::start(&daemon, local.path().join("mount"));
    let tree = local.path().join("tree");
    odd_tree(&tree);
    let there = mount.at.join("tree");
    let mut copy = Command::new("cp");
    copy.args([
        "-r",
        "--no-dereference",
        "--preserve=mode,links",
        "--sparse=never",
    ]);
    succeeds(copy.args([&tree, &there]), b"", LONG);
    same_tree(&tree, &there);
    same_tree(&tree, &daemon.home().join("tree"));

    // What editors do: write beside, rename over; truncate; append; change modes; follow links.
    fs::write(there.join("plain.new"), noise(500_000, 5)).expect("a file");
    fs::rename(there.join("plain.new"), there.join("plain")).expect("a rename over a file");
    assert!(fs::read(there.join("link")).expect("by a link") == noise(500_000, 5));
    let mut file = File::options()
        .append(true)
        .open(there.join("plain"))
        .expect("a file");
    file.write_all(b"tail").expect("an append");
    file.sync_all().expect("fsync");
    drop(file);
    let plain = daemon.home().join("tree/plain");
    assert_eq!(fs::metadata(&plain).expect("there").len(), 500_004);
    File::options()
        .write(true)
        .open(there.join("plain"))
        .and_then(|file| file.set_len(10))
        .expect("truncate");
    eventually("the truncation is seen", PATIENCE, || {
        (fs::metadata(&plain).expect("there").len() == 10).then_some(())
    });
    fs::set_permissions(there.join("plain"), fs::Permissions::from_mode(0o711)).expect("chmod");
    let mode = fs::metadata(&plain).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o711);
    fs::remove_dir_all(there.join("directories")).expect("rm -r");
    assert!(!daemon.home().join("tree/directories").exists());
    // statvfs answers.
    succeeds(Command::new("df").arg(&mount.at), b"", PATIENCE);
}

/// The agent's side of mutagen, as it is on the wire: length-prefixed frames each way for as long as
/// the pipe lives, each answered in order, each checked.
const AGENT: &str = r#"
import struct, sys, zlib
read, write = sys.stdin.buffer, sys.stdout.buffer
write.write(b"agent ready\n"); write.flush()
count = 0
while True:
    head = read.read(12)
    if not head:
        break
    length, number, check = struct.unpack(">III", head)
    data = read.read(length)
    assert len(data) == length and number == count and zlib.crc32(data) == check
    count += 1
    data = data[::-1]
    write.write(struct.pack(">III", length, number, zlib.crc32(data)) + data); write.flush()
sys.stderr.write(f"{count} frames\n")
sys.exit(7)
"#;

/// Bytes each way of one stream.
const STREAM: usize = 50 << 20;

/// Writes frames of many sizes from one thread and checks the answers in this one.
fn converse(mut command: Command, seed: u64) {
    let mut process = Background::start(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let mut stdin = process.0.stdin.take().expect("stdin is piped");
    let mut stdout = process.0.stdout.take().expect("stdout is piped");
    let mut stderr = process.0.stderr.take().expect("stderr is piped");
    let mut ready = [0; 12];
    stdout.read_exact(&mut ready).expect("the agent starts");
    assert_eq!(&ready, b"agent ready\n");

    let data = noise(STREAM, seed);
    let mut frames = Vec::new();
    let mut rest = data.as_slice();
    while !rest.is_empty() {
        let wanted = [1, 17, 4096, 32768, 65537, 1 << 20][frames.len() % 6];
        let (frame, after) = rest.split_at(wanted.min(rest.len()));
        frames.push(frame);
        rest = after;
    }
    thread::scope(|scope| {
        let frames = &frames;
        scope.spawn(move || {
            for (number, frame) in frames.iter().enumerate() {
                let words = [frame.len() as u32, number as u32, crc32(frame)];
                let head: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
                stdin.write_all(&head).expect("the agent reads");
                stdin.write_all(frame).expect("the agent reads");
            }
        });
        for (number, frame) in frames.iter().enumerate() {
            let mut head = [0; 12];
            stdout.read_exact(&mut head).expect("an answer");
            assert_eq!(head[..4], (frame.len() as u32).to_be_bytes(), "{number}");
            assert_eq!(head[4..8], (number as u32).to_be_bytes());
            let mut answer = vec![0; frame.len()];
            stdout.read_exact(&mut answer).expect("an answer");
            answer.reverse();
            assert!(answer == *frame, "frame {number} came back garbled");
        }
    });
    // The end of input is the agent's end, its last words and its status come through.
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("stderr");
    assert_eq!(said, format!("{} frames\n", frames.len()));
    let status = eventually("the agent ends", PATIENCE, || {
        process.0.try_wait().expect("a child of ours")
    });
    assert_eq!(status.code(), Some(7));
}

fn crc32(data: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn two_framed_streams_carry_a_hundred_megabytes_each_way_at_once() {
    let daemon = Daemon::start(|_| ());
    fs::write(daemon.home().join("agent.py"), AGENT).expect("the agent");
    // As mutagen does first: an agent that is not there ends with 127.
    let output = daemon.ssh([".mutagen/agents/none/mutagen-agent synchronizer"]);
    assert_eq!(output.status.code(), Some(127));
    let start = Instant::now();
    thread::scope(|scope| {
        for seed in [1, 2] {
            let mut ssh = daemon.client.command("ssh");
            ssh.args(["-T", "workspace", "exec python3 agent.py"]);
            scope.spawn(move || converse(ssh, seed));
        }
    });
    println!("2 x {} MiB each way in {:?}", STREAM >> 20, start.elapsed());
}
