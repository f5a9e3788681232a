//! A child image: its own packages, its own PATH, its own program beside the shell.

use crate::container::Container;
use crate::engine::CHILD;
use crate::harness::process::{PATIENCE, eventually};

const USER: &str = "1000:100";

#[test]
fn its_packages_and_its_path_are_there_in_every_kind_of_session() {
    let container = Container::start(&CHILD, USER, &[]);
    assert_eq!(container.session("tree --version | cut -d' ' -f1"), "tree");
    let by_exec = container.session("echo $PATH");
    assert!(by_exec.starts_with("/opt/venv/bin:"), "{by_exec}");
    assert_eq!(
        container.session("python -c 'import cowsay, sys; print(sys.prefix)'"),
        "/opt/venv"
    );

    // A login shell reads /etc/profile, which resets PATH on Debian.
    let line = b"shopt -q login_shell && echo PATH=$PATH; bash -lc 'echo INNER=$PATH'; exit\n";
    let none: [&str; 0] = [];
    let output = container.client.ssh_with(none, line);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        screen.contains(&format!("PATH={by_exec}\n")),
        "{by_exec} is lost: {output:?}"
    );
    // So does every one that tmux or an editor starts in it.
    assert!(
        screen.contains(&format!("INNER={by_exec}\n")),
        "{by_exec} is lost: {output:?}"
    );
}

#[test]
fn its_cmd_runs_beside_the_server_and_its_end_ends_the_workspace() {
    let container = Container::start(&CHILD, USER, &[]);
    eventually("the child image's own server answers", PATIENCE, || {
        let output = container
            .client
            .ssh(["curl --silent --fail http://127.0.0.1:8000/"]);
        output.status.success().then_some(())
    });
    container.client.ssh(["pkill -INT -f http.server"]);
    assert_eq!(
        container.exit_code(),
        "0",
        "http.server ends with 0 at SIGINT, and so does podssh"
    );
}
