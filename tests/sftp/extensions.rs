//! OpenSSH's extensions, compared where its installed version has them.

use std::fs;

use crate::client::{Client, body, frame};
use crate::conformance::compare;
use crate::render::Answer;
use crate::servers::{Ours, Server, Theirs};

/// Names and versions in the answer to INIT.
fn announced(server: &mut dyn Server) -> Vec<(String, String)> {
    server.send(&frame(1, None, &3u32.to_be_bytes()));
    let version = server.packet();
    let mut answer = Answer(&version[5..]);
    let mut all = Vec::new();
    while !answer.0.is_empty() {
        let mut text = || String::from_utf8(answer.string().to_vec()).unwrap();
        all.push((text(), text()));
    }
    all
}

/// OpenSSH 9.2 lacks `home-directory`, which 9.4 brought; nothing else may differ.
#[test]
fn what_openssh_announces_we_announce_in_its_order() {
    let home = tempfile::tempdir().unwrap();
    let theirs = announced(&mut Theirs::start(home.path()));
    let mut ours = announced(&mut Ours::start(home.path()));
    assert_eq!(ours.len(), 11);
    if !theirs.iter().any(|(name, _)| name == "home-directory") {
        ours.retain(|(name, _)| name != "home-directory");
    }
    assert_eq!(ours, theirs);
}

#[test]
fn file_systems() {
    compare(|client| {
        for path in ["/proc", "/dev/pts", "missing", "file/x"] {
            client.extended("statvfs@openssh.com", body().string(path));
        }
        let null = client.open("/proc/self/stat", 1, body().plain());
        client.extended("fstatvfs@openssh.com", body().string(&null));
        let directory = client.opendir("dir");
        client.extended("fstatvfs@openssh.com", body().string(&directory));
    });
}

#[test]
fn synchronising_and_links_own_attributes() {
    compare(|client| {
        let file = client.open("file", 3, body().plain());
        client.extended("fsync@openssh.com", body().string(&file));
        let directory = client.opendir("dir");
        client.extended("fsync@openssh.com", body().string(&directory));
        for path in ["file", "link", "dangling", "missing"] {
            let name = "lsetstat@openssh.com";
            let times = body().string(path).times(1_000_000_000, 1_000_000_001);
            client.extended(name, times);
            client.extended(name, body().string(path).owner(u32::MAX, u32::MAX));
            client.extended(name, body().string(path).size(3));
            client.lstat(path);
        }
        client.extended("lsetstat@openssh.com", body().string("file").mode(0o600));
        client.extended("no-such@example.com", body());
    });
}

#[test]
fn expanding_paths() {
    compare(|client| {
        for path in [
            "",
            ".",
            "~",
            "~/",
            "~/dir",
            "~root",
            "~root/x",
            "~no-such-user",
            "dir",
            "/dev",
            "a~",
        ] {
            client.extended("expand-path@openssh.com", body().string(path));
        }
    });
}

#[test]
fn names_of_ids() {
    compare(|client| {
        let list = |ids: &[u32]| {
            ids.iter()
                .flat_map(|id| id.to_be_bytes())
                .collect::<Vec<u8>>()
        };
        for (users, groups) in [
            (&[0, 1, 65_534, 77_777_777][..], &[0, 4, 5][..]),
            (&[], &[]),
        ] {
            let fields = body().string(list(users)).string(list(groups));
            client.extended("users-groups-by-id@openssh.com", fields);
        }
    });
}

#[test]
fn copying_data() {
    compare(|client| {
        let from = client.open("file", 1, body().plain());
        let to = client.open("copy", 3 | 8, body().plain());
        let copy = |client: &mut Client<'_>, from: &[u8], a, length, to: &[u8], b| {
            let fields = body().string(from).u64(a).u64(length).string(to).u64(b);
            client.extended("copy-data", fields);
            client.stat("copy");
        };
        copy(client, &from, 0, 0, &to, 0);
        copy(client, &from, 2, 3, &to, 20);
        copy(client, &from, 100, 0, &to, 0);
        copy(client, &from, 1 << 63, 5, &to, 0);
        copy(client, &from, 0, 5, &to, 1 << 63);
        copy(client, &from, 0, 5, &from, 20);
        copy(client, b"none", 0, 5, &to, 0);
        let again = client.open("file", 3, body().plain());
        copy(client, &from, 0, 5, &again, 50);
        let appending = client.open("copy", 2 | 4, body().plain());
        copy(client, &from, 0, 5, &appending, 0);
        let proc = client.open("/proc/sys/kernel/ostype", 1, body().plain());
        copy(client, &proc, 0, 0, &to, 0);
        client.read(&to, 0, 1000);
    });
}

/// Intended differences: within its last 64 KiB, OpenSSH answers OK whether the copy came to the
/// file's end too early or could not be written. The draft wants EOF, and a failed write told.
#[test]
fn a_copy_that_stopped_early_says_so() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "0123456789").unwrap();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    let from = client.open("file", 1, body().plain());
    let to = client.open("copy", 3 | 8, body().plain());
    client.transcript.clear();
    for (from, offset, to) in [(&from, 8, &to), (&from, 100, &to), (&to, 0, &from)] {
        let fields = body().string(from).u64(offset).u64(5).string(to).u64(0);
        client.extended("copy-data", fields);
    }
    assert_eq!(
        client.transcript,
        [
            "copy-data: status 1",
            "copy-data: status 1",
            "copy-data: status 2"
        ]
    );
    assert_eq!(fs::read(home.path().join("copy")).unwrap(), b"89");
}

/// Not in the installed reference everywhere, so on its own.
#[test]
fn home_directories() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_str().unwrap();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, path);
    client.extended("home-directory", body().string(""));
    client.extended("home-directory", body().string("no-such-user"));
    assert_eq!(
        client.transcript,
        [
            "home-directory: [~ | ~ | flags 0x0]",
            "home-directory: status 4"
        ]
    );
}

/// Intended difference: OpenSSH reports the process's whole descriptor limit, less five; ours is
/// shared by sessions, so it reports what its table takes. The sizes are the same.
#[test]
fn limits_are_honest() {
    let home = tempfile::tempdir().unwrap();
    let sizes = |server: &mut dyn Server| {
        let mut client = Client::start(server, "~");
        let (_, answer) = client.extended("limits@openssh.com", body());
        let mut answer = Answer(&answer);
        let sizes = [answer.u64(), answer.u64(), answer.u64()];
        (sizes, answer.u64())
    };
    let (theirs, _) = sizes(&mut Theirs::start(home.path()));
    let mut server = Ours::start(home.path());
    let (ours, handles) = sizes(&mut server);
    assert_eq!(ours, theirs);
    fs::write(home.path().join("f"), "").unwrap();
    let mut client = Client::start(&mut server, "~");
    for _ in 0..handles {
        assert!(!client.open("f", 1, body().plain()).is_empty());
    }
    assert!(client.open("f", 1, body().plain()).is_empty());
    assert!(client.opendir(".").is_empty());
}
