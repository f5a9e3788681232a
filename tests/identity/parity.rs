//! The option grammar against OpenSSH's sshd: the same files, the same client, and the same questions
//! over the wire to both servers: does it log in, what runs, with which variables, with a terminal,
//! and with which forwards? Where podssh is stricter on purpose the table says so.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::bench::Bench;
use crate::harness::daemon::user;
use crate::pod::{Pod, set_mode};

mod table;

use table::{CERTIFICATES, TABLE};

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
    /// Who runs the tests, whom sshd serves.
    login: String,
    server: u16,
    /// Something to connect to, and a port to listen on.
    target: TcpListener,
    listen: u16,
}

/// Rows at a time; each is eight logins, which take their time in key exchange.
const WORKERS: usize = 4;

#[test]
fn decisions_are_those_of_sshd() {
    agree(TABLE, |parity, (options, stricter)| {
        parity.difference(options, *stricter)
    });
}

#[test]
fn certificates_are_judged_as_by_sshd() {
    agree(CERTIFICATES, |parity, (options, signing, stricter)| {
        if !parity.bench.path("ca").exists() {
            parity.bench.key("ca", &["ed25519"]);
        }
        let ca = format!("{options} {}\n", parity.bench.public_line("ca"));
        let trusted = options.is_empty();
        let (authority, line) = if trusted {
            (ca.trim_start(), "")
        } else {
            ("", ca.as_str())
        };
        parity.bench.write("user_ca", authority);
        parity.bench.write("authorized_keys", line);
        parity.bench.sign("ca", "alice", signing);
        parity.compare(&format!("{options} {signing:?}"), *stricter)
    });
}

/// Puts the rows to both servers; `differs` says what is wrong with one, if anything.
#[track_caller]
fn agree<T: Sync>(rows: &'static [T], differs: fn(&Parity, &T) -> Option<String>) {
    let workers = (0..WORKERS).map(|worker| {
        thread::spawn(move || -> Vec<String> {
            let parity = Parity::start();
            let rows = rows.iter().skip(worker).step_by(WORKERS);
            rows.filter_map(|row| differs(&parity, row)).collect()
        })
    });
    let workers: Vec<_> = workers.collect();
    let wrong: Vec<String> = workers
        .into_iter()
        .flat_map(|one| one.join().unwrap())
        .collect();
    let (count, of) = (wrong.len(), rows.len());
    assert!(wrong.is_empty(), "{count} of {of}:\n{}", wrong.join("\n"));
}

impl Parity {
    fn start() -> Self {
        let mut bench = Bench::new();
        // The daemon's user reads it too; certificates are for both users.
        set_mode(bench.root.path(), 0o755);
        let login = bench.user.clone();
        bench.user = format!("{login},{}", user());
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
            login,
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

    /// What podssh does; started anew, so that it has read what stands there now.
    fn ours(&self) -> Option<Seen> {
        let mut pod = Pod::new();
        for (flag, name) in [
            ("--authorized-keys", "authorized_keys"),
            ("--user-ca", "user_ca"),
        ] {
            pod.args([flag.as_ref(), self.bench.path(name).as_os_str()]);
        }
        let running = pod.start();
        self.seen(user(), &running.port)
    }

    /// What sshd does.
    fn theirs(&self) -> Option<Seen> {
        self.seen(&self.login, &self.server.to_string())
    }

    fn seen(&self, login: &str, port: &str) -> Option<Seen> {
        let remote = format!("{}:127.0.0.1:1", self.listen);
        let first = self.ssh(login, port, &["-R", &remote], &["printf '[%s]' \"$A\""]);
        let errors = String::from_utf8_lossy(&first.stderr);
        if errors.contains("Permission denied") {
            return None;
        }
        assert!(first.status.success(), "{errors}");
        // With -tt a refused terminal ends the client.
        let terminal = self.ssh(login, port, &["-tt"], &["true"]);
        let target = self.target.local_addr().unwrap();
        let tunnel = self.ssh(login, port, &["-W", &target.to_string()], &[]);
        Some(Seen {
            ran: String::from_utf8_lossy(&first.stdout).trim_end().to_owned(),
            pty: terminal.status.success(),
            open: tunnel.status.success(),
            listen: !errors.contains("remote port forwarding failed"),
        })
    }

    fn ssh(&self, login: &str, port: &str, options: &[&str], command: &[&str]) -> Output {
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
            .args(["-i", &key.display().to_string(), "-p", port])
            .args(options)
            .arg(format!("{login}@127.0.0.1"))
            .args(command)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
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
