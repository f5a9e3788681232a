//! The option grammar against OpenSSH's sshd: the same authorized_keys, the same client key, and
//! the same questions: does it log in, what runs, with which variables, with a terminal, and with which
//! forwards? Where podssh is stricter on purpose the table says so.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use podssh::keys::{HostPort, Options, Permission};

use crate::bench::Bench;

/// What one login may do, as far as a client can see.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// What ran: the client's command or the forced one, and the variable `A` in it.
    ran: String,
    pty: bool,
    /// To the one destination that is tried.
    open: bool,
    /// On `localhost` and the one port that is tried.
    listen: bool,
}

struct Parity {
    bench: Bench,
    server: u16,
    /// Something to connect to, and a port to listen on.
    target: TcpListener,
    listen: u16,
}

/// The line's options with `{open}` and `{listen}` for the ports that are tried. The last field:
/// podssh refuses a line that sshd accepts, and why.
const TABLE: &[(&str, Option<&str>)] = &[
    ("", None),
    ("restrict", None),
    ("restrict,pty", None),
    ("pty,restrict", None),
    ("RESTRICT,Port-Forwarding", None),
    ("no-pty", None),
    ("no-pty,pty", None),
    ("no-port-forwarding", None),
    ("no-agent-forwarding,no-X11-forwarding,no-user-rc", None),
    (
        "agent-forwarding,x11-forwarding,user-rc,port-forwarding,pty",
        None,
    ),
    ("touch-required,no-touch-required,no-verify-required", None),
    (r#"command="echo forced""#, None),
    (r#"COMMAND="echo \"quoted, text\"""#, None),
    (r#"command="echo 'back\slash'""#, None),
    (r#"command="echo a",command="echo b""#, None),
    (r"command=echo", None),
    (r#"command="echo"#, None),
    (r#"command = "echo a""#, None),
    (r#"environment="A=1""#, None),
    (r#"environment="A=1",environment="A=2""#, None),
    (r#"environment="A=x=y z""#, None),
    (r#"environment="A=""#, None),
    (r#"environment="A""#, None),
    (r#"environment="A-B=1""#, None),
    (r#"environment="1=1""#, None),
    (r#"from="127.0.0.1""#, None),
    (r#"from="127.0.0.0/8""#, None),
    (r#"from="127.*""#, None),
    (r#"from="10.0.0.0/8""#, None),
    (r#"from="!127.0.0.1,*""#, None),
    (r#"from="*,!127.0.0.0/8""#, None),
    (r#"from="!10.0.0.1""#, None),
    (r#"from="127.0.0.1/8""#, None),
    (r#"from="127.0.0.1/33""#, None),
    (r#"from="::1,127.0.0.?""#, None),
    (r#"from="localhost""#, None),
    (
        r#"from="!*.example.com,*""#,
        Some("a negated name protects nobody without the DNS"),
    ),
    (r#"from="""#, None),
    (r#"from="*",from="*""#, None),
    (r#"expiry-time="20200101""#, None),
    (r#"expiry-time="20990101""#, None),
    (r#"expiry-time="20990101Z""#, None),
    (r#"expiry-time="209901012359""#, None),
    (r#"expiry-time="20990101235959z""#, None),
    (r#"expiry-time="20990101",expiry-time="20200101""#, None),
    (r#"expiry-time="2099""#, None),
    (r#"expiry-time="2099-01-01""#, None),
    (r#"permitopen="127.0.0.1:{open}""#, None),
    (r#"permitopen="127.0.0.1:*""#, None),
    (r#"permitopen="*:{open}""#, None),
    (r#"permitopen="127.*:{open}""#, None),
    (
        r#"permitopen="127.0.0.1:1",permitopen="127.0.0.1:{open}""#,
        None,
    ),
    (r#"permitopen="127.0.0.1:1""#, None),
    (r#"restrict,permitopen="127.0.0.1:{open}""#, None),
    (
        r#"restrict,port-forwarding,permitopen="127.0.0.1:{open}""#,
        None,
    ),
    (r#"permitopen="{open}""#, None),
    (r#"permitopen="127.0.0.1:0""#, None),
    (r#"permitopen="127.0.0.1:99999""#, None),
    (r#"permitlisten="{listen}""#, None),
    (r#"permitlisten="localhost:{listen}""#, None),
    (r#"permitlisten="local*:{listen}""#, None),
    (r#"permitlisten="127.0.0.1:{listen}""#, None),
    (r#"permitlisten="*:*""#, None),
    (r#"permitlisten="1""#, None),
    (r#"permitlisten="x""#, None),
    (r#"principals="x""#, None),
    ("cert-authority", None),
    ("no-cert-authority", None),
    ("frobnicate", None),
    ("pty,", None),
    (",pty", None),
    ("pty,,pty", None),
    ("pty no-pty", None),
    (r#"zos-key-ring-label="x""#, None),
    (r#"tunnel="0""#, Some("there are no tunnel devices here")),
    ("verify-required", Some("an ordinary key verifies nobody")),
];

/// The line's options in front of a CA's key, and how the client's certificate was signed. An empty
/// line: the CA is trusted by the server (`TrustedUserCAKeys`, `--user-ca`) instead.
const CERTIFICATES: &[(&str, &[&str], Option<&str>)] = &[
    ("", &[], None),
    ("", &["-O", "clear"], None),
    (
        "",
        &["-O", "no-pty", "-O", "force-command=echo forced"],
        None,
    ),
    ("", &["-O", "source-address=127.0.0.0/8"], None),
    ("", &["-O", "source-address=10.0.0.0/8"], None),
    ("", &["-O", "critical:x@example.com=y"], None),
    ("", &["-O", "extension:x@example.com=y"], None),
    ("", &["-n", "nobody-here"], None),
    ("", &["no-principals"], None),
    ("", &["-V", "-2h:-1h"], None),
    ("", &["-V", "+1h:+2h"], None),
    ("", &["-h"], None),
    ("cert-authority", &[], None),
    (
        "cert-authority",
        &["no-principals"],
        Some("a certificate for nobody was once one for all"),
    ),
    ("cert-authority", &["-n", "nobody-here"], None),
    ("cert-authority,no-port-forwarding", &["-O", "no-pty"], None),
    (r#"cert-authority,principals="a,b""#, &["-n", "b"], None),
    (r#"cert-authority,principals="a,b""#, &[], None),
    (
        r#"cert-authority,command="echo x""#,
        &["-O", "force-command=echo x"],
        None,
    ),
    (
        r#"cert-authority,command="echo x""#,
        &["-O", "force-command=echo y"],
        None,
    ),
    (
        r#"cert-authority,command="echo x",environment="A=1""#,
        &[],
        None,
    ),
    (
        r#"cert-authority,permitopen="127.0.0.1:1",permitlisten="1""#,
        &[],
        None,
    ),
    (r#"cert-authority,from="10.0.0.0/8""#, &[], None),
    (r#"cert-authority,expiry-time="20200101""#, &[], None),
    ("restrict", &[], None),
];

#[test]
fn certificates_are_judged_as_by_sshd() {
    let parity = Parity::start();
    let mut wrong = Vec::new();
    parity.bench.key("ca", &["ed25519"]);
    for (options, signing, stricter) in CERTIFICATES {
        let ca = format!("{options} {}\n", parity.bench.public_line("ca"));
        let trusted = options.is_empty();
        parity
            .bench
            .write("user_ca", if trusted { ca.trim_start() } else { "" });
        parity
            .bench
            .write("authorized_keys", if trusted { "" } else { &ca });
        parity.bench.sign("ca", "alice", signing);
        let difference = parity.compare(&format!("{options} {signing:?}"), *stricter);
        wrong.extend(difference);
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        CERTIFICATES.len(),
        wrong.join("\n")
    );
}

/// Rows at a time; each is four logins, which take their time in key exchange.
const WORKERS: usize = 4;

#[test]
fn decisions_are_those_of_sshd() {
    let workers = (0..WORKERS).map(|worker| {
        thread::spawn(move || {
            let parity = Parity::start();
            let rows = TABLE.iter().skip(worker).step_by(WORKERS);
            rows.filter_map(|(options, stricter)| parity.difference(options, *stricter))
                .collect()
        })
    });
    let workers: Vec<thread::JoinHandle<Vec<String>>> = workers.collect();
    let wrong: Vec<String> = workers
        .into_iter()
        .flat_map(|one| one.join().unwrap())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        TABLE.len(),
        wrong.join("\n")
    );
}

impl Parity {
    fn start() -> Self {
        let bench = Bench::new();
        bench.key("alice", &["ed25519"]);
        bench.key("host", &["ed25519"]);
        bench.write("user_ca", "");
        let path = |name: &str| bench.path(name).display().to_string();
        bench.write(
            "sshd_config",
            &format!(
                "HostKey {}\nAuthorizedKeysFile {}\nTrustedUserCAKeys {}\n\
                 StrictModes no\nUsePAM no\nPidFile none\n\
                 PermitUserEnvironment yes\nPermitRootLogin yes\nAuthenticationMethods publickey\n\
                 PrintMotd no\nPrintLastLog no\n",
                path("host"),
                path("authorized_keys"),
                path("user_ca"),
            ),
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap().port();
        let config = path("sshd_config");
        thread::spawn(move || {
            listener
                .incoming()
                .for_each(|peer| serve(peer.unwrap(), &config));
        });
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap().port();
        let answering = target.try_clone().unwrap();
        thread::spawn(move || answering.incoming().for_each(drop));
        Self {
            bench,
            server,
            target,
            listen,
        }
    }

    /// What is wrong with this row, if anything.
    fn difference(&self, options: &str, stricter: Option<&str>) -> Option<String> {
        let open = self.target.local_addr().unwrap().port().to_string();
        let options = options.replace("{open}", &open);
        let options = options.replace("{listen}", &self.listen.to_string());
        let separator = if options.is_empty() { "" } else { " " };
        let line = format!("{options}{separator}{}\n", self.bench.public_line("alice"));
        self.bench.write("authorized_keys", &line);
        self.compare(&options, stricter)
    }

    fn compare(&self, row: &str, stricter: Option<&str>) -> Option<String> {
        let (ours, theirs) = (self.ours(), self.theirs());
        let expected = match stricter {
            None => ours == theirs,
            Some(_) => ours.is_none() && theirs.is_some(),
        };
        (!expected).then(|| format!("{row}\n   ours:   {ours:?}\n   theirs: {theirs:?}"))
    }

    /// What podssh says, in the terms of what a client sees.
    fn ours(&self) -> Option<Seen> {
        let grant = self.bench.decide("alice", "127.0.0.1").ok()?;
        let options = grant.options;
        let forwarding = options.permits(Permission::PortForwarding);
        let open = self.target.local_addr().unwrap().port();
        let listed = |list: &Option<Vec<HostPort>>, allows: &dyn Fn(&HostPort) -> bool| {
            list.as_ref().is_none_or(|list| list.iter().any(allows))
        };
        Some(Seen {
            ran: ran(&options),
            pty: options.permits(Permission::Pty),
            open: forwarding
                && listed(&options.permit_open, &|place| {
                    place.allows_open("127.0.0.1", open)
                }),
            listen: forwarding
                && listed(&options.permit_listen, &|place| {
                    place.allows_listen("localhost", self.listen)
                }),
        })
    }

    /// What sshd does.
    fn theirs(&self) -> Option<Seen> {
        let remote = format!("{}:127.0.0.1:1", self.listen);
        let login = self.ssh(&["-R", &remote], &["printf '[%s]' \"$A\""]);
        let errors = String::from_utf8_lossy(&login.stderr);
        if errors.contains("Permission denied") {
            return None;
        }
        assert!(login.status.success(), "{errors}");
        // With -tt a refused terminal ends the client.
        let terminal = self.ssh(&["-tt"], &["true"]);
        let target = self.target.local_addr().unwrap();
        let tunnel = self.ssh(&["-W", &target.to_string()], &[]);
        Some(Seen {
            ran: String::from_utf8_lossy(&login.stdout).trim_end().to_owned(),
            pty: terminal.status.success(),
            open: tunnel.status.success(),
            listen: !errors.contains("remote port forwarding failed"),
        })
    }

    fn ssh(&self, options: &[&str], command: &[&str]) -> Output {
        let key = self.bench.path("alice");
        Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "LogLevel=INFO",
            ])
            .args([
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "IdentitiesOnly=yes",
            ])
            .args([
                "-o",
                "IdentityAgent=none",
                "-o",
                "BatchMode=yes",
                "-o",
                "ConnectTimeout=20",
            ])
            .args([
                "-i",
                &key.display().to_string(),
                "-p",
                &self.server.to_string(),
            ])
            .args(options)
            .arg(format!("{}@127.0.0.1", self.bench.user))
            .args(command)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

/// The output of what the options make of the client's command.
fn ran(options: &Options) -> String {
    let variable = options.environment.iter().find(|(name, _)| name == "A");
    let mut shell = Command::new("sh");
    shell
        .env_remove("A")
        .envs(variable.map(|(name, value)| (name, value)));
    let command = options
        .command
        .clone()
        .unwrap_or_else(|| "printf '[%s]' \"$A\"".into());
    let output = shell.arg("-c").arg(command).output().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// One connection, one sshd, as inetd would.
fn serve(peer: TcpStream, config: &str) {
    // As root sshd insists on its privilege separation directory.
    if !Path::new("/run/sshd").exists() {
        let _ = fs::create_dir_all("/run/sshd");
    }
    let input: OwnedFd = peer.try_clone().unwrap().into();
    let output: OwnedFd = peer.into();
    let mut sshd = Command::new("/usr/sbin/sshd")
        .args(["-i", "-e", "-f", config])
        .stdin(input)
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .expect("these tests compare with OpenSSH's sshd: install openssh-server");
    thread::spawn(move || sshd.wait());
}
