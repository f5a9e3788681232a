//! X11 forwarding with real parties: Xvfb on the client's side, `xauth` and `xdpyinfo` in the workspace.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::bare::text;
use crate::harness::client::Client;
use crate::harness::daemon::{Daemon, write_secret};
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::master::Master;
use crate::{python, said};

/// What the display asks for; no workspace may ever see it.
const COOKIE: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";

/// A display that nobody may use without the cookie.
struct Display {
    name: String,
    directory: TempDir,
    _server: Background,
}

impl Display {
    #[track_caller]
    fn open() -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        let authority = directory.path().join("Xauthority");
        let add = |name: &str| {
            let mut xauth = Command::new("xauth");
            xauth.args(["-f", text(&authority), "add", name, ".", COOKIE]);
            said::ok(&run(&mut xauth, b"", PATIENCE));
        };
        add(":0"); // the server minds the cookie, not the name
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-auth", text(&authority)]);
        command.args(["-nolisten", "tcp", "-screen", "0", "640x480x24"]);
        let mut server = Background::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let stdout = server.0.stdout.take().expect("piped");
        let mut number = String::new();
        let heard = BufReader::new(stdout).read_line(&mut number);
        heard.expect("Xvfb names its display");
        let name = format!(":{}", number.trim());
        add(&name);
        Self {
            name,
            directory,
            _server: server,
        }
    }

    fn authority(&self) -> PathBuf {
        self.directory.path().join("Xauthority")
    }

    /// `ssh -Y workspace COMMAND` of somebody who sits at this display.
    fn ssh(&self, client: &Client, command: &str) -> Output {
        let mut ssh = client.command("ssh");
        ssh.args(["-Y", "workspace", command]);
        ssh.env("DISPLAY", &self.name);
        ssh.env("XAUTHORITY", self.authority());
        run(&mut ssh, b"", PATIENCE)
    }
}

#[test]
fn a_program_of_the_workspace_shows_itself_on_the_clients_display() {
    let daemon = Daemon::start(|_| ());
    let display = Display::open();
    let output = display.ssh(&daemon.client, "echo $DISPLAY; xauth list; xdpyinfo");
    let shown = said::ok(&output);
    let here = shown.lines().next().unwrap_or_default().to_owned();
    let number = number(&here);
    assert!(number >= 10, "{shown}");
    assert!(
        shown.contains(&format!("name of display:    {here}\n")),
        "{shown}"
    );
    assert!(shown.contains("640x480 pixels"), "{shown}");
    // xauth has what opens the forwarded display, which is not what opens the real one.
    let entry = format!("/unix:{number}  MIT-MAGIC-COOKIE-1  ");
    assert!(shown.contains(&entry) && !shown.contains(COOKIE), "{shown}");
    is_gone(number);
}

/// The number in `localhost:NUMBER.SCREEN`.
#[track_caller]
fn number(display: &str) -> u16 {
    let rest = display.trim().strip_prefix("localhost:");
    let number = rest.and_then(|rest| rest.split('.').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no display: {display:?}"))
}

#[track_caller]
fn is_gone(number: u16) {
    eventually("nothing listens for the display", PATIENCE, || {
        TcpStream::connect(("127.0.0.1", 6000 + number)).err()
    });
}

#[test]
fn each_session_of_a_connection_has_a_display_and_takes_it_along() {
    let daemon = Daemon::start(|_| ());
    let display = Display::open();
    let master = Master::changed(&daemon.client, |ssh| {
        ssh.arg("-Y").env("DISPLAY", &display.name);
        ssh.env("XAUTHORITY", display.authority());
    });
    let mut long = master.command("ssh");
    long.env("DISPLAY", &display.name);
    long.args(["-Y", "workspace", "echo $DISPLAY; read _; xdpyinfo"]);
    let mut long = Background::start(long.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut said_by_long = BufReader::new(long.0.stdout.take().expect("piped"));
    let mut first = String::new();
    said_by_long.read_line(&mut first).expect("its display");

    for _ in 0..2 {
        let mut short = master.command("ssh");
        short.env("DISPLAY", &display.name);
        short.args(["-Y", "workspace", "echo $DISPLAY; xdpyinfo"]);
        let shown = said::ok(&run(&mut short, b"", PATIENCE));
        let second = shown.lines().next().unwrap_or_default();
        assert_ne!(number(second), number(&first));
        assert!(shown.contains("640x480 pixels"), "{shown}");
        is_gone(number(second));
    }
    drop(long.0.stdin.take()); // the end of `read`
    let mut shown = String::new();
    said_by_long.read_to_string(&mut shown).expect("text");
    assert!(shown.contains("640x480 pixels"), "{shown}");
    is_gone(number(&first));
}

#[test]
fn a_display_for_a_single_connection_takes_one() {
    let daemon = Daemon::start(|_| ());
    let script = r#"
def asked(single): return wire.request(channel, "x11-req", single, "MIT-MAGIC-COOKIE-1", "00ff", 0)
wire = Wire()
channel = wire.open()
assert asked(True)
assert not asked(True), "a second display"
assert wire.request(channel, "exec", "echo $DISPLAY; cat")
kind, message = wire.expect(DATA, EXTENDED)
while kind == EXTENDED: kind, message = wire.expect(DATA, EXTENDED) # xauth tells that it makes its file
message.get_int()
where = ("127.0.0.1", 6000 + int(message.get_binary().split(b":")[1].split(b".")[0]))
first = socket.create_connection(where)
kind, message = wire.expect(OPEN)
assert message.get_text() == "x11"
def refused():
    try: socket.create_connection(where).close()
    except ConnectionRefusedError: return True
eventually(refused, "the second connection is refused")
"#;
    python::check(&daemon, python::WIRE, script);
}

#[test]
fn a_program_without_the_cookie_is_turned_away() {
    let daemon = Daemon::start(|_| ());
    let display = Display::open();
    let output = display.ssh(&daemon.client, "XAUTHORITY=/dev/null xdpyinfo");
    assert!(said::failed(&output, 1).contains("unable to open display"));
}

#[test]
fn an_rc_of_the_users_gets_the_cookie_in_place_of_xauth() {
    let daemon = Daemon::start(|setup| {
        fs::create_dir(setup.home().join(".ssh")).expect("~/.ssh");
        let rc = "read protocol cookie; echo \"$protocol ${#cookie} $DISPLAY\"\n";
        fs::write(setup.home().join(".ssh/rc"), rc).expect("~/.ssh/rc");
    });
    let display = Display::open();
    let shown = said::ok(&display.ssh(&daemon.client, "test -e .Xauthority || echo none"));
    assert!(
        shown.starts_with("MIT-MAGIC-COOKIE-1 32 localhost:"),
        "{shown}"
    );
    assert!(shown.ends_with("\nnone\n"), "{shown}");
}

#[test]
fn a_key_with_no_x11_forwarding_gets_no_display() {
    let daemon = Daemon::start(|setup| {
        let key = fs::read_to_string(setup.identity().with_extension("pub")).expect("the key");
        let line = format!("no-X11-forwarding {key}");
        write_secret(&setup.authorized_keys(), &[("tester", line.as_bytes())]);
    });
    let display = Display::open();
    let output = display.ssh(&daemon.client, "echo \"[$DISPLAY]\"");
    assert_eq!(said::ok(&output), "[]\n");
    assert!(said::err(&output).contains("X11 forwarding request failed"));
}
