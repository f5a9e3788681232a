//! Names of users and groups, looked up once a session.

use std::collections::HashMap;

use nix::unistd::{Gid, Group, Uid, User};

/// Names kept of each sort; a client that asks for more starts the cache afresh.
const KEPT: usize = 1024;

/// Name by id; `None` for an id without a name.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: HashMap<u32, Option<String>>,
    groups: HashMap<u32, Option<String>>,
}

impl Names {
    pub(super) fn user(&mut self, id: u32) -> Option<&str> {
        cached(&mut self.users, id, |id| {
            Some(User::from_uid(Uid::from_raw(id)).ok()??.name)
        })
    }

    pub(super) fn group(&mut self, id: u32) -> Option<&str> {
        cached(&mut self.groups, id, |id| {
            Some(Group::from_gid(Gid::from_raw(id)).ok()??.name)
        })
    }
}

fn cached(
    names: &mut HashMap<u32, Option<String>>,
    id: u32,
    look_up: impl FnOnce(u32) -> Option<String>,
) -> Option<&str> {
    if names.len() >= KEPT && !names.contains_key(&id) {
        names.clear();
    }
    names.entry(id).or_insert_with(|| look_up(id)).as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_superuser_has_a_name_and_a_number_without_one_has_none() {
        let mut names = Names::default();
        assert_eq!(names.user(0), Some("root"));
        assert_eq!(names.group(0), Some("root"));
        assert_eq!(names.user(4_000_000_123), None);
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut names = HashMap::new();
        for id in 0..10 * KEPT as u32 {
            cached(&mut names, id, |_| None);
        }
        assert!(names.len() <= KEPT);
    }
}
