//! What the kernel says of the container's memory: how often it killed for lack of it, and whether
//! it is nearly used up. From the control group, version 2 or 1; elsewhere nothing is known.

use std::fs;
use std::path::{Path, PathBuf};

/// The share of the limit, in percent, above which memory is short.
const SHORT: u64 = 95;
/// Version 1 says a number near 2^63 for no limit.
const NO_LIMIT: u64 = 1 << 60;

/// The container's memory.
#[derive(Clone, Debug)]
pub struct Memory {
    root: PathBuf,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/sys/fs/cgroup"),
        }
    }
}

impl Memory {
    /// Processes killed for lack of memory since the control group was made.
    pub fn kills(&self) -> Option<u64> {
        let file = if self.is_v2() {
            "memory.events"
        } else {
            "memory/memory.oom_control"
        };
        self.field(file, "oom_kill")
    }

    /// Whether what cannot be given back is close to the limit, as the kubelet reckons it.
    pub fn is_short(&self) -> bool {
        let v2 = self.is_v2();
        let [used, limit, statistics, cache] = if v2 {
            [
                "memory.current",
                "memory.max",
                "memory.stat",
                "inactive_file",
            ]
        } else {
            [
                "memory/memory.usage_in_bytes",
                "memory/memory.limit_in_bytes",
                "memory/memory.stat",
                "total_inactive_file",
            ]
        };
        let (Some(used), Some(limit)) = (self.number(used), self.number(limit)) else {
            return false;
        };
        let cache = self.field(statistics, cache).unwrap_or(0);
        limit < NO_LIMIT && used.saturating_sub(cache) / SHORT >= limit / 100
    }

    fn is_v2(&self) -> bool {
        self.root.join("memory.events").exists()
    }

    fn number(&self, file: &str) -> Option<u64> {
        read(&self.root.join(file))?.trim().parse().ok()
    }

    fn field(&self, file: &str, name: &str) -> Option<u64> {
        let text = read(&self.root.join(file))?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(field, _)| *field == name)?;
        value.parse().ok()
    }
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(files: &[(&str, &str)]) -> (tempfile::TempDir, Memory) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let memory = Memory {
            root: root.path().to_owned(),
        };
        (root, memory)
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let (_root, v2) = memory(&[
            (
                "memory.events",
                "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
            ),
            ("memory.current", "990\n"),
            ("memory.max", "1000\n"),
            ("memory.stat", "anon 10\ninactive_file 5\n"),
        ]);
        assert_eq!((v2.kills(), v2.is_short()), (Some(2), true));
        let (_root, v1) = memory(&[
            (
                "memory/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n",
            ),
            ("memory/memory.usage_in_bytes", "990000\n"),
            ("memory/memory.limit_in_bytes", "1000000\n"),
            (
                "memory/memory.stat",
                "cache 1\ntotal_inactive_file 500000\n",
            ),
        ]);
        assert_eq!((v1.kills(), v1.is_short()), (Some(7), false));
    }

    #[test]
    fn without_a_limit_or_a_control_group_memory_is_never_short() {
        let (_root, unlimited) = memory(&[
            ("memory.events", "oom_kill 0\n"),
            ("memory.current", "990\n"),
            ("memory.max", "max\n"),
        ]);
        assert!(!unlimited.is_short());
        let (_root, none) = memory(&[]);
        assert_eq!((none.kills(), none.is_short()), (None, false));
    }
}
