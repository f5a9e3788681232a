//! Lack of memory under control groups of version 2, by the kernel's own account.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::guest::{Wants, within};
use crate::harness::daemon::{binary, user};
use crate::harness::process::{PATIENCE, eventually};
use crate::said;
use crate::terminal::Terminal;
use crate::workspace::{GID, Served, UID, Workspace};

const GROUPS: &str = "/sys/fs/cgroup";
/// Room for the daemon and a shell, not for what `EAT` wants; of which the kernel has enough.
const LIMIT: &str = "160M";
const EAT: &str = "python3 -c 'x = bytearray(4 * 10**8)'";

/// In the group whose directory is its name, which becomes the top of all that is seen of groups, as in a
/// container; then as the user and group told first, the rest.
const CONTAIN: &str = r#"
echo $$ >"$0/cgroup.procs" &&
exec unshare --cgroup --mount sh -c '
    umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec setpriv --clear-groups --reuid "$0" --regid "$@"
' "$@"
"#;

/// Starts the daemon as an engine starts a container with a limit.
#[track_caller]
fn contained(workspace: &Workspace, group: &str) -> Served {
    let group = Path::new(GROUPS).join(group);
    fs::create_dir(&group).expect("a control group");
    fs::write(group.join("memory.max"), LIMIT).expect("its limit");
    let mut command = Command::new("sh");
    command.args(["-c", CONTAIN]).arg(&group);
    command.args([UID, GID].map(|id| id.to_string()));
    workspace.start(command.arg(binary()), user())
}

#[track_caller]
fn status(served: &Served) -> Value {
    let status = format!("{} status --json", binary().display());
    let told = said::ok(&served.client.ssh([status]));
    serde_json::from_str(&told).expect("one JSON document")
}

/// A workspace with a home of its own on this kernel's memory.
#[track_caller]
fn workspace() -> Workspace {
    let home = Path::new("/run/home");
    fs::create_dir(home).expect("a home");
    chown(home, Some(UID), Some(GID)).expect("root may chown");
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).expect("chmod");
    Workspace::new(home)
}

#[test]
fn lack_of_memory_kills_a_program_not_the_daemon_and_is_told() {
    within(Wants::Groups, || {
        let workspace = workspace();
        let mut served = contained(&workspace, "first");
        let output = served.client.ssh([EAT]);
        assert!(!output.status.success(), "{}", said::show(&output));
        eventually("it is noticed", PATIENCE, || {
            let kills = status(&served)["memory_kills"].as_u64()?;
            (kills > 0).then_some(())
        });
        let terminal = Terminal::shell(&served.client);
        let screen = terminal.screen();
        let told = screen.contains("killed here for lack of memory");
        assert!(told, "{screen}");
        drop(terminal);

        // As the kubelet sets it: all of a container goes with one of its processes.
        fs::write(format!("{GROUPS}/first/memory.oom.group"), "1").expect("a setting");
        served.client.ssh([EAT]);
        eventually("all of it is killed", PATIENCE, || {
            (!served.daemon.is_running()).then_some(())
        });
        let events = fs::read_to_string(format!("{GROUPS}/first/memory.events"));
        let events = events.expect("the kernel's account");
        assert!(events.contains("oom_group_kill 1"), "{events}");

        let next = contained(&workspace, "next");
        let status = status(&next);
        let end = &status["last_end"];
        assert!(end["how"] == "cut" && end["memory"] == true, "{end}");
        assert_eq!(status["memory_kills"], 0, "those were another group's");
        let screen = Terminal::shell(&next.client).screen();
        let told = screen.contains("probably for lack of memory");
        assert!(told, "{screen}");
    });
}
