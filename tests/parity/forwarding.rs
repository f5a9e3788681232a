//! Forwards of ports and sockets: who may, what is answered, how streams end.

use crate::case::{Case, check};

pub(crate) const CASES: &[Case] = &[
    Case::wire(
        "direct-tcpip, half-closed by the client",
        &[
            "listen",
            "open direct-tcpip 127.0.0.1 $PORT",
            "accept",
            "data hello",
            "eof",
            "hear",
            "say answer",
            "wait data",
            "shut",
            "hang",
            "wait close",
        ],
    ),
    Case::wire(
        "direct-tcpip, half-closed by the far end",
        &[
            "listen",
            "open direct-tcpip 127.0.0.1 $PORT",
            "accept",
            "say answer",
            "shut",
            "wait eof",
            "data late",
            "eof",
            "hear",
            "wait close",
        ],
    ),
    Case::wire(
        "direct-tcpip to localhost",
        &[
            "listen",
            "open direct-tcpip localhost $PORT",
            "accept",
            "say x",
            "shut",
            "eof",
            "wait close",
        ],
    ),
    Case::wire(
        "direct-tcpip, far end gone",
        &[
            "listen",
            "open direct-tcpip 127.0.0.1 $PORT",
            "accept",
            "hang",
            "wait eof",
            "eof",
            "wait close",
        ],
    ),
    Case::wire(
        "direct-tcpip to a closed port",
        &["deaf", "open direct-tcpip 127.0.0.1 $PORT"],
    ),
    Case::wire(
        "direct-tcpip to a name that is none",
        &["open direct-tcpip no.such.name.invalid 80"],
    ),
    Case::wire("direct-tcpip to an empty name", &["open direct-tcpip '' 1"]),
    Case::wire("direct-tcpip to port 0", &["open direct-tcpip 127.0.0.1 0"]),
    Case::wire(
        "direct-tcpip to port 65536",
        &["open direct-tcpip 127.0.0.1 65536"],
    ).intended("code 1: open failed", "code 1: Administratively prohibited", "other words for the same code"),
    Case::wire(
        "direct-tcpip to port 70000 by name",
        &["open direct-tcpip localhost 70000"],
    ).intended("code 1: open failed", "code 1: Administratively prohibited", "other words for the same code"),
    Case::wire(
        "direct-tcpip to an unreachable network",
        &["open direct-tcpip 240.0.0.1 80"],
    ),
    Case::wire(
        "direct-tcpip to ::1",
        &["deaf", "open direct-tcpip ::1 $PORT"],
    ),
    Case::wire(
        "direct-streamlocal to a missing path",
        &["open direct-streamlocal@openssh.com /no/such/socket"],
    ).intended("code 2: open failed", "code 2: ", "the reason is told; sshd has one phrase for all"),
    Case::wire(
        "direct-streamlocal to a file",
        &["open direct-streamlocal@openssh.com /etc/passwd"],
    ).intended("code 2: open failed", "code 2: ", "the reason is told; sshd has one phrase for all"),
    Case::wire(
        "direct-streamlocal to an empty path",
        &["open direct-streamlocal@openssh.com ''"],
    ).intended("code 2: open failed", "code 2: ", "the reason is told; sshd has one phrase for all"),
    Case::wire(
        "direct-streamlocal to a path that is too long",
        &[
            "open direct-streamlocal@openssh.com /tmp/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ],
    ).intended("code 2: open failed", "code 2: ", "the reason is told; sshd has one phrase for all"),
    Case::wire(
        "tcpip-forward of port 0",
        &[
            "global tcpip-forward localhost 0",
            "dial",
            "wait opened",
            "say hello",
            "wait data",
            "data answer",
            "eof",
            "close",
            "hear",
        ],
    ),
    Case::wire(
        "tcpip-forward, half-closed",
        &[
            "global tcpip-forward localhost 0",
            "dial",
            "wait opened",
            "say hello",
            "shut",
            "wait eof",
            "data answer",
            "eof",
            "hear",
            "wait close",
        ],
    ),
    Case::wire(
        "tcpip-forward, refused by the client when nobody is there",
        &[
            "global tcpip-forward 127.0.0.1 0",
            "dial",
            "wait opened",
            "close",
            "hear",
        ],
    ),
    Case::wire(
        "tcpip-forward of a taken port",
        &["listen", "global tcpip-forward 127.0.0.1 $PORT"],
    ),
    Case::wire(
        "tcpip-forward twice",
        &[
            "global tcpip-forward 127.0.0.1 0",
            "global tcpip-forward 127.0.0.1 $BOUND",
        ],
    ),
    Case::wire(
        "tcpip-forward of port 65536",
        &["global tcpip-forward localhost 65536"],
    ).intended("success", "failure", "there is no such port; sshd binds none that could be reached and says yes"),
    Case::wire(
        "tcpip-forward of port 4294967295",
        &["global tcpip-forward localhost 4294967295"],
    ),
    Case::wire(
        "tcpip-forward of a privileged port",
        &["global tcpip-forward localhost 1"],
    ),
    Case::wire(
        "tcpip-forward of *",
        &["global tcpip-forward '*' 0", "dial", "wait opened"],
    ),
    Case::wire(
        "tcpip-forward of the empty address",
        &["global tcpip-forward '' 0", "dial", "wait opened"],
    ),
    Case::wire(
        "tcpip-forward of 0.0.0.0",
        &["global tcpip-forward 0.0.0.0 0", "dial", "wait opened"],
    ),
    Case::wire(
        "tcpip-forward of ::",
        &["global tcpip-forward :: 0", "dial"],
    ),
    Case::wire(
        "tcpip-forward of 127.0.0.1",
        &["global tcpip-forward 127.0.0.1 0", "dial", "wait opened"],
    ),
    Case::wire(
        "tcpip-forward of a name that is none",
        &["global tcpip-forward no.such.name.invalid 0"],
    ),
    Case::wire(
        "tcpip-forward of an address elsewhere",
        &["global tcpip-forward 192.0.2.1 0"],
    ),
    Case::wire(
        "cancel of a forward",
        &[
            "global tcpip-forward localhost 0",
            "global cancel-tcpip-forward localhost $BOUND",
            "dial",
        ],
    ),
    Case::wire(
        "cancel of a forward asked for as port 0",
        &[
            "global tcpip-forward localhost 0",
            "global cancel-tcpip-forward localhost 0",
            "global cancel-tcpip-forward 127.0.0.1 $BOUND",
        ],
    ),
    Case::wire(
        "cancel of an unknown forward",
        &[
            "global cancel-tcpip-forward localhost 4242",
            "global cancel-streamlocal-forward@openssh.com /no/such",
        ],
    ),
    Case::wire(
        "a stream outlives its cancelled forward",
        &[
            "global tcpip-forward localhost 0",
            "dial",
            "wait opened",
            "global cancel-tcpip-forward localhost $BOUND",
            "say still",
            "wait data",
        ],
    ),
    Case::wire(
        "streamlocal-forward",
        &[
            "global streamlocal-forward@openssh.com $HOME/socket",
            "unix $HOME/socket",
            "wait opened",
            "say hello",
            "wait data",
            "data answer",
            "eof",
            "close",
            "hear",
            "global cancel-streamlocal-forward@openssh.com $HOME/socket",
            "open",
            "req exec 'ls -d socket 2>/dev/null; true'",
            "wait close",
        ],
    ).intended("[1] data: 'socket\\n'", "far end reads b'answer'", "a cancelled socket's file goes with it, so that it can be bound again"),
    Case::wire(
        "mode of a forwarded socket",
        &[
            "global streamlocal-forward@openssh.com $HOME/moded",
            "open",
            "req exec 'stat -c %a%F moded; rm moded'",
            "wait close",
        ],
    ),
    Case::wire(
        "streamlocal-forward of an existing path",
        &[
            "open",
            "req exec 'touch taken'",
            "wait close",
            "global streamlocal-forward@openssh.com $HOME/taken",
            "open",
            "req exec 'stat -c %F taken; rm taken'",
            "wait close",
        ],
    ),
    Case::wire(
        "streamlocal-forward below a missing directory",
        &["global streamlocal-forward@openssh.com $HOME/no/such"],
    ),
    Case::wire(
        "streamlocal-forward of an empty path",
        &["global streamlocal-forward@openssh.com ''"],
    ).intended("success", "failure", "there is no such path; sshd binds a socket nobody can name"),
    Case::custom("a forwarded socket after its connection", |server| {
        let steps = ["global streamlocal-forward@openssh.com $HOME/left"];
        let outcome = crate::wire::talk(server, &steps);
        std::thread::sleep(std::time::Duration::from_millis(500));
        let left = server.home.join("left");
        let is_left = std::fs::symlink_metadata(&left).is_ok();
        std::fs::remove_file(left).ok();
        format!("{outcome}left behind: {is_left}")
    }).intended("left behind: true", "left behind: false", "a socket goes with its connection, so that the next one may bind it"),
    Case::ssh("-L that leads nowhere", &["-W", "127.0.0.1:1"], "", ""),
    Case::ssh(
        "-R that is refused",
        &["-oExitOnForwardFailure=yes", "-R1:127.0.0.1:1"],
        "true",
        "",
    ),
    Case::ssh(
        "-W to an echo of ssh itself",
        &["-W", "127.0.0.1:9"],
        "",
        "",
    ),
];

#[test]
fn forwards_behave_as_under_sshd() {
    check(CASES);
}
