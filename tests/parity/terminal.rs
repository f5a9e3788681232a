//! Terminals: modes both ways, size, name, message of the day, what a shell is on one.

use std::fs;

use crate::case::{Case, check};
use crate::server::Server;
use crate::wire;

pub(crate) const CASES: &[Case] = &[
    Case::tty(
        "a command on a terminal",
        "echo out; echo err >&2; tty | sed 's/[0-9]*$//'; exit 6",
    ),
    Case::tty(
        "streams of a command on a terminal",
        "for f in 0 1 2; do test -t $f && echo tty; done",
    ),
    Case::tty(
        "open files of a command on a terminal",
        "ls /proc/self/fd | wc -l",
    ),
    Case::tty(
        "form of SSH_TTY",
        "test \"$SSH_TTY\" = \"$(tty)\" && echo same; echo $SSH_TTY | sed 's/[0-9]*$/N/'",
    ),
    Case::tty("TERM of the client", "echo $TERM"),
    Case::tty(
        "owner and mode of the terminal",
        "stat -c '%a %u' $(tty); id -u",
    ),
    Case::tty(
        "leader and foreground group",
        "set -- $(cat /proc/$$/stat); echo $(( $1 == $5 )) $(( $1 == $6 )) $(( $1 == $8 )) tty $(( $7 != 0 ))",
    ),
    Case::tty(
        "ignored signals on a terminal",
        "exec grep -E '^Sig(Blk|Ign)' /proc/self/status",
    ),
    Case::tty("settings when the client sends none", "stty -a"),
    Case::tty("size when the client has none", "stty size"),
    Case::tty(
        "binary bytes on a terminal",
        "printf 'a\\tb\\r\\n\\001\\377'",
    ),
    Case::tty(
        "$0 and $- of a command on a terminal",
        "echo $0 $-; shopt login_shell",
    ),
    Case::tty("death by a signal on a terminal", "kill -TERM $$"),
    Case::tty(
        "output pending at the exit of a terminal",
        "head -c 500000 /dev/zero | tr '\\0' x; exit 3",
    ),
    Case::alone("message of the day, then a login shell", |server| {
        shell(server, "xterm")
    }),
    Case::alone("hushlogin", |server| {
        fs::write(server.home.join(".hushlogin"), "").unwrap();
        let outcome = shell(server, "xterm");
        fs::remove_file(server.home.join(".hushlogin")).unwrap();
        outcome
    }),
    Case::alone("message of the day with TERM=dumb", |server| {
        shell(server, "dumb")
    })
    .intended(
        "Debian",
        "-bash",
        "no greeting where a program reads the terminal (Emacs TRAMP)",
    ),
    Case::wire(
        "size and pixels",
        &[
            "open",
            "req pty-req xterm 132 43 1320 860",
            r#"req exec "stty size; python3 -c 'import fcntl,termios; print(fcntl.ioctl(0,termios.TIOCGWINSZ,bytes(8)))'""#,
            "wait close",
        ],
    ),
    Case::wire(
        "size zero",
        &[
            "open",
            "req pty-req xterm 0 0 0 0",
            "req exec 'stty size'",
            "wait close",
        ],
    ),
    Case::wire(
        "size beyond 16 bits",
        &[
            "open",
            "req pty-req xterm 4294967295 65536 0 70000",
            "req exec 'stty size'",
            "wait close",
        ],
    )
    .intended(
        "0 65535",
        "65535 65535",
        "what does not fit is the largest size, not what its low bits happen to be",
    ),
    Case::wire(
        "window-change and SIGWINCH",
        &[
            "open",
            "req pty-req xterm 80 24 0 0 53=0",
            r#"req exec "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done""#,
            "wait data",
            "tell window-change 100 50 0 0",
            "wait close",
        ],
    ),
    Case::wire(
        "an empty TERM",
        &[
            "open",
            r#"req pty-req "" 80 24 0 0"#,
            r#"req exec "echo [$TERM]; env | grep -c ^TERM=""#,
            "wait close",
        ],
    ),
    Case::wire(
        "control characters are the client's",
        &[
            "open",
            "req pty-req xterm 80 24 0 0 53=0,1=24",
            r#"req exec "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.05; done""#,
            "wait data",
            r#"data "\x18""#,
            "wait close",
        ],
    ),
    Case::wire(
        "interrupt by the terminal kills the command",
        &[
            "open",
            "req pty-req xterm 80 24 0 0 53=0",
            r#"req exec "echo ready; exec sleep 30""#,
            "wait data",
            r#"data "\x03""#,
            "wait close",
        ],
    ),
    Case::wire(
        "end of file on a terminal",
        &[
            "open",
            "req pty-req xterm 80 24 0 0 53=0",
            "req exec 'cat; echo after'",
            r#"data "text\n""#,
            "wait data",
            "eof",
            "quiet 1.5",
            r#"data "\x04""#,
            "quiet 1",
        ],
    ),
    Case::wire(
        "echo by the terminal",
        &[
            "open",
            "req pty-req xterm 80 24 0 0",
            "req exec 'head -n 1 >/dev/null'",
            r#"data "typed\n""#,
            "wait close",
        ],
    ),
    Case::wire(
        "break on a terminal",
        &[
            "open",
            "req pty-req xterm 80 24 0 0 53=0",
            r#"req exec "echo ready; sleep 1""#,
            "wait data",
            "req break 500",
            "wait close",
        ],
    ),
    Case::wire(
        "break without a terminal",
        &[
            "open",
            r#"req exec "echo ready; sleep 0.3""#,
            "wait data",
            "req break 500",
            "wait close",
        ],
    ),
    Case::wire(
        "the speed of the line",
        &[
            "open",
            "req pty-req xterm 80 24 0 0 128=9600,129=9600",
            "req exec 'stty speed'",
            "wait close",
        ],
    ),
    Case::wire(
        "an unknown mode among known ones",
        &[
            "open",
            "req pty-req xterm 80 24 0 0 53=0,127=1,3=21",
            "req exec 'stty -a'",
            "wait close",
        ],
    ),
    Case::wire(
        "a mode with 160 and above ends the list",
        &[
            "open",
            "req pty-req xterm 80 24 0 0 53=0,160=1,3=21",
            "req exec 'stty -a'",
            "wait close",
        ],
    ),
    Case::custom("control characters, each set by the client", |server| {
        each_mode(server, 1..=18, &[0, 17, 255])
    })
    .intended(
        "swtch = <undef>",
        "swtch = ^Q",
        "VSWTCH is one of RFC 4254 section 8; sshd was built without it",
    ),
    Case::custom("input modes, each set by the client", |server| {
        each_mode(server, 30..=42, &[0, 1])
    }),
    Case::custom("local modes, each set by the client", |server| {
        each_mode(server, 50..=62, &[0, 1])
    }),
    Case::custom(
        "output and control modes, each set by the client",
        |server| {
            [
                each_mode(server, 70..=75, &[0, 1]),
                each_mode(server, 90..=93, &[0, 1]),
            ]
            .concat()
        },
    ),
];

/// A login shell on a terminal without echo and prompts, and all it shows.
fn shell(server: &Server, term: &str) -> String {
    fs::write(
        server.home.join(".profile"),
        "PS1= PS2=; bind 'set enable-bracketed-paste off'\n",
    )
    .unwrap();
    let pty = format!("req pty-req {term} 80 24 0 0 53=0");
    let steps = [
        "open",
        &pty,
        "req shell",
        "quiet 0.7",
        r#"data "stty -echo; echo $0 $-; shopt login_shell; exit 3\n""#,
        "wait close",
    ];
    let outcome = wire::talk(server, &steps);
    fs::remove_file(server.home.join(".profile")).unwrap();
    outcome
}

/// `stty -a` after each mode with each value, every time on a terminal of its own.
fn each_mode(server: &Server, modes: std::ops::RangeInclusive<u8>, values: &[u8]) -> String {
    let mut steps = Vec::new();
    for mode in modes {
        for value in values {
            steps.extend([
                "open".to_owned(),
                format!("req pty-req xterm 80 24 0 0 {mode}={value}"),
                format!("collect 'echo {mode}={value}; stty -a'"),
            ]);
        }
    }
    let steps: Vec<_> = steps.iter().map(String::as_str).collect();
    wire::talk(server, &steps)
}

#[test]
fn terminals_behave_as_under_sshd() {
    check(CASES);
}
