//! What the node's kernel grants; mostly not the workspace's to change.

use super::{Finding, Surroundings};

/// VS Code's documented minimum.
const RELEASE: (u32, u32) = (4, 18);
/// A large repository needs more; VS Code's own advice is half a million.
const WATCHES: u64 = 65_536;
/// The kernel's default, shared by all processes of this uid on the node, in whatever container.
const INSTANCES: u64 = 128;

/// Everything about the kernel.
pub(super) fn examine(s: &Surroundings) -> Vec<Finding> {
    vec![release(s), watches(s), instances(s)]
}

fn release(s: &Surroundings) -> Finding {
    let check = "kernel.release";
    let release = s.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= RELEASE => {
            Finding::ok(check, format!("Linux {release}"))
        }
        (Some(Ok(_)), Some(Ok(_))) => {
            let found = format!("Linux {release} is too old: VS Code's server wants 4.18");
            Finding::fault(check, found, "have the node's operating system updated")
        }
        _ => Finding::warning(check, "the kernel's release is not known", "mount /proc"),
    }
}

fn watches(s: &Surroundings) -> Finding {
    let fix =
        "on the node: sysctl fs.inotify.max_user_watches=524288 (ask the cluster's administrator)";
    limit(
        s,
        "kernel.inotify-watches",
        "max_user_watches",
        WATCHES,
        fix,
    )
}

fn instances(s: &Surroundings) -> Finding {
    let fix =
        "on the node: sysctl fs.inotify.max_user_instances=8192 (ask the cluster's administrator)";
    limit(
        s,
        "kernel.inotify-instances",
        "max_user_instances",
        INSTANCES + 1,
        fix,
    )
}

fn limit(s: &Surroundings, check: &'static str, name: &str, least: u64, fix: &str) -> Finding {
    match s.number(format!("/proc/sys/fs/inotify/{name}")) {
        Some(value) if value >= least => {
            Finding::ok(check, format!("fs.inotify.{name} is {value}"))
        }
        Some(value) => {
            let found = format!(
                "fs.inotify.{name} is {value}, shared by this uid's processes on the node: \
                 editors stop seeing changes of files"
            );
            Finding::warning(check, found, fix)
        }
        None => Finding::warning(
            check,
            format!("fs.inotify.{name} is not known"),
            "mount /proc",
        ),
    }
}
