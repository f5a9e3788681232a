//! What the node gives: kernel, memory, CPUs, processes, time.

use std::fs::File;
use std::time::{Duration, SystemTime};

use podssh::doctor::Severity::{Fault, Warning};

use crate::workspace::{Workspace, complaints, spoilt};

#[test]
fn an_old_kernel_and_small_inotify_limits() {
    let old = |w: &mut Workspace| w.write("proc/sys/kernel/osrelease", "3.10.0-1160.el7.x86_64\n");
    spoilt(
        old,
        "kernel.release",
        Fault,
        "Linux 3.10.0-1160",
        "node's operating system",
    );
    let few = |w: &mut Workspace| w.write("proc/sys/fs/inotify/max_user_watches", "8192\n");
    let fix = "sysctl fs.inotify.max_user_watches=524288";
    spoilt(few, "kernel.inotify-watches", Warning, "is 8192", fix);
    let few = |w: &mut Workspace| w.write("proc/sys/fs/inotify/max_user_instances", "128\n");
    let fix = "sysctl fs.inotify.max_user_instances";
    spoilt(few, "kernel.inotify-instances", Warning, "is 128", fix);
}

#[test]
fn memory_counts_the_limit_of_either_cgroup_version() {
    let fix = "resources.limits.memory";
    let v2 = |w: &mut Workspace| w.write("sys/fs/cgroup/memory.max", "536870912\n");
    spoilt(v2, "resources.memory", Fault, "512 MiB of memory", fix);
    let v1 = |w: &mut Workspace| {
        w.write("proc/self/cgroup", "4:memory:/kubepods/pod1/x\n");
        w.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
    };
    spoilt(v1, "resources.memory", Warning, "2.0 GiB of memory", fix);
    let machine = |w: &mut Workspace| {
        w.write("sys/fs/cgroup/memory.max", "max\n");
        w.write("proc/meminfo", "MemTotal:        1000000 kB\n");
    };
    spoilt(machine, "resources.memory", Fault, "976 MiB of memory", fix);
}

#[test]
fn few_cpus_and_few_processes() {
    let two = |w: &mut Workspace| w.surroundings.cpus = 2;
    spoilt(two, "resources.cpus", Warning, "2 CPU(s)", "CPU limit");
    let used_up = |w: &mut Workspace| w.write("sys/fs/cgroup/pids.current", "4090\n");
    spoilt(
        used_up,
        "resources.pids",
        Fault,
        "4090 of 4096",
        "podPidsLimit",
    );
    let few = |w: &mut Workspace| w.write("sys/fs/cgroup/pids.max", "256\n");
    spoilt(
        few,
        "resources.pids",
        Warning,
        "no more than 256",
        "podPidsLimit",
    );
}

#[test]
fn a_clock_before_its_time() {
    let mut workspace = Workspace::healthy();
    workspace.surroundings.now = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
    let complaints = complaints(&workspace);
    let of = |check| complaints.iter().find(|finding| finding.check == check);
    let plausible = of("clock.plausible").expect("a complaint");
    assert_eq!(plausible.severity, Fault);
    assert!(
        plausible.found.contains("1970-01-02 00:00:00 UTC"),
        "{plausible:?}"
    );
    // Its files are then from the future, which is a complaint of its own.
    assert!(of("clock.files").is_some(), "{complaints:#?}");
}

#[test]
fn a_file_from_the_future_and_another_clock() {
    let future = |w: &mut Workspace| {
        let directory = File::open(w.path("etc/podssh/authorized_keys")).expect("a directory");
        let hour = w.surroundings.now + Duration::from_secs(3600);
        directory.set_modified(hour).expect("its own file");
    };
    spoilt(
        future,
        "clock.files",
        Warning,
        "/etc/podssh/authorized_keys is dated 20",
        "synchronised",
    );
    let skew = |w: &mut Workspace| {
        let other = w.surroundings.now + Duration::from_secs(600);
        w.surroundings.reference = Some(("http://clock.example".to_owned(), other));
    };
    let found = "600 s behind that of http://clock.example";
    spoilt(skew, "clock.skew", Fault, found, "synchronised");
}
