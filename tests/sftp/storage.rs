//! What happens to files underneath open handles: others renamed over them, and a disk that fills up.
//! Both servers, the same answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::{Client, body};
use crate::conformance::compare;
use crate::render::Answer;
use crate::servers::{Ours, Server, Theirs};

const READ: u32 = 1;
const WRITE: u32 = 2;
const CREAT: u32 = 8;

/// A disk of this many bytes, and twice as much to put on it.
const DISK: usize = 1 << 20;
const PIECE: usize = 32 * 1024;

#[test]
fn an_open_file_stays_what_it_was_when_another_is_renamed_over_it() {
    compare(|client| {
        let reading = client.open("file", READ, body().plain());
        let writing = client.open("file", WRITE, body().plain());
        let fields = body().string("dir/inner").string("file");
        client.extended("posix-rename@openssh.com", fields);
        client.read(&reading, 0, 100);
        client.write(&writing, 0, b"gone");
        client.read(&reading, 0, 100);
        let renamed = client.open("file", READ, body().plain());
        client.read(&renamed, 0, 100);
        for handle in [reading, writing, renamed] {
            client.close(&handle);
        }
    });
}

#[test]
fn an_open_file_can_be_renamed_and_removed_and_stays_usable() {
    compare(|client| {
        let handle = client.open("file", READ | WRITE, body().plain());
        client.two("rename", 18, "file", "dir/moved");
        client.write(&handle, 2, b"xy");
        let moved = client.open("dir/moved", READ, body().plain());
        client.read(&moved, 0, 100);
        client.path("remove", 13, "dir/moved");
        client.write(&handle, 4, b"z");
        client.read(&moved, 0, 100);
        client.stat("dir/moved");
        client.close(&handle);
        client.close(&moved);
    });
}

/// Requests ahead of their answers, as every client writes: what was acknowledged is on the disk, what
/// is not there was refused, and the session goes on.
#[test]
fn on_a_disk_that_fills_up_every_acknowledged_write_is_kept() {
    for start in [
        (|home| Box::new(Ours::start(home)) as Box<dyn Server>) as fn(&Path) -> Box<dyn Server>,
        |home| Box::new(Theirs::start(home)),
    ] {
        let disk = Disk::mount();
        let mut server = start(&disk.at);
        let mut client = Client::start(server.as_mut(), "~");
        let handle = client.open("large", WRITE | CREAT, body().plain());
        let pieces = 2 * DISK / PIECE;
        let ids: Vec<_> = (0..pieces)
            .map(|number| {
                let offset = (number * PIECE) as u64;
                let data = vec![number as u8; PIECE];
                client.send(6, body().string(&handle).u64(offset).string(data))
            })
            .collect();
        let acknowledged = answers(&mut client, &ids);
        let kept = fs::read(disk.at.join("large")).unwrap();
        let count = acknowledged.iter().filter(|ok| **ok).count();
        assert!(count > 0 && count < pieces, "{count} of {pieces}");
        for (number, _) in acknowledged.iter().enumerate().filter(|(_, ok)| **ok) {
            let piece = &kept[number * PIECE..(number + 1) * PIECE];
            assert!(piece.iter().all(|byte| *byte == number as u8), "{number}");
        }
        client.close(&handle);
        client.path("remove", 13, "large");
        let again = client.open("small", WRITE | CREAT, body().plain());
        client.write(&again, 0, b"fits");
        assert_eq!(fs::read(disk.at.join("small")).unwrap(), b"fits");
    }
}

/// Whether each of the requests succeeded; their answers may come in any order.
fn answers(client: &mut Client<'_>, ids: &[u32]) -> Vec<bool> {
    let mut succeeded = vec![None; ids.len()];
    for _ in ids {
        let (kind, id, body) = client.answer();
        assert_eq!(kind, 101, "a status");
        let number = ids.iter().position(|asked| *asked == id).unwrap();
        assert!(
            succeeded[number]
                .replace(Answer(&body).u32() == 0)
                .is_none()
        );
    }
    succeeded.into_iter().map(Option::unwrap).collect()
}

/// A small file system, unmounted on drop.
struct Disk {
    at: PathBuf,
    _parent: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let at = parent.path().canonicalize().unwrap().join("disk");
        fs::create_dir(&at).unwrap();
        let size = format!("size={DISK},mode=777");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "podssh-test"])
            .arg(&at)
            .status();
        assert!(mounted.unwrap().success(), "mounting a tmpfs needs root");
        Self {
            at,
            _parent: parent,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nothing to be done about it here.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
