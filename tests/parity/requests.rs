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
    Case::wire("eow@openssh.com when a program closes its input", &["openssh", "open", "req exec 'exec <&-; echo ready; sleep 0.6; exit 2'", "wait data", "data x", "wait close"]),
    Case::wire("eow@openssh.com when a program ends", &["openssh", "open", "req exec 'echo x; exit 2'", "wait close"]).intended("eow@openssh.com", "exit-status 2\nclose", "close says it all; sshd sends it even after the end"),
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
    ).intended("connection gone", "open: refused, code 4", "a late session is refused; the connection and its forwards live on"),
    Case::wire(
        "unknown channel type",
        &["open nosuch@example.com", "open tun@openssh.com"],
    ).intended("code 2: open failed", "code 3: Unknown channel type", "the code RFC 4254 section 5.1 has for it; and sshd ends the connection when a tunnel is asked for"),
    Case::wire(
        "channel types that only a server opens",
        &[
            "open x11",
            "open auth-agent@openssh.com",
            "open forwarded-tcpip",
        ],
    ).intended("code 2", "code 1", "refused by policy, not by a failed attempt"),
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
    ).intended("connection gone", "pty-req: failure", "a mistake on one channel does not end the others"),
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
            "req exec 'echo ${DISPLAY-unset} | sed s/[0-9]*[.]/N./'",
            "wait close",
        ],
    ),
    Case::wire("x11-req twice and after the program", &["open", "req x11-req", "req x11-req", "req exec 'sleep 0.5'", "req x11-req", "wait close"]),
    Case::wire("an X client", &[
        "open", "req x11-req",
        r#"req exec "python3 -c 'import os, socket; n = int(os.environ[\"DISPLAY\"].split(\":\")[1].split(\".\")[0]); s = socket.create_connection((\"127.0.0.1\", 6000 + n)); s.sendall(b\"X\"); print(s.recv(10))'""#,
        "wait opened", "quiet 0.5", "close", "wait close", "channel 0", "quiet 0.5",
    ]),
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
    ).intended("auth-agent-req@openssh.com: failure", "auth-agent-req@openssh.com: success\nauth-agent-req@openssh.com: success", "the second changes nothing, and nothing is wrong with it"),
    Case::wire(
        "form of SSH_AUTH_SOCK",
        &[
            "open",
            "req auth-agent-req@openssh.com",
            "req exec 'echo $SSH_AUTH_SOCK'",
            "wait close",
        ],
    ).intended("/tmp/ssh-", "/agent.sock", "one stable path, so that an IDE's server finds the agent of a later connection"),
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
    ).intended("exec: success", "data: 'early\\n'", "the window is open from the start; sshd's is zero and drops what ignores it"),
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
    ).intended("exec: success", "data: 'end\\n'", "sshd forgets the early end of file and the command waits for ever"),
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
    ).intended("exit-status 0\nclose", "exec: success", "a closed channel is closed at once; sshd waits for the process and still tells its status"),
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
    ).intended("exit-status 0\nclose", "exec: success", "a closed channel is closed at once; sshd waits for the process and still tells its status"),
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
    ).intended("exit-status 0\nclose", "exec: success", "a closed channel is closed at once; sshd waits for the process and still tells its status"),
    Case::wire(
        "window and packet a session is opened with",
        &["open", "window", "close", "wait close"],
    ).intended("window 0, packet 32768", "window 2097152, packet 65536", "input may come with the request; larger packets cost fewer wake-ups"),
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
    ).intended("connection gone", "exit-status 254", "a mistake on one channel does not end the others"),
];

#[test]
fn requests_are_answered_as_by_sshd() {
    check(CASES);
}
