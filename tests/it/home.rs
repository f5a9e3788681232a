//! The home on a volume: given what the image's skeletons hold, whatever comes in between.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use crate::bare::{Place, podssh, text};
use crate::harness::daemon::{Daemon, user};
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::said;

fn serve(place: &Place, skeleton: &Path) -> Command {
    let mut command = podssh();
    place.flags(&mut command);
    let home = place.path("home");
    command.args([
        "--user",
        user(),
        "--home",
        text(&home),
        "--shell",
        "/bin/bash",
    ]);
    command.args(["--skel", text(skeleton)]);
    command
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_seeding_killed_again_and_again_ends_with_every_file_whole_and_nothing_else() {
    const FILES: usize = 120;
    let place = Place::new();
    let skeleton = place.path("skeleton");
    fs::create_dir(&skeleton).expect("a skeleton");
    let content = |number: usize| format!("{number}\n").repeat(2000);
    for number in 0..FILES {
        fs::write(skeleton.join(format!("{number:03}")), content(number)).expect("a file");
    }
    let home = place.path("home");
    // Killed as soon as one more file than the last time is there, wherever that is.
    for wanted in [1, 2, 17, 50, 51, 90] {
        let mut command = serve(&place, &skeleton);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = Background::start(&mut command);
        eventually("some files are there", PATIENCE, || {
            (names(&home).len() > wanted).then_some(())
        });
        drop(daemon);
    }
    let (daemon, client) = place.start(&mut serve(&place, &skeleton), user());
    said::ok(&client.ssh(["rm 007"]));
    let expected: Vec<_> = (0..FILES).map(|number| format!("{number:03}")).collect();
    let mut found = names(&home);
    found.retain(|name| name != ".local");
    found.push("007".to_owned());
    found.sort();
    assert_eq!(found, expected);
    for number in (0..FILES).filter(|number| *number != 7) {
        let text = fs::read_to_string(home.join(format!("{number:03}"))).expect("a file");
        assert!(text == content(number), "{number:03} is not whole");
    }
    drop(daemon);
    fs::remove_file(place.path("ready")).expect("the ready file");
    let _again = place.start(&mut serve(&place, &skeleton), user());
    assert!(!home.join("007").exists(), "it came back");
}

#[test]
fn a_session_finds_what_the_skeleton_holds() {
    let daemon = Daemon::start(|setup| {
        let skeleton = setup.home().with_file_name("skeleton");
        fs::create_dir(&skeleton).expect("a skeleton");
        fs::write(skeleton.join(".profile"), "export FROM_SKELETON=yes\n").expect("a file");
        setup.args(["--skel", text(&skeleton)]);
    });
    let none: [&str; 0] = [];
    let output = daemon.client.ssh_with(none, b"echo $FROM_SKELETON\n");
    assert_eq!(said::ok(&output), "yes\n");
}

#[test]
fn a_home_that_cannot_be_written_is_named_and_served_all_the_same() {
    assert!(
        geteuid().is_root(),
        "NOT RUN: a home of somebody else's needs root; run the tests as root once"
    );
    let place = Place::new();
    let home = place.path("theirs");
    fs::create_dir(&home).expect("a home");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).expect("chmod");
    let (_daemon, client) = place.serve(&["--home", text(&home), "--shell", "/bin/bash"]);
    assert_eq!(said::ok(&client.ssh(["pwd"])), format!("{}\n", text(&home)));
    let log = place.log();
    let named = format!("{}: cannot be written by uid", text(&home));
    assert!(log.contains(&named) && log.contains("fsGroup"), "{log}");
}
