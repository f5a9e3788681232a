//! `kill -9` at the worst moment: what was acknowledged is there, and the workspace stays who it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::daemon::{Daemon, binary, user};
use crate::harness::process::{PATIENCE, eventually, run};
use crate::much;

const BLOCK: usize = 32 * 1024;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;

/// What block `number` of the file holds.
fn block(number: u32) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(u64::from(number));
    let mut bytes = vec![0; BLOCK];
    random.fill(&mut bytes[..]);
    bytes
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn packet(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = [&[kind][..], &fields.concat()].concat();
    string(&body)
}

/// The next answer, or `None` when there will be none.
fn answer(from: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut body).ok()?;
    Some(body)
}

/// Writes blocks without waiting for answers, every sixteenth one flushed to the disk, until the
/// daemon is gone.
fn pump(mut to: impl Write, handle: &[u8]) {
    for number in 1u32.. {
        let offset = u64::from(number - 1) * BLOCK as u64;
        let id = number.to_be_bytes();
        let write = packet(
            6,
            &[
                &id,
                &string(handle),
                &offset.to_be_bytes(),
                &string(&block(number)),
            ],
        );
        let mut sent = to.write_all(&write);
        if number % 16 == 0 {
            let id = (number | 1 << 31).to_be_bytes();
            let fsync = packet(200, &[&id, &string(b"fsync@openssh.com"), &string(handle)]);
            sent = sent
                .and_then(|()| to.write_all(&fsync))
                .and_then(|()| to.flush());
        }
        if sent.is_err() {
            return;
        }
    }
}

/// Ids answered with OK until the daemon has been killed after about `most` of them.
fn acknowledged(ssh: &mut Child, daemon: &Daemon, most: usize) -> Vec<u32> {
    let (mut to, mut from) = (
        ssh.stdin.take().expect("piped"),
        ssh.stdout.take().expect("piped"),
    );
    to.write_all(&packet(1, &[&3u32.to_be_bytes()]))
        .expect("INIT");
    answer(&mut from).expect("VERSION");
    let flags = 0x02 | 0x08 | 0x10; // write, create, truncate
    let open = [
        &0u32.to_be_bytes()[..],
        &string(b"upload"),
        &u32::to_be_bytes(flags),
        &[0; 4],
    ];
    to.write_all(&packet(3, &open)).expect("OPEN");
    let opened = answer(&mut from).expect("an answer to OPEN");
    assert_eq!(opened[0], HANDLE, "{opened:?}");
    let handle = opened[9..].to_vec();
    let writer = thread::spawn(move || pump(BufWriter::with_capacity(1 << 20, to), &handle));
    let mut ids = Vec::new();
    while let Some(answer) = answer(&mut from) {
        assert_eq!(answer[0], STATUS);
        assert_eq!(answer[5..9], [0; 4], "a write failed");
        ids.push(u32::from_be_bytes(
            answer[1..5].try_into().expect("four bytes"),
        ));
        if ids.len() == most {
            daemon.signal(Signal::SIGKILL);
        }
    }
    writer.join().expect("the writer");
    ids
}

#[test]
fn no_acknowledged_write_is_lost_by_a_kill() {
    let mut random = StdRng::seed_from_u64(9);
    for round in 0..much(6, 100) {
        let daemon = Daemon::start(|_| ());
        let mut command = daemon.client.command("ssh");
        command.args(["-s", "workspace", "sftp"]);
        let mut ssh = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh");
        let most = random.random_range(1..600);
        let ids = acknowledged(&mut ssh, &daemon, most);
        ssh.wait().expect("our child");
        assert!(
            ids.len() >= most,
            "round {round}: the daemon ended before it was killed"
        );
        let file = fs::File::open(daemon.home().join("upload")).expect("the upload");
        let mut found = vec![0; BLOCK];
        for number in ids.iter().filter(|id| *id >> 31 == 0) {
            let offset = u64::from(number - 1) * BLOCK as u64;
            file.read_exact_at(&mut found, offset)
                .expect("an acknowledged block");
            assert!(
                found == block(*number),
                "round {round}: block {number} of {}",
                ids.len()
            );
        }
        assert!(
            most < 17 || ids.iter().any(|id| id >> 31 == 1),
            "no fsync was acknowledged"
        );
    }
}

/// A daemon on the side, of the same user, with its own place for host keys.
fn serve(daemon: &Daemon, keys: &Path, ready: &Path) -> Child {
    let owner = fs::metadata(daemon.home()).expect("the home");
    let mut command = Command::new(binary());
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "none",
            "--user",
            user(),
        ])
        .arg("--home")
        .arg(daemon.home())
        .arg("--authorized-keys")
        .arg(daemon.authorized_keys())
        .arg("--host-keys")
        .arg(keys)
        .arg("--ready-file")
        .arg(ready)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command.spawn().expect("the daemon")
}

/// The private keys at their places, by name.
fn published(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeMap::new();
    };
    let names = entries.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("text")
    });
    let keys = names.filter(|name| name.starts_with("ssh_host_") && name.ends_with("_key"));
    keys.map(|name| {
        (
            name.clone(),
            fs::read(directory.join(&name)).expect("a key"),
        )
    })
    .collect()
}

fn anything(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

#[test]
fn no_host_key_is_lost_or_changed_by_a_kill_while_it_is_made() {
    let daemon = Daemon::start(|_| ());
    let owner = fs::metadata(daemon.home()).expect("the home");
    let place = tempfile::tempdir_in("/tmp").expect("a temp dir");
    chown(place.path(), Some(owner.uid()), Some(owner.gid())).expect("chown");
    let mut random = StdRng::seed_from_u64(3);
    let mut interrupted = 0;
    for round in 0..much(20, 400) {
        let keys = place.path().join(format!("keys-{round}"));
        let ready = place.path().join(format!("ready-{round}"));
        let mut known = BTreeMap::new();
        for _ in 0..3 {
            let mut child = serve(&daemon, &keys, &ready);
            // From the moment there is a first file: generation takes some milliseconds.
            let patience = Instant::now() + PATIENCE;
            while !anything(&keys) && !ready.exists() && Instant::now() < patience {
                std::hint::spin_loop();
            }
            let until = Instant::now() + Duration::from_micros(random.random_range(0..6000));
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            child.kill().expect("kill -9");
            child.wait().expect("our child");
            interrupted += usize::from(published(&keys).len() < 2);
            known = unchanged(&known, &keys, round);
        }
        let mut child = serve(&daemon, &keys, &ready);
        eventually("the daemon accepts", PATIENCE, || {
            ready.exists().then_some(())
        });
        child.kill().expect("kill");
        child.wait().expect("our child");
        known = unchanged(&known, &keys, round);
        assert_eq!(known.len(), 2, "round {round}: {:?}", known.keys());
        let mut command = Command::new(binary());
        command
            .args(["host-keys", "--host-keys"])
            .arg(&keys)
            .arg("workspace");
        let output = run(&mut command, b"", PATIENCE);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).lines().count(),
            2,
            "{output:?}"
        );
    }
    eprintln!("{interrupted} kills before both keys were there");
    assert!(
        interrupted > 5,
        "only {interrupted} kills hit the making of a key"
    );
}

/// A key that was there once is there for ever.
#[track_caller]
fn unchanged(
    known: &BTreeMap<String, Vec<u8>>,
    keys: &Path,
    round: usize,
) -> BTreeMap<String, Vec<u8>> {
    let now = published(keys);
    for (name, key) in known {
        assert!(
            now.get(name) == Some(key),
            "round {round}: {name} was lost or changed"
        );
    }
    for (name, key) in &now {
        assert!(
            key.ends_with(b"-----END OPENSSH PRIVATE KEY-----\n"),
            "round {round}: {name} is half written"
        );
    }
    now
}
