//! A kernel of our own: user-mode Linux, with this machine's files as its root. What runs in it is this
//! very test program again, for one test.

use std::any::type_name;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::daemon::binary;
use crate::harness::process::run;

/// It starts in three seconds, and each system call takes many times what it takes here.
const PATIENCE: Duration = Duration::from_secs(300);
/// How init.sh says that all was well.
const WELL: &str = "guest: the test ended with 0";

/// What init.sh puts up before the test.
#[derive(Clone, Copy)]
pub(crate) enum Wants {
    /// A server of NFS on 127.0.0.1, version 3.
    Nfs3,
    /// The same of version 4.
    Nfs4,
    /// Control groups of version 2.
    Groups,
}

/// Runs the test that calls this in a kernel of its own, where it calls this again and `test` is run.
#[track_caller]
pub(crate) fn within<T: FnOnce()>(wants: Wants, test: T) {
    if std::env::var_os("GUEST_TEST").is_some() {
        return test();
    }
    let directory = tempfile::tempdir().expect("a temp dir");
    let output = boot(wants, name_of::<T>(), directory.path());
    let console = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let well = console.contains("1 passed") && console.lines().any(|line| line == WELL);
    assert!(
        well,
        "in the guest:\n{console}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// `module::test` of the test that a closure was written in.
fn name_of<T>() -> &'static str {
    let path = type_name::<T>();
    let path = path.split_once("::").map_or(path, |(_, inside)| inside);
    path.trim_end_matches("::{{closure}}")
}

fn boot(wants: Wants, test: &str, directory: &Path) -> Output {
    let linux = Path::new("/usr/bin/linux.uml");
    assert!(
        linux.exists(),
        "user-mode-linux is missing: run 'scripts/install test'"
    );
    let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel/init.sh");
    let program = std::env::current_exe().expect("this program");
    let home = std::env::var_os("HOME").map_or("/".into(), PathBuf::from);
    let wants = match wants {
        Wants::Nfs3 => "nfs3",
        Wants::Nfs4 => "nfs4",
        Wants::Groups => "groups",
    };
    let mut command = Command::new(linux);
    command.args([
        "mem=768M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
    ]);
    // Nothing is read from the console; all that the guest says goes to our standard output.
    command.args(["con=null", "con0=null,fd:1", "quiet"]);
    command.arg(format!("uml_dir={}/", directory.display()));
    for (name, value) in [
        ("init", init.as_path()),
        ("GUEST_PROGRAM", &program),
        ("GUEST_HOME", &home),
        ("PODSSH_BINARY", binary()),
    ] {
        let value = value.to_str().expect("a path of UTF-8");
        assert!(!value.contains(' '), "{value:?} cannot be told to a kernel");
        command.arg(format!("{name}={value}"));
    }
    command.arg(format!("GUEST_WANTS={wants}"));
    command.arg(format!("GUEST_TEST={test}"));
    run(&mut command, b"", PATIENCE)
}
