//! A workspace in a control group of version 2, as an engine starts a container with limits.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::daemon::{binary, user};
use crate::workspace::{GID, Served, UID, Workspace};

const GROUPS: &str = "/sys/fs/cgroup";

/// In the group whose directory is its name, which becomes the top of all that is seen of groups, as in a
/// container; then as the user and group told first, the rest.
const CONTAIN: &str = r#"
echo $$ >"$0/cgroup.procs" &&
exec unshare --cgroup --mount sh -c '
    umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec setpriv --clear-groups --reuid "$0" --regid "$@"
' "$@"
"#;

/// A control group of its own name, as the kernel shows it outside.
pub(crate) struct Group(PathBuf);

impl Group {
    #[track_caller]
    pub(crate) fn new(name: &str) -> Self {
        let group = Path::new(GROUPS).join(name);
        fs::create_dir(&group).expect("a control group");
        Self(group)
    }

    #[track_caller]
    pub(crate) fn set(&self, limit: &str, to: &str) {
        fs::write(self.0.join(limit), to).expect("a limit");
    }

    #[track_caller]
    pub(crate) fn read(&self, what: &str) -> String {
        fs::read_to_string(self.0.join(what)).expect("the kernel's account")
    }

    /// Starts the daemon in it.
    #[track_caller]
    pub(crate) fn start(&self, workspace: &Workspace) -> Served {
        let mut command = Command::new("sh");
        command.args(["-c", CONTAIN]).arg(&self.0);
        command.args([UID, GID].map(|id| id.to_string()));
        workspace.start(command.arg(binary()), user())
    }
}

/// A workspace with a home of its own on this kernel's memory.
#[track_caller]
pub(crate) fn workspace() -> Workspace {
    let home = Path::new("/run/home");
    fs::create_dir(home).expect("a home");
    chown(home, Some(UID), Some(GID)).expect("root may chown");
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).expect("chmod");
    Workspace::new(home)
}
