//! The same requests to OpenSSH's server and to ours must get the same answers: kinds, status codes,
//! data, names, attributes, long names.
//!
//! Intended differences are not in these scripts but in `limits.rs` and `extensions.rs`, each with
//! its reason.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::client::{Body, Client, body};
use crate::servers::{Ours, Server, Theirs};

const READ: u32 = 1;
const WRITE: u32 = 2;
const APPEND: u32 = 4;
const CREAT: u32 = 8;
const TRUNC: u32 = 16;
const EXCL: u32 = 32;

/// Files that every script may use; times are fixed, so that answers can be compared.
fn prepare(home: &Path) {
    fs::create_dir(home.join("dir")).unwrap();
    fs::write(home.join("dir/inner"), "inner").unwrap();
    fs::write(home.join("file"), "0123456789").unwrap();
    fs::write(home.join("empty"), "").unwrap();
    let odd = std::ffi::OsString::from_vec(b"odd\xff\n name".to_vec());
    fs::write(home.join(odd), "odd").unwrap();
    symlink("file", home.join("link")).unwrap();
    symlink("nowhere", home.join("dangling")).unwrap();
    symlink("loop", home.join("loop")).unwrap();
    nix::unistd::mkfifo(&home.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::set_permissions(home.join("file"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(home.join("empty"), fs::Permissions::from_mode(0o4755)).unwrap();
    for entry in fs::read_dir(home).unwrap() {
        let time = nix::sys::time::TimeSpec::new(1_500_000_000, 5);
        let link = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
        let path = entry.unwrap().path();
        nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, &path, &time, &time, link).unwrap();
    }
}

/// Play `script` to a fresh server of each sort in a home of its own, and compare.
#[track_caller]
pub(crate) fn compare(script: impl Fn(&mut Client<'_>)) {
    let play = |start: &dyn Fn(&Path) -> Box<dyn Server>| {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().canonicalize().unwrap();
        prepare(&home);
        let mut server = start(&home);
        let mut client = Client::start(server.as_mut(), home.to_str().unwrap());
        script(&mut client);
        client.transcript
    };
    let theirs = play(&|home| Box::new(Theirs::start(home)));
    let ours = play(&|home| Box::new(Ours::start(home)));
    let different: Vec<_> = theirs
        .iter()
        .zip(&ours)
        .filter(|(theirs, ours)| theirs != ours)
        .map(|(theirs, ours)| format!("theirs {theirs}\n  ours {ours}"))
        .collect();
    assert!(different.is_empty(), "\n{}", different.join("\n"));
    assert_eq!(theirs.len(), ours.len());
    assert!(!theirs.is_empty());
}

#[test]
fn reading() {
    compare(|client| {
        let file = client.open("file", READ, body().plain());
        for (offset, length) in [
            (0, 4),
            (4, 100),
            (10, 1),
            (11, 1),
            (0, 0),
            (1 << 63, 5),
            (u64::MAX, 5),
            (3, u32::MAX),
        ] {
            client.read(&file, offset, length);
        }
        client.write(&file, 0, b"x");
        client.write(&file, 0, b"");
        client.ask("fstat", 8, body().string(&file));
        client.close(&file);
        client.read(&file, 0, 1);
        client.close(&file);
        for path in ["missing", "file/x", "loop", "dangling", "", "dir/../link"] {
            client.open(path, READ, body().plain());
        }
        let directory = client.open("dir", READ, body().plain());
        client.read(&directory, 0, 10);
        client.open("dir", WRITE, body().plain());
        let name = "n".repeat(300);
        client.open(&name, READ, body().plain());
        client.open(&"d/".repeat(2100), READ, body().plain());
    });
}

#[test]
fn large_reads_and_sparse_files() {
    compare(|client| {
        let file = client.open("big", READ | WRITE | CREAT, body().plain());
        let data: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        client.write(&file, 0, &data);
        client.write(&file, 5_000_000_000, b"end");
        for (offset, length) in [
            (0, 32_768),
            (100, 255 * 1024),
            (1000, 1_000_000),
            (199_999, 300_000),
            (4_999_999_990, 20),
            (5_000_000_003, 1),
        ] {
            let (_, answer) = client.read(&file, offset, length);
            let sum = answer.iter().map(|&byte| u64::from(byte)).sum::<u64>();
            client.transcript.push(format!("sum {sum}"));
        }
        client.write(&file, 1 << 63, b"x");
        client.write(&file, u64::MAX, b"x");
        client.write(&file, i64::MAX as u64, b"x");
        client.stat("big");
        client.close(&file);
    });
}

#[test]
fn open_flags_and_modes() {
    compare(|client| {
        let all = [
            ("file", WRITE | CREAT | EXCL),
            ("link", WRITE | CREAT | EXCL),
            ("dangling", WRITE | CREAT | EXCL),
            ("new1", WRITE),
            ("new1", WRITE | CREAT | EXCL),
            ("new2", CREAT),
            ("file", WRITE | TRUNC),
            ("new3", READ | WRITE | CREAT | TRUNC),
            ("dangling", WRITE | CREAT),
            ("dir/new", APPEND | CREAT),
            ("nodir/new", WRITE | CREAT),
        ];
        for (path, flags) in all {
            client.open(path, flags, body().plain());
            client.stat(path);
        }
        for (path, mode) in [
            ("m1", 0o600),
            ("m2", 0o777),
            ("m3", 0o4711),
            ("m4", 0o100_644),
        ] {
            client.open(path, WRITE | CREAT, body().mode(mode));
            client.stat(path);
        }
    });
}

#[test]
fn appending() {
    compare(|client| {
        let file = client.open("file", WRITE | APPEND, body().plain());
        client.write(&file, 0, b"abc");
        client.write(&file, 1 << 63, b"def");
        client.write(&file, 2, b"");
        client.stat("file");
        let reading = client.open("file", READ, body().plain());
        client.read(&reading, 0, 100);
    });
}

#[test]
fn writes_are_seen_by_what_follows() {
    compare(|client| {
        let file = client.open("w", READ | WRITE | CREAT, body().plain());
        client.write(&file, 0, b"aaaa");
        client.ask("fstat", 8, body().string(&file));
        client.write(&file, 2, b"bb");
        client.read(&file, 0, 10);
        let sized = body().string(&file);
        client.ask("fsetstat", 10, Body([sized.0, body().size(3).0].concat()));
        client.read(&file, 0, 10);
        client.path("remove", 13, "w");
        client.ask("fstat", 8, body().string(&file));
        client.read(&file, 0, 10);
        client.close(&file);
        client.stat("w");
    });
}

#[test]
fn attributes() {
    compare(|client| {
        let names = [
            "file",
            "link",
            "dangling",
            "loop",
            "dir",
            "dir/",
            "file/",
            "fifo",
            "empty",
            "missing",
            "/dev/null",
            "/dev/full",
            "",
            ".",
            "..",
            "/",
            "file/x",
            "//dev//null",
        ];
        for path in names {
            client.stat(path);
            client.lstat(path);
        }
        client.path("stat", 17, b"odd\xff\n name");
        client.path("stat", 17, b"odd\xfe\n name");
        for path in ["file", "link", "missing", "dir", "loop"] {
            client.setstat(path, body().mode(0o100_604));
            client.setstat(path, body().times(1_000_000_000, 1_200_000_000));
            client.setstat(path, body().size(3));
            client.setstat(path, body().size(1 << 63));
            client.setstat(path, body().owner(u32::MAX, u32::MAX));
            client.setstat(path, body().plain());
            client.lstat(path);
            client.stat(path);
        }
        let extended = body()
            .u32(0x8000_0004)
            .u32(0o700)
            .u32(1)
            .string("a@b")
            .string("c");
        client.setstat("file", extended);
        client.stat("file");
    });
}

#[test]
fn attributes_of_open_files() {
    compare(|client| {
        let file = client.open("file", READ | WRITE, body().plain());
        let fsetstat = |client: &mut Client<'_>, attributes: Body| {
            let fields = Body([body().string(&file).0, attributes.0].concat());
            client.ask("fsetstat", 10, fields);
            client.ask("fstat", 8, body().string(&file));
        };
        fsetstat(client, body().mode(0o711));
        fsetstat(client, body().times(1_000_000_000, 1_100_000_000));
        fsetstat(client, body().size(100));
        fsetstat(client, body().size(u64::MAX));
        fsetstat(client, body().owner(u32::MAX, u32::MAX));
        let reading = client.open("file", READ, body().plain());
        let fields = Body([body().string(&reading).0, body().size(1).0].concat());
        client.ask("fsetstat of a file open for reading", 10, fields);
        let directory = client.opendir("dir");
        client.ask("fstat of a directory", 8, body().string(&directory));
        let fields = Body([body().string(&directory).0, body().mode(0o700).0].concat());
        client.ask("fsetstat of a directory", 10, fields);
    });
}

#[test]
fn listings() {
    compare(|client| {
        for path in [
            ".", "dir", "/dev/pts", "missing", "file", "link", "dangling", "",
        ] {
            client.list(path);
        }
        let directory = client.opendir("dir");
        client.read(&directory, 0, 10);
        client.write(&directory, 0, b"x");
        client.close(&directory);
        client.ask("readdir", 12, body().string(&directory));
        let file = client.open("file", READ, body().plain());
        client.ask("readdir of a file", 12, body().string(&file));
    });
}

#[test]
fn a_directory_of_thousands() {
    compare(|client| {
        client.mkdir("many", body().plain());
        for index in 0..1500 {
            let name = format!("many/{index}-{}", "x".repeat(index % 200));
            let handle = client.open(&name, WRITE | CREAT, body().mode(0o600));
            client.close(&handle);
            client.setstat(
                &name,
                body().times(1_000_000_000, 1_000_000_000 + index as u32),
            );
        }
        client.list("many");
    });
}

#[test]
fn names() {
    compare(|client| {
        client.mkdir("made", body().plain());
        client.lstat("made");
        client.mkdir("made", body().plain());
        client.mkdir("tight", body().mode(0o47_700));
        client.lstat("tight");
        client.mkdir("no/such", body().plain());
        client.path("rmdir", 15, "dir");
        client.path("rmdir", 15, "made");
        client.path("rmdir", 15, "file");
        client.path("rmdir", 15, "missing");
        client.path("rmdir", 15, ".");
        client.path("remove", 13, "dir");
        client.path("remove", 13, "link");
        client.path("remove", 13, "link");
        client.path("remove", 13, "fifo");
        client.path("remove", 13, "file/x");
        client.path("remove", 13, b"odd\xff\n name");
        client.list(".");
    });
}

#[test]
fn renaming() {
    compare(|client| {
        for (from, to) in [
            ("missing", "x"),
            ("file", "empty"),
            ("file", "file"),
            ("file", "dir"),
            ("dir", "file"),
            ("file", "no/such"),
            ("dir", "dir/below"),
            ("file", "dir/moved"),
            ("dir", "dir2"),
            ("dangling", "dangling2"),
            ("link", "empty"),
            ("fifo", "fifo2"),
            ("", "x"),
        ] {
            client.two("rename", 18, from, to);
        }
        client.list(".");
        for (from, to) in [
            ("missing", "x"),
            ("dir2/moved", "empty"),
            ("empty", "dir2"),
            ("dir2", "empty"),
            ("dir2", "dir2/below"),
            ("dangling2", "empty"),
        ] {
            let fields = body().string(from).string(to);
            client.extended("posix-rename@openssh.com", fields);
        }
        client.list(".");
    });
}

#[test]
fn links() {
    compare(|client| {
        for path in ["link", "dangling", "file", "missing", "dir", "loop", ""] {
            client.path("readlink", 19, path);
        }
        client.two("symlink", 20, "any/target", "s1");
        client.path("readlink", 19, "s1");
        client.two("symlink", 20, "x", "file");
        client.two("symlink", 20, "x", "no/such");
        client.two("symlink", 20, "", "s2");
        client.two("symlink", 20, &"t".repeat(4000), "s3");
        client.path("readlink", 19, "s3");
        client.path("readlink", 19, "p/".repeat(2100));
        for (from, to) in [
            ("file", "h1"),
            ("missing", "h2"),
            ("file", "empty"),
            ("link", "h3"),
            ("dir", "h4"),
        ] {
            let fields = body().string(from).string(to);
            client.extended("hardlink@openssh.com", fields);
        }
        client.list(".");
    });
}

#[test]
fn real_paths() {
    compare(|client| {
        for path in [
            "",
            ".",
            "..",
            "/",
            "//",
            "dir",
            "dir/",
            "dir/..",
            "dir/../..",
            "./dir/./inner",
            "link",
            "link/",
            "dangling",
            "dangling/",
            "loop",
            "missing",
            "missing/",
            "missing/x",
            "dir/missing",
            "dir/missing/..",
            "file/",
            "file/..",
            "file/x",
            "/../../dev",
            "~",
            "~/x",
            "/dev//null",
            "dir//inner",
            "/missing",
        ] {
            client.realpath(path);
        }
        client.realpath(&"a".repeat(300));
        client.realpath(&"a/".repeat(2100));
        client.path("realpath", 16, b"odd\xff\n name");
    });
}

#[test]
fn handles_that_are_none() {
    compare(|client| {
        for handle in [&b""[..], b"x", &[0; 4], &[0xff; 8], &[7; 300]] {
            client.read(handle, 0, 10);
            client.write(handle, 0, b"x");
            client.close(handle);
            client.ask("fstat", 8, body().string(handle));
            client.ask("readdir", 12, body().string(handle));
            let fields = Body([body().string(handle).0, body().plain().0].concat());
            client.ask("fsetstat", 10, fields);
            client.extended("fsync@openssh.com", body().string(handle));
            client.extended("fstatvfs@openssh.com", body().string(handle));
        }
    });
}
