//! Tests of seeding.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

/// A home and two skeletons.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for directory in ["home", "image", "etc"] {
            fs::create_dir(place.path(directory)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// What a start does; the files that were given.
    fn start(&self) -> Vec<PathBuf> {
        let prepared = self.prepare();
        assert_eq!(prepared.faults, [""; 0]);
        prepared.seeded
    }

    fn prepare(&self) -> Prepared {
        prepare(
            &self.path("home"),
            &[self.path("image"), self.path("nowhere"), self.path("etc")],
        )
    }
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

#[test]
fn an_empty_home_gets_every_file_with_its_mode_and_the_first_skeleton_wins() {
    let place = Place::new();
    place.write("image/.bashrc", "the image's");
    place.write("etc/.bashrc", "the distribution's");
    place.write("etc/bin/tool", "#!/bin/sh");
    place.chmod("etc/bin/tool", 0o4755);
    place.write("etc/.ssh/config", "Host *");
    place.chmod("etc/.ssh", 0o700);
    place.chmod("etc/.ssh/config", 0o600);
    fs::create_dir(place.path("etc/work")).unwrap();
    place.chmod("etc/work", 0o775);
    symlink("bin/tool", place.path("etc/link")).unwrap();
    symlink("nowhere", place.path("etc/dangling")).unwrap();
    place.write("etc/lost+found/x", "not a file of anybody's");
    fs::create_dir(place.path("home/lost+found")).unwrap();

    let given = [
        ".bashrc",
        ".ssh/config",
        "bin/tool",
        "dangling",
        "link",
        "work",
    ];
    assert_eq!(place.start(), paths(&given));
    assert_eq!(place.read("home/.bashrc").unwrap(), "the image's");
    assert_eq!(
        place.mode("home/bin/tool"),
        0o755,
        "set-id bits stay behind"
    );
    assert_eq!(place.mode("home/.ssh"), 0o700);
    assert_eq!(place.mode("home/.ssh/config"), 0o600);
    assert_eq!(place.mode("home/work"), 0o775, "whatever the umask");
    let link = fs::read_link(place.path("home/link")).unwrap();
    assert_eq!(link, Path::new("bin/tool"));
    assert!(place.path("home/dangling").is_symlink());
    assert!(!place.path("home/lost+found/x").exists());
    assert_eq!(place.start(), paths(&[]), "once");
}

#[test]
fn what_the_user_changed_or_deleted_stays_so_and_a_newer_image_adds_its_own() {
    let place = Place::new();
    for name in ["a", "b", "c", "d/e"] {
        place.write(&format!("image/{name}"), "old");
    }
    place.write("home/b", "mine from before");
    assert_eq!(place.start(), paths(&["a", "c", "d/e"]));
    place.write("home/a", "edited");
    for name in ["home/b", "home/c", "home/d/e"] {
        fs::remove_file(place.path(name)).unwrap();
    }
    fs::remove_dir(place.path("home/d")).unwrap();

    for name in ["a", "b", "c", "d/e", "d/new", "new"] {
        place.write(&format!("image/{name}"), "newer");
    }
    assert_eq!(place.start(), paths(&["d/new", "new"]));
    assert_eq!(place.read("home/a").unwrap(), "edited");
    for name in ["home/b", "home/c", "home/d/e"] {
        assert_eq!(place.read(name), None, "{name} came back");
    }
}

#[test]
fn a_link_or_folder_of_the_users_in_the_place_of_a_file_is_left_alone() {
    let place = Place::new();
    place.write("image/a", "image");
    place.write("image/b", "image");
    place.write("image/c/d", "image");
    symlink("nowhere", place.path("home/a")).unwrap();
    fs::create_dir(place.path("home/b")).unwrap();
    place.write("home/c", "a file where the image has a folder");
    let prepared = place.prepare();
    assert_eq!(prepared.seeded, paths(&[]));
    assert_eq!(prepared.faults.len(), 1, "{:?}", prepared.faults);
    assert!(prepared.faults[0].contains("c/d"), "{:?}", prepared.faults);
    assert!(place.path("home/a").is_symlink() && !place.path("home/nowhere").exists());
}

#[test]
fn what_an_interrupted_start_left_is_finished_and_cleaned_away() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.write(&format!("image/{name}"), "whole");
    }
    // Killed while writing `a`, after linking `b`, and while writing the ledger.
    place.write("home/.a.podssh-seed", "who");
    place.write("home/.b.podssh-seed", "whole");
    place.write("home/b", "whole");
    place.write("home/.local/state/podssh/seeded.new", "# Wh");
    assert_eq!(place.start(), paths(&["a", "c"]));
    for name in ["a", "b", "c"] {
        assert_eq!(place.read(&format!("home/{name}")).unwrap(), "whole");
    }
    let left = fs::read_dir(place.path("home")).unwrap().flatten();
    let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, [".local", "a", "b", "c"]);
    fs::remove_file(place.path("home/b")).unwrap();
    assert_eq!(place.start(), paths(&[]), "the ledger knows all three");
}

#[test]
fn a_special_file_is_named_and_the_others_are_given() {
    let place = Place::new();
    place.write("image/z", "after it");
    nix::unistd::mkfifo(&place.path("image/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let prepared = place.prepare();
    assert_eq!(prepared.seeded, paths(&["z"]));
    assert!(
        prepared.faults[0].contains("image/pipe"),
        "{:?}",
        prepared.faults
    );
}

#[test]
fn a_home_that_is_not_there_is_a_fault_with_what_to_do() {
    let nowhere = Path::new("/proc/nowhere");
    let prepared = prepare(nowhere, &[]);
    assert!(prepared.faults[0].contains("/proc/nowhere: the home directory is missing"));
    let prepared = prepare(Path::new("/proc/self"), &[]);
    assert!(
        prepared.faults[0].contains("cannot be written"),
        "{:?}",
        prepared.faults
    );
}
