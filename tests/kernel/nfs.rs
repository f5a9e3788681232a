//! A home on NFS, whose server takes our root for nobody, as most do.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guest::{Wants, within};
use crate::harness::daemon::binary;
use crate::harness::process::{PATIENCE, run};
use crate::remote_home;
use crate::said;
use crate::workspace::{GID, UID, Workspace};

/// Version 4 with the server's locks; version 3 with none that another machine would see.
const VERSION_4: &str = "vers=4.2";
const VERSION_3: &str = "vers=3,nolock";

/// A new home on the server, which nobody but its user may enter, mounted here.
#[track_caller]
fn mounted(options: &str) -> PathBuf {
    let (export, point) = (Path::new("/run/export"), Path::new("/run/nfs"));
    let there = export.join("home");
    fs::create_dir(&there).expect("a directory on the server");
    chown(&there, Some(UID), Some(GID)).expect("the server's own root may");
    fs::set_permissions(&there, fs::Permissions::from_mode(0o700)).expect("chmod");
    fs::create_dir(point).expect("a directory");
    let mut mount = Command::new("mount");
    mount.args(["-t", "nfs", "-o", options]);
    // To version 4 what is exported is the top of everything.
    mount.arg(if options == VERSION_3 {
        "127.0.0.1:/run/export"
    } else {
        "127.0.0.1:/"
    });
    said::ok(&run(mount.arg(point), b"", PATIENCE));
    let home = point.join("home");
    let refused = fs::read_dir(&home).expect_err("our root is nobody there");
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    home
}

#[test]
fn a_workspace_lives_on_version_4() {
    within(Wants::Nfs4, || {
        remote_home::everything_works(&Workspace::new(&mounted(VERSION_4)));
    });
}

#[test]
fn a_workspace_lives_on_version_3_without_locks() {
    within(Wants::Nfs3, || {
        remote_home::everything_works(&Workspace::new(&mounted(VERSION_3)));
    });
}

#[test]
fn started_as_root_the_daemon_serves_a_home_that_root_may_not_enter() {
    within(Wants::Nfs4, || {
        let workspace = Workspace::new(&mounted(VERSION_4));
        let passwd = format!(
            "jovyan:x:{UID}:{GID}::{}:/bin/bash\n",
            workspace.home.display()
        );
        let entries = fs::read_to_string("/etc/passwd").expect("this machine's users");
        fs::write("/run/passwd", entries + &passwd).expect("a file");
        let mut mount = Command::new("mount");
        mount.args(["--bind", "/run/passwd", "/etc/passwd"]);
        said::ok(&run(&mut mount, b"", PATIENCE));
        let served = workspace.start(&mut Command::new(binary()), "jovyan");
        let told = said::ok(&served.client.ssh(["id -u; pwd; touch x; stat -c %u x"]));
        let wanted = format!("{UID}\n{}\n{UID}\n", workspace.home.display());
        assert_eq!(told, wanted);
        let log = workspace.log();
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    });
}
