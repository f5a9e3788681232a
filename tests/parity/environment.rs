//! The environment of each kind of session, and what a client may set.

use crate::case::{Case, check};

/// Names only, those of one connection or of bash itself left out.
const NAMES: &str = "env | sed 's/=.*//' | sort";
/// Values that do not depend on the connection.
const VALUES: &str =
    "for n in HOME USER LOGNAME SHELL MAIL PWD SHLVL TERM TZ LANG; do echo $n=${!n-unset}; done";
const ADDRESSES: &str = "echo $SSH_CLIENT, $SSH_CONNECTION | sed -E 's/(127.0.0.1) [0-9]+/\\1 N/g'";

pub(crate) const CASES: &[Case] = &[
    Case::exec("names of variables, command", NAMES).intended("HOME", "POD_VARIABLE", "the image's and pod's environment reaches every session; PODSSH_SESSION_PATH lets profile.d restore PATH"),
    Case::tty("names of variables, command on a terminal", NAMES).intended("HOME", "POD_VARIABLE", "the image's and pod's environment reaches every session; PODSSH_SESSION_PATH lets profile.d restore PATH"),
    Case::ssh(
        "names of variables, shell without a terminal",
        &["-T"],
        "",
        NAMES,
    ).intended("HOME", "POD_VARIABLE", "the image's and pod's environment reaches every session; PODSSH_SESSION_PATH lets profile.d restore PATH"),
    Case::exec("HOME, USER, LOGNAME, SHELL, MAIL, PWD", VALUES).intended("LANG=unset", "LANG=C.UTF-8", "the image's and pod's environment reaches every session"),
    Case::exec("PATH", "echo $PATH").intended("/usr/games", "/usr/sbin", "the image's PATH, not one compiled in"),
    Case::ssh("PATH of a login shell", &["-T"], "", "echo $PATH"),
    Case::exec("the daemon's own variables", "echo ${POD_VARIABLE-unset}").intended("unset", "from the pod", "the image's and pod's environment reaches every session"),
    Case::exec("SSH_CLIENT and SSH_CONNECTION", ADDRESSES),
    Case::exec(
        "SSH_TTY without a terminal",
        "echo ${SSH_TTY-unset} ${TERM-unset}",
    ),
    Case::exec(
        "SSH_ORIGINAL_COMMAND without a forced one",
        "echo ${SSH_ORIGINAL_COMMAND-unset}",
    ),
    Case::exec(
        "SSH_AUTH_SOCK and DISPLAY without forwarding",
        "echo ${SSH_AUTH_SOCK-unset} ${DISPLAY-unset}",
    ),
    Case::exec("TZ of the daemon", "echo ${TZ-unset}"),
    Case::ssh(
        "accepted variables",
        &[
            "-oSetEnv LANG=C LC_ALL=C GIT_PROTOCOL=version=2 COLORTERM=truecolor TERM_PROGRAM=x TERM_PROGRAM_VERSION=1 EDITOR=vi TZ=UTC NO_COLOR=1",
        ],
        "echo $LANG $LC_ALL $GIT_PROTOCOL $COLORTERM $TERM_PROGRAM $TERM_PROGRAM_VERSION $EDITOR $TZ $NO_COLOR",
        "",
    ),
    Case::ssh(
        "variables that are not accepted",
        &["-oSetEnv LD_PRELOAD=x PATH=/x HOME=/x FOO=bar"],
        "echo ${LD_PRELOAD-unset} ${FOO-unset} $HOME; test $PATH = /x; echo $?",
        "",
    ),
    Case::wire(
        "env requests and their answers",
        &[
            "open",
            "req env LANG C",
            "req env LC_X ''",
            "req env FOO bar",
            "req env '' x",
            "req env LANG=x y",
            "req env LC_A=b c",
            r"req exec 'echo $LANG ${LC_X-unset} ${FOO-unset}; env | grep ^LC_'",
            "wait close",
        ],
    ).intended("Invalid environment", "env: failure", "a name with a blank inside no shell can use; sshd grants it and complains on stderr"),
    Case::wire(
        "the last of two env requests wins",
        &[
            "open",
            "req env LANG one",
            "req env LANG two",
            "req exec 'echo $LANG'",
            "wait close",
        ],
    ),
    Case::wire(
        "env after the program has started",
        &[
            "open",
            "req exec 'sleep 0.5'",
            "req env LANG C",
            "wait close",
        ],
    ),
    Case::custom("200 env requests", |server| {
        let requests = (0..200).map(|number| format!("req env LC_{number} x"));
        let steps: Vec<_> = std::iter::once("open".to_owned()).chain(requests).collect();
        let steps: Vec<_> = steps.iter().map(String::as_str).collect();
        let granted = crate::wire::talk(server, &steps)
            .matches("env: success")
            .count();
        format!("{granted} granted")
    }).intended("129 granted", "128 granted", "the same bound, counted from one"),
    Case::wire(
        "TERM by an env request",
        &[
            "open",
            "req env TERM vt100",
            "req exec 'echo ${TERM-unset}'",
            "wait close",
        ],
    ),
    Case::alone("~/.ssh/environment", |server| {
        let write = "mkdir -p .ssh; echo FROM_FILE=yes > .ssh/environment";
        crate::case::ssh(server, &[], write, b"");
        let outcome = crate::case::ssh(server, &[], "echo ${FROM_FILE-unset}", b"");
        crate::case::ssh(server, &[], "rm .ssh/environment", b"");
        outcome
    }).intended("yes", "unset", "off in sshd too unless PermitUserEnvironment; podssh has ~/.config/podssh/env"),
    Case::alone("~/.config/podssh/env", |server| {
        let write = "mkdir -p .config/podssh; echo FROM_FILE=yes > .config/podssh/env";
        crate::case::ssh(server, &[], write, b"");
        let outcome = crate::case::ssh(server, &[], "echo ${FROM_FILE-unset}", b"");
        crate::case::ssh(server, &[], "rm .config/podssh/env", b"");
        outcome
    }).intended("unset", "yes", "variables of all sessions, kept on the home's volume"),
    Case::alone("bash's start-up files, command", |server| {
        startup_files(server, &[], "true")
    }),
    Case::alone(
        "bash's start-up files, shell without a terminal",
        |server| startup_files(server, &["-T"], ""),
    ),
];

/// Which of a user's start-up files are read, and that what they print reaches the client.
fn startup_files(server: &crate::server::Server, options: &[&str], command: &str) -> String {
    let write = "for f in .bashrc .profile .bash_logout; do echo echo $f > $f; done";
    crate::case::ssh(server, &[], write, b"");
    let outcome = crate::case::ssh(server, options, command, b"true\n");
    crate::case::ssh(server, &[], "rm .bashrc .profile .bash_logout", b"");
    outcome
}

#[test]
fn the_environment_is_as_under_sshd() {
    check(CASES);
}
