//! What a key's options do to its sessions and forwards, and how a login fails.

use crate::case::{Case, check, ssh};
use crate::server::Server;
use crate::wire;

pub(crate) const CASES: &[Case] = &[
    Case::custom("forced command for a command", |server| {
        run(server, "forced", &[], "echo mine")
    }),
    Case::custom("forced command for a shell", |server| {
        run(server, "forced", &["-T"], "")
    }),
    Case::custom("forced command on a terminal", |server| {
        run(server, "forced", &["-tt"], "echo mine").replace(char::is_numeric, "N")
    }),
    Case::custom("forced command for sftp", |server| {
        run(server, "forced", &["-s"], "sftp")
    }),
    Case::custom("forced command for an unknown subsystem", |server| {
        run(server, "forced", &["-s"], "nosuch")
    }),
    Case::custom("forced internal-sftp", |server| {
        run(server, "forced-sftp", &[], "echo mine")
    }),
    Case::custom("restrict: a command", |server| {
        run(server, "restrict", &[], "echo ran")
    }),
    Case::custom("restrict: terminal, agent, forwards", |server| {
        by_wire(server, "restrict", DENIED)
    }),
    Case::custom("restrict,pty: terminal, agent, forwards", |server| {
        by_wire(server, "restrict-pty", DENIED)
    }),
    Case::custom("no-pty", |server| by_wire(server, "no-pty", DENIED)),
    Case::custom("no-port-forwarding", |server| {
        by_wire(server, "no-forwarding", DENIED)
    }),
    Case::custom("no-agent-forwarding", |server| {
        by_wire(server, "no-agent", DENIED)
    }),
    Case::custom("no-port-forwarding: a unix socket", |server| {
        by_wire(
            server,
            "no-forwarding",
            &["open direct-streamlocal@openssh.com /no/such"],
        )
    })
    .intended(
        "code 2",
        "code 1",
        "refused by policy, not by a failed attempt",
    ),
    Case::custom("no-pty as the client sees it", |server| {
        run(server, "no-pty", &["-tt"], "tty")
    }),
    Case::custom("permitopen", |server| {
        by_wire(
            server,
            "permit-open",
            &[
                "open direct-tcpip 127.0.0.1 1",
                "open direct-tcpip 127.0.0.1 2",
                "open direct-tcpip localhost 1",
                "open direct-streamlocal@openssh.com /no/such",
                "global tcpip-forward localhost 0",
            ],
        )
    }),
    Case::custom("permitlisten of an address", |server| {
        by_wire(
            server,
            "permit-listen",
            &[
                "global tcpip-forward 127.0.0.1 0",
                "global tcpip-forward localhost 0",
                "global tcpip-forward '*' 0",
                "global tcpip-forward '' 0",
                "open direct-tcpip 127.0.0.1 1",
            ],
        )
    }),
    Case::custom("permitlisten of a port", |server| {
        by_wire(
            server,
            "permit-port",
            &[
                "global tcpip-forward localhost 0",
                "global tcpip-forward localhost 1",
                "global tcpip-forward localhost 4242",
            ],
        )
    }),
    Case::custom("environment= options", |server| {
        run(
            server,
            "environment",
            &["-oSetEnv LANG=client"],
            "echo $WHO $LANG",
        )
    }),
    Case::custom("from= elsewhere", |server| {
        run(server, "elsewhere", &[], "echo in")
    }),
    Case::custom("from= here", |server| run(server, "here", &[], "echo in")),
    Case::custom("expired key", |server| {
        run(server, "expired", &[], "echo in")
    }),
    Case::alone("~/.ssh/rc", |server| with_rc(server, "tester")),
    Case::alone("~/.ssh/rc with no-user-rc", |server| {
        with_rc(server, "no-rc")
    }),
    Case::custom("wrong user name", |server| {
        ssh(server, &["-lnobody-here"], "true", b"")
    }),
    Case::custom("unknown key", |server| {
        ssh(
            server,
            &["-oIdentityFile=/no/such", "-oIdentityFile=none"],
            "true",
            b"",
        )
    }),
    Case::custom("no key at all", |server| {
        ssh(server, &["-oPubkeyAuthentication=no"], "true", b"")
    }),
    Case::custom("passwords", |server| {
        ssh(
            server,
            &[
                "-oPubkeyAuthentication=no",
                "-oPreferredAuthentications=password,keyboard-interactive",
                "-oBatchMode=no",
                "-oNumberOfPasswordPrompts=1",
            ],
            "true",
            b"",
        )
    }),
];

/// One of each thing a key can forbid.
const DENIED: &[&str] = &[
    "open",
    "req pty-req xterm 80 24 0 0",
    "req auth-agent-req@openssh.com",
    "req x11-req",
    "req exec 'test -t 0; echo $?'",
    "wait close",
    "open direct-tcpip 127.0.0.1 1",
    "global tcpip-forward localhost 0",
    "global streamlocal-forward@openssh.com $HOME/denied",
    "open",
    "req exec 'rm -f denied'",
    "wait close",
];

fn run(server: &Server, key: &str, options: &[&str], command: &str) -> String {
    ssh(&server.with_key(key), options, command, b"")
}

/// The answers; the words of a refused channel are compared where forwards are.
fn by_wire(server: &Server, key: &str, steps: &[&str]) -> String {
    let outcome = wire::talk(&server.with_key(key), steps);
    let without_words = |line: &str| match line.split_once("refused, code ") {
        Some((what, code)) => format!("{what}refused, code {}\n", &code[..1]),
        None => format!("{line}\n"),
    };
    outcome.lines().map(without_words).collect()
}

fn with_rc(server: &Server, key: &str) -> String {
    ssh(
        server,
        &[],
        "mkdir -p .ssh; echo 'echo rc ran; echo rc too >&2' > .ssh/rc",
        b"",
    );
    let key = if key == "tester" { "id_ed25519" } else { key };
    let mut outcome = run(server, key, &[], "echo command");
    outcome += &run(server, key, &["-T"], "");
    ssh(server, &[], "rm .ssh/rc", b"");
    outcome
}

#[test]
fn key_options_act_as_under_sshd() {
    check(CASES);
}
