//! Requests in every order: granted or refused, and the order of the messages at the end.

use crate::case::{Case, check};

pub(crate) const CASES: &[Case] = &[
    Case::wire(
        "order at the end of a command",
        &[
            "open",
            "req exec 'echo x; exit 3'",
            "wait close",
            "close",
            "quiet 0.3",
        ],
    ),
    Case::wire(
        "order at a death by a signal",
        &["open", "req exec 'kill -TERM $$'", "wait close"],
    ),
    Case::wire(
        "order at a death with a core",
        &[
            "open",
            "req exec 'ulimit -c 0; kill -SEGV $$'",
            "wait close",
        ],
    ),
    Case::wire(
        "order at a death by a real-time signal",
        &["open", "req exec 'kill -40 $$'", "wait close"],
    ),
    Case::wire(
        "order at the end of a terminal",
        &[
            "open",
            "req pty-req xterm 80 24 0 0",
            "req exec 'echo x; exit 3'",
            "wait close",
            "close",
            "quiet 0.3",
        ],
    ),
    Case::wire(
        "order at the end of a shell",
        &["open", "req shell", r#"data "exit 4\n""#, "wait close"],
    ),
    Case::wire(
        "order at the end of sftp",
        &["open", "req subsystem sftp", "eof", "wait close"],
    ),
    Case::wire(
        "stdout before stderr",
        &[
            "open",
            "req exec 'echo out; sleep 0.2; echo err >&2; sleep 0.2; echo out'",
            "wait close",
        ],
    ),
    Case::wire(
        "a program closes its output early",
        &[
            "open",
            "req exec 'exec >&- 2>&-; sleep 0.4; exit 2'",
            "wait close",
        ],
    ),
    Case::wire(
        "a program closes its input early (eow)",
        &[
            "open",
            "req exec 'exec <&-; echo ready; sleep 0.6; exit 2'",
            "wait data",
            "data x",
            "wait close",
        ],
    ),
    Case::wire(
        "unknown channel request",
        &[
            "open",
            "req nosuch@example.com",
            "tell nosuch@example.com",
            "req exec 'sleep 0.3'",
            "req nosuch@example.com",
            "wait close",
        ],
    ),
    Case::wire(
        "keepalive as a channel request",
        &[
            "open",
            "req keepalive@openssh.com",
            "req exec true",
            "wait close",
        ],
    ),
    Case::wire(
        "unknown global request",
        &[
            "global nosuch@example.com",
            "global keepalive@openssh.com",
            "global ''",
        ],
    ),
    Case::wire(
        "no-more-sessions",
        &[
            "open",
            "global no-more-sessions@openssh.com",
            "req exec 'echo still'",
            "wait close",
            "open",
            "quiet 0.3",
        ],
    ),
    Case::wire(
        "unknown channel type",
        &["open nosuch@example.com", "open tun@openssh.com"],
    ),
    Case::wire(
        "channel types that only a server opens",
        &[
            "open x11",
            "open auth-agent@openssh.com",
            "open forwarded-tcpip",
        ],
    ),
    Case::wire(
        "a channel open that ends too early",
        &[
            "malformed direct-tcpip",
            "open",
            "req exec 'echo still here'",
            "wait close",
        ],
    ),
    Case::wire(
        "global requests of the server after login",
        &["quiet 0.5", "announced"],
    ),
    Case::wire(
        "two terminals",
        &[
            "open",
            "req pty-req xterm 80 24 0 0",
            "req pty-req vt100 90 25 0 0",
            "req exec 'echo $TERM; stty size'",
            "wait close",
        ],
    ),
    Case::wire(
        "terminal after the program",
        &[
            "open",
            "req exec 'echo ready; sleep 0.5; tty'",
            "wait data",
            "req pty-req xterm 80 24 0 0",
            "wait close",
        ],
    ),
    Case::wire(
        "two shells",
        &[
            "open",
            "req shell",
            "req shell",
            r#"data "exit 3\n""#,
            "wait close",
        ],
    ),
    Case::wire(
        "two commands",
        &[
            "open",
            "req exec 'echo one; sleep 0.4'",
            "wait data",
            "req exec 'echo two'",
            "wait close",
        ],
    ),
    Case::wire(
        "command after subsystem",
        &[
            "open",
            "req subsystem sftp",
            "req exec 'echo two'",
            "eof",
            "wait close",
        ],
    ),
    Case::wire(
        "unknown subsystem, then a command",
        &[
            "open",
            "req subsystem nosuch",
            "req exec 'echo two'",
            "wait close",
        ],
    ),
    Case::wire(
        "request without a wish for a reply",
        &["open", "tell exec 'echo quiet; exit 2'", "wait close"],
    ),
    Case::wire(
        "window-change before a terminal",
        &[
            "open",
            "tell window-change 80 24 0 0",
            "req window-change 80 24 0 0",
            "req exec true",
            "wait close",
        ],
    ),
    Case::wire(
        "window-change between terminal and program",
        &[
            "open",
            "req pty-req xterm 80 24 0 0",
            "req window-change 100 50 0 0",
            "req exec 'stty size'",
            "wait close",
        ],
    ),
    Case::wire(
        "window-change without a terminal while running",
        &[
            "open",
            "req exec 'sleep 0.5'",
            "req window-change 80 24 0 0",
            "wait close",
        ],
    ),
    Case::wire(
        "signal TERM",
        &[
            "open",
            "req exec 'echo ready; exec sleep 30'",
            "wait data",
            "req signal TERM",
            "wait close",
        ],
    ),
    Case::wire(
        "signal INT to a shell with a child",
        &[
            "open",
            r#"req exec "trap 'echo got; exit 3' INT; echo ready; while :; do sleep 0.05; done""#,
            "wait data",
            "tell signal INT",
            "wait close",
        ],
    ),
    Case::wire(
        "signal KILL",
        &[
            "open",
            "req exec 'echo ready; exec sleep 30'",
            "wait data",
            "tell signal KILL",
            "wait close",
        ],
    ),
    Case::wire(
        "signal USR1",
        &[
            "open",
            "req exec 'echo ready; exec sleep 30'",
            "wait data",
            "req signal USR1",
            "wait close",
        ],
    ),
    Case::wire(
        "signal HUP",
        &[
            "open",
            "req exec 'echo ready; exec sleep 30'",
            "wait data",
            "req signal HUP",
            "wait close",
        ],
    ),
    Case::wire(
        "signal INFO@openssh.com",
        &[
            "open",
            "req exec 'echo ready; sleep 0.5'",
            "wait data",
            "req signal INFO@openssh.com",
            "wait close",
        ],
    ),
    Case::wire(
        "signal with an unknown name",
        &[
            "open",
            "req exec 'echo ready; sleep 0.5'",
            "wait data",
            "req signal NOSUCH",
            "wait close",
        ],
    ),
    Case::wire(
        "signal before a program",
        &["open", "req signal TERM", "req exec 'echo x'", "wait close"],
    ),
    Case::wire(
        "signal on a terminal",
        &[
            "open",
            "req pty-req xterm 80 24 0 0",
            "req exec 'echo ready; exec sleep 30'",
            "wait data",
            "req signal TERM",
            "wait close",
        ],
    ),
    Case::wire(
        "x11-req",
        &[
            "open",
            "req x11-req",
            "req exec 'echo ${DISPLAY-unset}'",
            "wait close",
        ],
    ),
    Case::wire(
        "auth-agent-req",
        &[
            "open",
            "req auth-agent-req@openssh.com",
            "req exec 'test -S $SSH_AUTH_SOCK && echo socket; test -O $SSH_AUTH_SOCK && echo owned'",
            "wait close",
        ],
    ),
    Case::wire(
        "auth-agent-req twice",
        &[
            "open",
            "req auth-agent-req@openssh.com",
            "req auth-agent-req@openssh.com",
            "req exec true",
            "wait close",
        ],
    ),
    Case::wire(
        "form of SSH_AUTH_SOCK",
        &[
            "open",
            "req auth-agent-req@openssh.com",
            "req exec 'echo $SSH_AUTH_SOCK'",
            "wait close",
        ],
    ),
    Case::wire(
        "xon-xoff and exit-status from the client",
        &[
            "open",
            "req xon-xoff",
            "req exit-status",
            "req exec true",
            "wait close",
        ],
    ),
    Case::wire(
        "data before a program",
        &[
            "open",
            r#"data "early\n""#,
            "req exec 'cat'",
            "eof",
            "wait close",
        ],
    ),
    Case::wire(
        "data before the answer to exec",
        &[
            "open",
            "tell exec cat",
            r#"data "early\n""#,
            "eof",
            "wait close",
        ],
    ),
    Case::wire(
        "end of file before a program",
        &["open", "eof", "req exec 'cat; echo end'", "quiet 1"],
    ),
    Case::wire(
        "input, end and close in one go",
        &[
            "open",
            "req exec 'cat >early'",
            r#"data "kept\n""#,
            "eof",
            "close",
            "quiet 0.5",
            "open",
            "req exec 'cat early; rm early'",
            "wait close",
        ],
    ),
    Case::wire(
        "close in the midst of input",
        &[
            "open",
            "req exec 'cat >midst; echo end >>midst'",
            r#"data "kept\n""#,
            "close",
            "quiet 0.5",
            "open",
            "req exec 'cat midst; rm midst'",
            "wait close",
        ],
    ),
    Case::wire("close before a program", &["open", "close", "wait close"]),
    Case::wire(
        "extended data from the client",
        &[
            "open",
            "req exec cat",
            "ext ignored",
            r#"data "kept\n""#,
            "eof",
            "wait close",
        ],
    ),
    Case::wire(
        "half-close by the client",
        &[
            "open",
            "req exec 'cat >/dev/null; sleep 0.2; echo after; exit 2'",
            "data x",
            "eof",
            "wait close",
        ],
    ),
    Case::wire(
        "close by the client while running",
        &[
            "open",
            "req exec 'echo ready; sleep 1'",
            "wait data",
            "close",
            "quiet 1.5",
        ],
    ),
    Case::wire(
        "window and packet a session is opened with",
        &["open", "window", "close", "wait close"],
    ),
    Case::wire(
        "ten sessions at once",
        &[
            "open",
            "open",
            "open",
            "open",
            "open",
            "open",
            "open",
            "open",
            "open",
            "open",
            "open",
            "req exec 'echo eleventh'",
            "wait close",
        ],
    ),
    Case::wire(
        "a forward asked for as a session request",
        &[
            "open",
            "req tcpip-forward",
            "req subsystem ''",
            "req exec ''",
            "quiet 0.5",
        ],
    ),
    Case::wire(
        "a command with a NUL inside",
        &["open", r"nul", "quiet 0.5"],
    ),
];

#[test]
fn requests_are_answered_as_by_sshd() {
    check(CASES);
}
