//! The control group's limits, of version 2 and 1: in a container the group is the top of what is
//! mounted, elsewhere a path below it, and every group on the way limits too.

use std::path::{Path, PathBuf};

use crate::doctor::Surroundings;

/// Where version 1 has no limit it says a number near 2^63.
const NO_LIMIT: u64 = 1 << 60;
const TOP: &str = "/sys/fs/cgroup";

/// The group that the workspace is in.
pub(super) struct Cgroup<'a> {
    surroundings: &'a Surroundings,
    /// `/proc/self/cgroup`: lines of `ID:CONTROLLERS:PATH`, version 2 with no controllers.
    table: String,
}

impl<'a> Cgroup<'a> {
    pub(super) fn of(surroundings: &'a Surroundings) -> Self {
        let table = surroundings.read("/proc/self/cgroup").unwrap_or_default();
        Self {
            surroundings,
            table,
        }
    }

    /// The tightest limit on the way up; `None` when there is none.
    pub(super) fn least(&self, controller: &str, v2: &str, v1: &str) -> Option<u64> {
        let values = self
            .groups(controller)
            .into_iter()
            .filter_map(|(version, group)| {
                let name = if version == 2 { v2 } else { v1 };
                self.surroundings.number(group.join(name))
            });
        values.filter(|value| *value < NO_LIMIT).min()
    }

    /// Processes and threads in the group.
    pub(super) fn tasks(&self) -> Option<u64> {
        let mut groups = self.groups("pids").into_iter();
        groups.find_map(|(_, group)| self.surroundings.number(group.join("pids.current")))
    }

    /// The group's directory and those above it, nearest first, with the version.
    fn groups(&self, controller: &str) -> Vec<(u8, PathBuf)> {
        let mut found = Vec::new();
        for line in self.table.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
                continue;
            };
            let (version, top) = if controllers.is_empty() {
                (2, PathBuf::from(TOP))
            } else if controllers.split(',').any(|name| name == controller) {
                (1, Path::new(TOP).join(controller))
            } else {
                continue;
            };
            let path = Path::new(path.trim_start_matches('/'));
            found.extend(path.ancestors().map(|group| (version, top.join(group))));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::surroundings::in_folder;

    fn least(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let surroundings = in_folder(root.path());
        Cgroup::of(&surroundings).least("memory", "memory.max", "memory.limit_in_bytes")
    }

    #[test]
    fn version_2_counts_every_group_on_the_way() {
        let table = ("proc/self/cgroup", "0::/pod/container\n");
        let own = ("sys/fs/cgroup/pod/container/memory.max", "max\n");
        let above = ("sys/fs/cgroup/pod/memory.max", "3000\n");
        assert_eq!(least(&[table, own]), None);
        assert_eq!(least(&[table, own, above]), Some(3000));
    }

    #[test]
    fn in_a_container_the_group_is_the_top() {
        let table = ("proc/self/cgroup", "0::/\n");
        assert_eq!(
            least(&[table, ("sys/fs/cgroup/memory.max", "512\n")]),
            Some(512)
        );
    }

    #[test]
    fn version_1_has_a_hierarchy_a_controller_and_a_number_for_no_limit() {
        let table = (
            "proc/self/cgroup",
            "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
        );
        let top = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(least(&[table, (top, "9223372036854771712\n")]), None);
        assert_eq!(least(&[table, (top, "4096\n")]), Some(4096));
    }
}
