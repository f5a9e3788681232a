//! A control group of version 2 that may hold no more processes: a pod's limit, which is on threads too.

use crate::contained::{Group, workspace};
use crate::guest::{Wants, within};
use crate::harness::process::{PATIENCE, eventually, run};
use crate::said;

#[test]
fn a_group_full_of_processes_is_told_on_the_channel_and_forgotten_when_it_has_room() {
    within(Wants::Groups, || {
        let workspace = workspace();
        let group = Group::new("full");
        let mut served = group.start(&workspace);
        assert_eq!(said::ok(&served.client.ssh(["echo well"])), "well\n");
        eventually("nothing but the daemon is left in it", PATIENCE, || {
            (group.read("cgroup.procs").lines().count() == 1).then_some(())
        });
        group.set("pids.max", group.read("pids.current").trim());
        // A new connection each: to be let in takes no process, to run something does.
        for args in [&["workspace", "true"][..], &["-tt", "workspace", "true"]] {
            let output = run(served.client.command("ssh").args(args), b"", PATIENCE);
            let words = said::failed(&output, 254);
            assert!(
                words.contains("Resource temporarily unavailable"),
                "{words}"
            );
        }
        let refusals = group.read("pids.events");
        assert!(!refusals.contains("max 0"), "by the group: {refusals}");
        assert!(served.daemon.is_running(), "the daemon goes on");

        group.set("pids.max", "max");
        assert_eq!(said::ok(&served.client.ssh(["echo back"])), "back\n");
        let log = workspace.log();
        assert!(!log.contains("panicked"), "{log}");
    });
}
