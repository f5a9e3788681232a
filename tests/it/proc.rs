//! What the kernel says about a process, from `/proc`.

use std::fs;

/// A field of `/proc/PID/status`, without its name.
#[track_caller]
pub(crate) fn status(pid: u32, field: &str) -> String {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in {path}"))
        .trim()
        .to_owned()
}

/// Resident memory in KiB.
#[track_caller]
pub(crate) fn resident(pid: u32) -> u64 {
    let text = status(pid, "VmRSS");
    let number = text.split(' ').next().and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("VmRSS of {pid} is {text:?}"))
}

/// How many descriptors, threads and children it has.
#[track_caller]
pub(crate) fn holds(pid: u32) -> (usize, usize, usize) {
    let count = |what: &str| {
        let path = format!("/proc/{pid}/{what}");
        fs::read_dir(&path)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .count()
    };
    (count("fd"), count("task"), children(pid).len())
}

/// Its children, zombies included.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("/proc");
    let numbers = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|child| parent(*child) == Some(pid))
        .collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Whether there is such a process that has not ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
        state.is_some_and(|state| !state.starts_with('Z'))
    })
}
