//! Memory, CPUs, processes and room, against what editors' backends ask for.

mod cgroup;

use std::path::Path;

use self::cgroup::Cgroup;
use super::{Finding, Surroundings, Volume};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// VS Code: 1 GiB at least, 2 recommended. JetBrains: 4 GiB and 4 CPUs at least.
const MEMORY_LEAST: u64 = GIB;
const MEMORY_JETBRAINS: u64 = 4 * GIB;
const CPUS_JETBRAINS: usize = 4;
/// JetBrains wants 5 GiB free; below the other, not even VS Code's server unpacks.
const HOME_WANTED: u64 = 5 * GIB;
const HOME_LEAST: u64 = 500 * MIB;
const TMP_LEAST: u64 = 100 * MIB;
const FILES_LEAST: u64 = 10_000;
/// Docker's and containerd's default, which PyTorch's loaders and browsers outgrow.
const SHM_DEFAULT: u64 = 64 * MIB;
/// A language server and a test run have some hundred threads.
const TASKS_WANTED: u64 = 1024;
const TASKS_SPARE: u64 = 64;

/// Everything about resources.
pub(super) fn examine(s: &Surroundings) -> Vec<Finding> {
    let cgroup = Cgroup::of(s);
    let home = s.user.home.as_path();
    vec![
        memory(memory_of(s, &cgroup)),
        cpus(s.cpus),
        tasks(cgroup.least("pids", "pids.max", "pids.max"), cgroup.tasks()),
        room(
            "resources.home",
            home,
            &(s.volume)(&s.at(home)),
            HOME_LEAST,
            HOME_WANTED,
        ),
        room(
            "resources.tmp",
            Path::new("/tmp"),
            &(s.volume)(&s.at("/tmp")),
            TMP_LEAST,
            TMP_LEAST,
        ),
        shared_memory(s),
    ]
}

/// The machine's memory, or the tightest limit on us.
fn memory_of(s: &Surroundings, cgroup: &Cgroup<'_>) -> Option<u64> {
    let table = s.read("/proc/meminfo").unwrap_or_default();
    let total = table
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let limit = cgroup.least("memory", "memory.max", "memory.limit_in_bytes");
    total.map(|kib| kib * 1024).into_iter().chain(limit).min()
}

fn memory(memory: Option<u64>) -> Finding {
    let check = "resources.memory";
    let fix = "raise the container's memory limit (resources.limits.memory)";
    let Some(bytes) = memory else {
        return Finding::warning(
            check,
            "the memory limit is not known",
            "mount /proc and /sys",
        );
    };
    let has = format!("{} of memory", size(bytes));
    if bytes < MEMORY_LEAST {
        let found = format!("{has}: VS Code's server wants 1 GiB at least");
        Finding::fault(check, found, fix)
    } else if bytes < MEMORY_JETBRAINS {
        let found = format!("{has}: VS Code recommends 2 GiB, JetBrains' backends want 4");
        Finding::warning(check, found, fix)
    } else {
        Finding::ok(check, has)
    }
}

fn cpus(cpus: usize) -> Finding {
    let check = "resources.cpus";
    if cpus >= CPUS_JETBRAINS {
        return Finding::ok(check, format!("{cpus} CPUs"));
    }
    let found = format!("{cpus} CPU(s): JetBrains' backends want {CPUS_JETBRAINS}");
    Finding::warning(
        check,
        found,
        "raise or remove the container's CPU limit, or use a larger node",
    )
}

fn tasks(limit: Option<u64>, now: Option<u64>) -> Finding {
    let check = "resources.pids";
    let fix = "have the kubelet's podPidsLimit raised, or end processes";
    let used = now.unwrap_or(0);
    match limit {
        Some(limit) if limit.saturating_sub(used) < TASKS_SPARE => {
            let found = format!("{used} of {limit} processes and threads are in use");
            Finding::fault(check, found, fix)
        }
        Some(limit) if limit < TASKS_WANTED => {
            let found =
                format!("no more than {limit} processes and threads: editors may not start");
            Finding::warning(check, found, fix)
        }
        Some(limit) => Finding::ok(check, format!("{limit} processes and threads allowed")),
        None => Finding::ok(check, "no limit on processes of its own"),
    }
}

fn room(
    check: &'static str,
    path: &Path,
    volume: &std::io::Result<Volume>,
    least: u64,
    wanted: u64,
) -> Finding {
    let shown = path.display();
    let fix = format!("delete what is not needed, or enlarge the volume of {shown}");
    let volume = match volume {
        Ok(volume) => volume,
        Err(error) => {
            let found = format!("how much room {shown} has is not known: {error}");
            return Finding::warning(
                check,
                found,
                format!("make {shown} a directory on a volume"),
            );
        }
    };
    let has = format!(
        "{} of {} free at {shown}",
        size(volume.free),
        size(volume.size)
    );
    if volume.free_files.is_some_and(|files| files < FILES_LEAST) {
        let files = volume.free_files.unwrap_or(0);
        let found = format!("room for only {files} more files at {shown}");
        Finding::fault(check, found, fix)
    } else if volume.free < least {
        let found = format!("{has}: an editor's server needs {}", size(least));
        Finding::fault(check, found, fix)
    } else if volume.free < wanted {
        let found = format!("{has}: JetBrains' backends want {}", size(wanted));
        Finding::warning(check, found, fix)
    } else {
        Finding::ok(check, has)
    }
}

fn shared_memory(s: &Surroundings) -> Finding {
    let check = "resources.shm";
    let fix = "mount an emptyDir of medium Memory at /dev/shm";
    match (s.volume)(&s.at("/dev/shm")) {
        Ok(volume) if volume.size > SHM_DEFAULT => {
            Finding::ok(check, format!("/dev/shm has {}", size(volume.size)))
        }
        Ok(volume) => {
            let has = size(volume.size);
            let found =
                format!("/dev/shm has {has}, too little for PyTorch's loaders and browsers");
            Finding::warning(check, found, fix)
        }
        Err(_) => Finding::warning(check, "/dev/shm is missing", fix),
    }
}

fn size(bytes: u64) -> String {
    if bytes >= GIB {
        format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
    } else {
        format!("{} MiB", bytes / MIB)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn each_amount_of_memory_has_its_verdict() {
        let verdict = |bytes| memory(bytes).severity;
        assert_eq!(verdict(Some(GIB - 1)), Severity::Fault);
        assert_eq!(verdict(Some(GIB)), Severity::Warning);
        assert_eq!(verdict(Some(4 * GIB)), Severity::Ok);
        assert_eq!(verdict(None), Severity::Warning);
    }

    #[test]
    fn processes_are_counted_against_their_limit() {
        assert_eq!(tasks(Some(2000), Some(1990)).severity, Severity::Fault);
        assert_eq!(tasks(Some(512), Some(10)).severity, Severity::Warning);
        assert_eq!(tasks(Some(2000), Some(10)).severity, Severity::Ok);
        assert_eq!(tasks(None, None).severity, Severity::Ok);
    }

    #[test]
    fn a_volume_can_be_out_of_bytes_or_out_of_files() {
        let check = |free, free_files| {
            let volume = Volume {
                size: 20 * GIB,
                free,
                free_files,
            };
            room("x", Path::new("/h"), &Ok(volume), HOME_LEAST, HOME_WANTED).severity
        };
        assert_eq!(check(HOME_LEAST - 1, None), Severity::Fault);
        assert_eq!(check(HOME_LEAST, None), Severity::Warning);
        assert_eq!(check(HOME_WANTED, Some(FILES_LEAST)), Severity::Ok);
        assert_eq!(check(HOME_WANTED, Some(3)), Severity::Fault);
    }
}
