//! Bad input, endings and flow: what a client may do to the server, and what it does not do back.
//!
//! Where OpenSSH's server exits or says nothing, the tests here give the reason for doing otherwise.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use podssh::sftp::Failure;

use crate::client::{Client, body, frame};
use crate::render::Answer;
use crate::servers::{Ours, Server, WINDOW};

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "0123456789").unwrap();
    home
}

/// Code and message of a status answer.
fn status(answer: &(u8, Vec<u8>)) -> (u32, String) {
    assert_eq!(answer.0, 101);
    let mut fields = Answer(&answer.1);
    let code = fields.u32();
    (code, String::from_utf8(fields.string().to_vec()).unwrap())
}

/// OpenSSH exits. A client with one bad request keeps its session here.
#[test]
fn a_truncated_request_is_a_bad_message_and_the_session_goes_on() {
    let home = home();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    for kind in (3..=20).chain([200]) {
        for fields in [body(), body().u32(100), body().u32(u32::MAX)] {
            let answer = client.ask("truncated", kind, fields);
            assert_eq!(status(&answer).0, 5, "kind {kind}");
        }
    }
    client.stat("file");
    drop(client);
    server.peer.eof();
    server.end().unwrap();
}

/// OpenSSH exits on a zero byte in a path, and says nothing to an unknown kind.
#[test]
fn zero_bytes_and_unknown_kinds_are_told() {
    let home = home();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    let answer = client.path("stat", 17, b"file\0x");
    assert_eq!(status(&answer).0, 5);
    for kind in [0, 2, 21, 101, 199, 255] {
        let answer = client.ask("unknown", kind, body().string("x"));
        assert_eq!(status(&answer).0, 8, "kind {kind}");
    }
}

#[test]
fn messages_say_what_failed() {
    let home = home();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    let answer = client.path("remove", 13, "gone");
    let expected = (2, "remove \"gone\": No such file or directory".into());
    assert_eq!(status(&answer), expected);
    let full = client.open("/dev/full", 2, body().plain());
    let fields = body().string(&full).u64(0).string("x");
    let answer = client.ask("write", 6, fields);
    let expected = (4, "write \"/dev/full\": No space left on device".into());
    assert_eq!(status(&answer), expected);
}

#[test]
fn what_is_no_session_ends_with_a_failure() {
    let ends = |bytes: &[u8]| {
        let home = home();
        let mut server = Ours::start(home.path());
        server.send(bytes);
        server.end().unwrap_err()
    };
    let init = frame(1, None, &3u32.to_be_bytes());
    let stat = frame(17, Some(1), &body().string("file").0);
    assert!(matches!(ends(&stat), Failure::NotInitialised));
    assert!(matches!(ends(&[0; 4]), Failure::Empty));
    assert!(matches!(ends(&[0, 0, 0, 1, 1]), Failure::NoId));
    let oversized = (256 * 1024 + 1u32).to_be_bytes();
    let wire = [&init, &stat, &oversized[..]].concat();
    assert!(matches!(ends(&wire), Failure::Oversized(262_145)));
    assert!(matches!(ends(b"GET / HTTP/1.1\r\n"), Failure::Oversized(_)));
}

#[test]
fn everything_asked_before_the_end_is_answered() {
    let home = home();
    let mut server = Ours::start(home.path());
    let mut wire = frame(1, None, &3u32.to_be_bytes());
    for id in 0..50_000 {
        wire.extend(frame(17, Some(id), &body().string("file").0));
    }
    server.send(&wire);
    server.peer.eof();
    server.packet();
    for id in 0..50_000u32 {
        let packet = server.packet();
        assert_eq!((packet[0], &packet[1..5]), (105, &id.to_be_bytes()[..]));
    }
    let owed = wire.len() as u64 - server.peer.credited();
    assert!(owed < u64::from(WINDOW / 4), "{owed} bytes of window lost");
    server.end().unwrap();
}

/// paramiko asks for a whole file before it takes the first answer.
#[test]
fn a_client_that_only_asks_is_not_waited_for() {
    let home = home();
    let content: Vec<u8> = (0..100_000_000u32).map(|i| (i >> 7) as u8).collect();
    fs::write(home.path().join("big"), &content).unwrap();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    let big = client.open("big", 1, body().plain());
    for offset in (0..content.len()).step_by(32 * 1024) {
        client.send(5, body().string(&big).u64(offset as u64).u32(32 * 1024));
    }
    drop(client);
    server.pause(Duration::from_millis(300));
    let mut client = Client::resume(&mut server);
    for expected in content.chunks(32 * 1024) {
        let (kind, _, answer) = client.answer();
        assert_eq!(kind, 103);
        assert!(&answer[4..] == expected);
    }
}

#[test]
fn one_byte_at_a_time_is_as_good() {
    let home = home();
    let mut server = Ours::start(home.path());
    let mut wire = frame(1, None, &3u32.to_be_bytes());
    let fields = body().string("new").u32(2 | 8).plain();
    wire.extend(frame(3, Some(1), &fields.0));
    for byte in wire {
        server.send(&[byte]);
        server.pause(Duration::ZERO);
    }
    assert_eq!(server.packet()[0], 2);
    assert_eq!(server.packet()[0], 102);
}

/// OpenSSH waits for the other side, for ever if need be.
#[test]
fn a_fifo_does_not_stop_the_session() {
    let home = home();
    nix::unistd::mkfifo(&home.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    let fifo = client.open("fifo", 1, body().plain());
    client.read(&fifo, 0, 10);
    client.close(&fifo);
    client.open("fifo", 2, body().plain());
    client.stat("file");
    assert_eq!(client.transcript[1], "read 0 10: status 4");
    assert_eq!(client.transcript[3], "open fifo 0x2: status 4");
}

/// OpenSSH's answer depends on the file system's largest offset: BAD_MESSAGE or EOF.
#[test]
fn far_behind_the_end_is_the_end() {
    let home = home();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    let file = client.open("file", 1, body().plain());
    client.read(&file, 1 << 62, 5);
    client.read(&file, i64::MAX as u64 - 5, 5);
    assert_eq!(
        client.transcript[1..],
        [
            "read 4611686018427387904 5: status 1",
            "read 9223372036854775802 5: status 1"
        ]
    );
}

/// OpenSSH follows the dangling link and then replaces it.
#[test]
fn rename_never_replaces_even_a_dangling_link() {
    let home = home();
    symlink("nowhere", home.path().join("dangling")).unwrap();
    fs::create_dir(home.path().join("dir")).unwrap();
    symlink("x", home.path().join("other")).unwrap();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    client.two("rename", 18, "other", "dangling");
    assert_eq!(client.transcript, ["rename other dangling: status 4"]);
}

fn open_below(home: &Path) -> usize {
    let home = home.canonicalize().unwrap();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let targets = descriptors.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    targets.filter(|target| target.starts_with(&home)).count()
}

#[test]
fn a_session_that_ends_leaves_nothing_open() {
    let home = home();
    for graceful in [true, false] {
        let mut server = Ours::start(home.path());
        let mut client = Client::start(&mut server, "~");
        client.open("file", 1, body().plain());
        client.opendir(".");
        client.opendir("missing");
        assert_eq!(open_below(home.path()), 4);
        if graceful {
            server.peer.eof();
            server.end().unwrap();
        } else {
            drop(server);
        }
        let until = Instant::now() + Duration::from_secs(10);
        while open_below(home.path()) > 0 {
            assert!(Instant::now() < until, "descriptors left open");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_channel_that_closes_ends_the_session() {
    let home = home();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    let zero = client.open("/dev/zero", 1, body().plain());
    for _ in 0..1000 {
        client.send(5, body().string(&zero).u64(0).u32(255 * 1024));
    }
    server.peer.request(podssh::channel::Request::Closed);
    server.end().unwrap();
}

/// A copy from `/dev/zero` never ends by itself.
#[test]
fn an_endless_copy_ends_with_its_session() {
    let home = home();
    let mut server = Ours::start(home.path());
    let mut client = Client::start(&mut server, "~");
    let zero = client.open("/dev/zero", 1, body().plain());
    let null = client.open("/dev/null", 2, body().plain());
    let fields = body()
        .string("copy-data")
        .string(&zero)
        .u64(0)
        .u64(0)
        .string(&null)
        .u64(0);
    client.send(200, fields);
    server.pause(Duration::from_millis(50));
    let begun = Instant::now();
    drop(server);
    assert!(begun.elapsed() < Duration::from_secs(10));
}
