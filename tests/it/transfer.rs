//! Files by OpenSSH's own tools, rsync and git.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::bare::{Place, text};
use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, run};
use crate::said;

/// A daemon and a local directory with a tree worth copying.
struct Rig {
    daemon: Daemon,
    local: TempDir,
}

impl Rig {
    #[track_caller]
    fn new() -> Self {
        let local = tempfile::tempdir().expect("a temp dir");
        let tree = local.path().join("tree");
        fs::create_dir_all(tree.join("sub/empty")).expect("folders");
        fs::write(tree.join("noise"), said::noise(3_000_000)).expect("a file");
        fs::write(tree.join("sub/script"), "#!/bin/sh\n").expect("a file");
        fs::write(tree.join("sub/ünïcode and blanks"), "x").expect("a file");
        fs::write(tree.join("nothing"), "").expect("a file");
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(tree.join("sub/script"), executable).expect("chmod");
        Self {
            daemon: Daemon::start(|_| ()),
            local,
        }
    }

    fn here(&self, name: &str) -> std::path::PathBuf {
        self.local.path().join(name)
    }

    /// Runs `sftp` on a batch; a failing line ends it.
    #[track_caller]
    fn sftp(&self, batch: &str) -> Output {
        let mut command = self.daemon.client.command("sftp");
        command
            .args(["-b", "-", "workspace"])
            .current_dir(self.local.path());
        run(&mut command, batch.as_bytes(), PATIENCE)
    }

    #[track_caller]
    fn run(&self, command: &mut Command) -> Output {
        command.current_dir(self.local.path());
        run(command, b"", PATIENCE)
    }

    /// `ssh` as other tools want to be told of it.
    fn ssh(&self) -> String {
        format!("ssh -F {}", text(&self.daemon.client.config))
    }
}

/// Asserts that two trees have the same files, contents and modes.
#[track_caller]
fn same(left: &Path, right: &Path) {
    let mut diff = Command::new("diff");
    diff.args(["-r", "--no-dereference"]).args([left, right]);
    said::ok(&run(&mut diff, b"", PATIENCE));
    let mode = |path: &Path| fs::metadata(path).expect("a file").mode() & 0o777;
    for name in ["sub/script", "nothing"] {
        assert_eq!(mode(&left.join(name)), mode(&right.join(name)), "{name}");
    }
}

#[test]
fn sftp_puts_and_gets_a_tree() {
    let rig = Rig::new();
    said::ok(&rig.sftp("put -rp tree up\nget -rp up back\n"));
    same(&rig.here("tree"), &rig.daemon.home().join("up"));
    same(&rig.here("tree"), &rig.here("back"));
}

#[test]
fn sftp_resumes_in_both_directions() {
    let rig = Rig::new();
    let noise = said::noise(3_000_000);
    fs::write(rig.here("part"), &noise[..1_000_000]).expect("a file");
    said::ok(&rig.sftp("put part whole\n"));
    fs::write(rig.here("whole"), &noise).expect("a file");
    said::ok(&rig.sftp("reput whole whole\n"));
    assert!(fs::read(rig.daemon.home().join("whole")).expect("it") == noise);
    said::ok(&rig.sftp("reget whole part\n"));
    assert!(fs::read(rig.here("part")).expect("it") == noise);
}

#[test]
fn sftp_does_everything_one_does_with_files() {
    let rig = Rig::new();
    said::ok(&rig.sftp(
        "mkdir d\nput tree/noise d/a\nrename d/a d/b\nsymlink b d/link\nln d/b d/hard\nchmod 640 d/b\n\
         cd d\npwd\nmkdir e\nrmdir e\n",
    ));
    let home = rig.daemon.home();
    assert_eq!(
        fs::read_link(home.join("d/link")).expect("a link"),
        Path::new("b")
    );
    let b = fs::metadata(home.join("d/b")).expect("b");
    assert_eq!(
        (b.mode() & 0o777, b.nlink(), b.len()),
        (0o640, 2, 3_000_000)
    );
    let listing = said::ok(&rig.sftp("ls -la d\n"));
    assert!(
        listing.contains("-rw-r-----") && listing.contains("lrwxrwxrwx"),
        "{listing}"
    );
    assert!(said::ok(&rig.sftp("df -h\n")).contains("%Capacity"));
    said::ok(&rig.sftp("rm d/b\nrm d/hard\nrm d/link\nrmdir d\n"));
    assert!(!home.join("d").exists());
    let error = said::failed(&rig.sftp("get no-such-file\n"), 1);
    assert!(
        error.contains("not found") || error.contains("No such file"),
        "{error}"
    );
    let error = said::failed(&rig.sftp("mkdir /proc/denied\n"), 1);
    assert!(!error.is_empty());
}

#[test]
fn scp_copies_both_ways_over_sftp_and_the_old_protocol() {
    let rig = Rig::new();
    let place = Place::new();
    let (_daemon, client, home) = place.serve_known();
    let scp = |args: &[&str]| rig.run(client.command("scp").args(args));
    for (number, flags) in [&["-rp"][..], &["-O", "-rp"], &["-rpC"]].iter().enumerate() {
        let (up, back) = (format!("up{number}"), format!("back{number}"));
        let there = format!("workspace:{up}");
        said::ok(&scp(&[*flags, &["tree", &there]].concat()));
        same(&rig.here("tree"), &home.join(&up));
        said::ok(&scp(&[*flags, &[&there, &back]].concat()));
        same(&rig.here("tree"), &rig.here(&back));
    }
    let error = said::failed(&scp(&["workspace:no-such-file", "x"]), 1);
    assert!(error.contains("No such file"), "{error}");
    said::ok(&scp(&["tree/noise", "workspace:~/copy"]));
    assert!(home.join("copy").exists());
}

#[test]
fn rsync_copies_a_tree_both_ways_and_deletes() {
    let rig = Rig::new();
    symlink("noise", rig.here("tree/link")).expect("a link");
    let rsync = |args: &[&str]| {
        let mut command = Command::new("rsync");
        command.args(["-rlpt", "-z", "--delete", "--stats", "-e", &rig.ssh()]);
        said::ok(&rig.run(command.args(args)))
    };
    rsync(&["tree/", "workspace:copy/"]);
    same(&rig.here("tree"), &rig.daemon.home().join("copy"));
    let stats = rsync(&["tree/", "workspace:copy/"]);
    assert!(
        stats.contains("Number of regular files transferred: 0"),
        "{stats}"
    );
    fs::remove_file(rig.here("tree/nothing")).expect("ours");
    fs::write(rig.here("tree/sub/new"), "new").expect("a file");
    rsync(&["tree/", "workspace:copy/"]);
    assert!(!rig.daemon.home().join("copy/nothing").exists());
    rsync(&["workspace:copy/", "back/"]);
    fs::write(rig.here("tree/nothing"), "").expect("a file");
    fs::write(rig.here("back/nothing"), "").expect("a file");
    same(&rig.here("tree"), &rig.here("back"));
}

#[test]
fn git_pushes_clones_and_fetches() {
    let rig = Rig::new();
    said::ok(&rig.daemon.ssh(["git init -q --bare repo.git -b main"]));
    let git = |directory: &str, args: &[&str]| {
        let mut command = Command::new("git");
        command
            .args([
                "-C",
                text(&rig.here(directory)),
                "-c",
                "init.defaultBranch=main",
            ])
            .args(["-c", "user.name=t", "-c", "user.email=t@t"])
            .args(args)
            .env("GIT_SSH_COMMAND", rig.ssh())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", rig.local.path());
        said::ok(&rig.run(&mut command))
    };
    git("tree", &["init", "-q"]);
    git("tree", &["add", "."]);
    git("tree", &["commit", "-qm", "first"]);
    git("tree", &["push", "-q", "workspace:repo.git", "main"]);
    git("", &["clone", "-q", "workspace:repo.git", "clone"]);
    assert_eq!(
        fs::read(rig.here("clone/noise")).expect("it"),
        said::noise(3_000_000)
    );
    git("tree", &["commit", "-qm", "second", "--allow-empty"]);
    git("tree", &["push", "-q", "workspace:repo.git", "main"]);
    git("clone", &["fetch", "-q"]);
    assert!(git("clone", &["log", "--oneline", "origin/main"]).contains("second"));
    // Protocol 2 needs the GIT_PROTOCOL variable to be accepted.
    let mut command = Command::new("git");
    command.args([
        "-c",
        "protocol.version=2",
        "ls-remote",
        "workspace:repo.git",
    ]);
    command.env("GIT_SSH_COMMAND", rig.ssh());
    command.env("GIT_TRACE_PACKET", "1");
    let trace = rig.run(&mut command);
    said::ok(&trace);
    assert!(
        said::err(&trace).contains("version 2"),
        "{}",
        said::show(&trace)
    );
}
