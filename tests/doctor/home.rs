//! The home, and the places beside it.

use std::os::unix::fs::chown;

use podssh::doctor::Severity::{Fault, Warning};
use podssh::doctor::Volume;

use crate::workspace::{Workspace, complaints, spoilt};

#[test]
fn a_home_that_is_missing_is_one_fault_among_the_keys_it_held() {
    let workspace = Workspace::healthy();
    workspace.remove("home/jovyan");
    let complaints = complaints(&workspace);
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    let finding = complaints.first().expect("one");
    assert_eq!((finding.check, finding.severity), ("home.exists", Fault));
    assert!(
        finding
            .fix
            .contains("mount the home volume at /home/jovyan"),
        "{finding:?}"
    );
}

#[test]
fn a_home_that_cannot_be_written() {
    let fix = "fsGroup";
    spoilt(
        |w| w.mode("home/jovyan", 0o555),
        "home.writable",
        Fault,
        "mode 0555",
        fix,
    );
    let read_only = |w: &mut Workspace| {
        w.mount("/home/jovyan", "/", "ro,relatime");
        // Not root's tests only: the mode has to agree with the described mount.
        w.mode("home/jovyan", 0o555);
    };
    spoilt(
        read_only,
        "home.writable",
        Fault,
        "read-only mount",
        "without readOnly",
    );
}

#[test]
fn a_home_of_somebody_elses() {
    let mut workspace = Workspace::healthy();
    let uid = workspace.surroundings.user.uid.as_raw();
    workspace.surroundings.user.uid = (uid + 1).into();
    let complaints = complaints(&workspace);
    let of = |check| complaints.iter().find(|finding| finding.check == check);
    let owner = of("home.owner").expect("a complaint of its owner");
    assert!(
        owner
            .found
            .contains(&format!("owned by uid {uid}, not by uid {}", uid + 1))
    );
    assert!(owner.fix.contains("chown"), "{owner:?}");
    assert!(of("home.writable").is_some(), "{complaints:#?}");
}

#[test]
fn the_top_of_an_fsgroup_volume_is_fine() {
    let mut workspace = Workspace::healthy();
    // A group of this very process: the daemon's own rule asks for that.
    let gid = nix::unistd::getegid().as_raw();
    workspace.surroundings.groups = vec![gid];
    if chown(workspace.path("home/jovyan"), Some(0), Some(gid)).is_err() {
        return; // only root may give files away
    }
    workspace.mode("home/jovyan", 0o2775);
    let complaints = complaints(&workspace);
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn modes_that_strict_modes_refuse() {
    let workspace = Workspace::healthy();
    workspace.mode("home/jovyan/.ssh", 0o770);
    let found = complaints(&workspace);
    let modes = found.iter().find(|finding| finding.check == "home.modes");
    let modes = modes.expect("a complaint of the modes");
    assert_eq!(modes.severity, Fault);
    assert!(
        modes.found.contains("/home/jovyan/.ssh has mode 0770"),
        "{modes:?}"
    );
    assert!(
        modes.fix.contains("chmod go-w /home/jovyan/.ssh"),
        "{modes:?}"
    );
    let trusted = found.iter().find(|finding| finding.check == "keys.trusted");
    let root = workspace.path("/");
    let said = &trusted.expect("the keys there do not count").found;
    assert!(!said.contains(root.to_str().expect("UTF-8")), "{said}");

    let no_keys = |w: &mut Workspace| {
        w.remove("home/jovyan/.ssh/authorized_keys");
        w.mode("home/jovyan/.ssh", 0o770);
    };
    spoilt(no_keys, "home.modes", Warning, "mode 0770", "chmod go-w");
    let open_key = |w: &mut Workspace| {
        w.write(
            "home/jovyan/.ssh/id_ed25519",
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        );
        w.mode("home/jovyan/.ssh/id_ed25519", 0o660);
        w.write("home/jovyan/.ssh/id_ed25519.pub", "ssh-ed25519 x\n");
    };
    let fix = "chmod 600 /home/jovyan/.ssh/id_ed25519";
    spoilt(open_key, "home.private-keys", Warning, "ssh refuses", fix);
}

#[test]
fn a_home_and_a_tmp_that_run_nothing() {
    let home = |w: &mut Workspace| w.mount("/home", "/", "rw,noexec,nosuid");
    spoilt(home, "home.exec", Fault, "noexec", "without noexec");
    let tmp = |w: &mut Workspace| w.mount("/tmp", "/", "rw,noexec");
    spoilt(tmp, "places.tmp", Warning, "noexec", "TMPDIR");
}

#[test]
fn tmp_and_the_runtime_directory() {
    spoilt(
        |w| w.mode("tmp", 0o555),
        "places.tmp",
        Fault,
        "not writable",
        "emptyDir",
    );
    spoilt(
        |w| w.remove("tmp"),
        "places.tmp",
        Fault,
        "missing",
        "chmod 1777",
    );
    let fix = "emptyDir of medium Memory at /run/podssh";
    spoilt(
        |w| w.remove("run/podssh"),
        "places.runtime",
        Warning,
        "missing",
        fix,
    );
    spoilt(
        |w| w.mode("run/podssh", 0o555),
        "places.runtime",
        Warning,
        "not writable",
        fix,
    );
}

#[test]
fn a_full_home_and_a_small_shared_memory() {
    let full = |w: &mut Workspace| {
        w.surroundings.volume = |path| {
            let free = if path.ends_with("home/jovyan") {
                1 << 20
            } else {
                10 << 30
            };
            Ok(Volume {
                size: 20 << 30,
                free,
                free_files: None,
            })
        };
    };
    spoilt(
        full,
        "resources.home",
        Fault,
        "1 MiB of 20.0 GiB free",
        "enlarge the volume",
    );
    let small = |w: &mut Workspace| {
        w.surroundings.volume = |path| {
            let size = if path.ends_with("dev/shm") {
                64 << 20
            } else {
                20 << 30
            };
            Ok(Volume {
                size,
                free: 10 << 30,
                free_files: None,
            })
        };
    };
    spoilt(small, "resources.shm", Warning, "64 MiB", "/dev/shm");
}
