//! Lack of memory under control groups of version 2, by the kernel's own account.

use serde_json::Value;

use crate::contained::{Group, workspace};
use crate::guest::{Wants, within};
use crate::harness::daemon::binary;
use crate::harness::process::{PATIENCE, eventually};
use crate::said;
use crate::terminal::Terminal;
use crate::workspace::Served;

/// Room for the daemon and a shell, not for what `EAT` wants; of which the kernel has enough.
const LIMIT: &str = "160M";
const EAT: &str = "python3 -c 'x = bytearray(4 * 10**8)'";

#[track_caller]
fn limited(name: &str) -> Group {
    let group = Group::new(name);
    group.set("memory.max", LIMIT);
    group
}

#[track_caller]
fn status(served: &Served) -> Value {
    let status = format!("{} status --json", binary().display());
    let told = said::ok(&served.client.ssh([status]));
    serde_json::from_str(&told).expect("one JSON document")
}

#[test]
fn lack_of_memory_kills_a_program_not_the_daemon_and_is_told() {
    within(Wants::Groups, || {
        let workspace = workspace();
        let first = limited("first");
        let mut served = first.start(&workspace);
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
        first.set("memory.oom.group", "1");
        served.client.ssh([EAT]);
        eventually("all of it is killed", PATIENCE, || {
            (!served.daemon.is_running()).then_some(())
        });
        let events = first.read("memory.events");
        assert!(events.contains("oom_group_kill 1"), "{events}");

        let next = limited("next").start(&workspace);
        let status = status(&next);
        let end = &status["last_end"];
        assert!(end["how"] == "cut" && end["memory"] == true, "{end}");
        assert_eq!(status["memory_kills"], 0, "those were another group's");
        let screen = Terminal::shell(&next.client).screen();
        let told = screen.contains("probably for lack of memory");
        assert!(told, "{screen}");
    });
}
