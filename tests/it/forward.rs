//! Forwards of every kind carry data and leave nothing behind.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;

use crate::bare::text;
use crate::harness::daemon::Daemon;
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::master::Master;
use crate::said;

/// Answers one visitor after another with how many bytes it sent before its end of file.
fn counter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for visitor in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || count(visitor));
        }
    });
    port
}

fn count(mut stream: impl Read + Write) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).ok();
    stream.write_all(all.len().to_string().as_bytes()).ok();
}

/// Sends `size` bytes and the end of file, and yields the answer that comes after.
#[track_caller]
fn count_at(address: &str, size: usize) -> String {
    let stream = eventually(&format!("{address} answers"), PATIENCE, || {
        TcpStream::connect(address).ok()
    });
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = String::new();
    (&stream).write_all(&vec![b'x'; size]).expect("it is read");
    stream.shutdown(Shutdown::Write).expect("half a close");
    (&stream).read_to_string(&mut answer).expect("an answer");
    answer
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

#[test]
fn a_local_forward_keeps_the_half_close() {
    let daemon = Daemon::start(|_| ());
    let target = counter();
    for host in ["127.0.0.1", "localhost"] {
        let port = free_port();
        let spec = format!("127.0.0.1:{port}:{host}:{target}");
        let _master = Master::connect(&daemon.client, &["-L", &spec]);
        assert_eq!(count_at(&format!("127.0.0.1:{port}"), 3_000_000), "3000000");
        thread::scope(|scope| {
            for size in 0..20 {
                scope.spawn(move || {
                    let answer = count_at(&format!("127.0.0.1:{port}"), size);
                    assert_eq!(answer, size.to_string());
                });
            }
        });
    }
}

#[test]
fn what_the_far_side_wrote_last_arrives_before_the_close() {
    let daemon = Daemon::start(|_| ());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for visitor in listener.incoming().map_while(Result::ok) {
            (&visitor).write_all(&vec![b'y'; 2_000_000]).ok();
        }
    });
    let port = free_port();
    let spec = format!("127.0.0.1:{port}:127.0.0.1:{target}");
    let _master = Master::connect(&daemon.client, &["-L", &spec]);
    for round in 0..10 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the forward");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("whole");
        assert_eq!(all.len(), 2_000_000, "round {round}");
    }
}

#[test]
fn what_the_near_side_says_last_arrives_too() {
    let daemon = Daemon::start(|_| ());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = listener.local_addr().expect("bound").port();
    let (sender, counts) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for mut visitor in listener.incoming().map_while(Result::ok) {
            visitor.shutdown(Shutdown::Write).ok();
            let mut all = Vec::new();
            visitor.read_to_end(&mut all).ok();
            sender.send(all.len()).ok();
        }
    });
    let port = free_port();
    let spec = format!("127.0.0.1:{port}:127.0.0.1:{target}");
    let _master = Master::connect(&daemon.client, &["-L", &spec]);
    for round in 0..20 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the forward");
        stream
            .read_to_end(&mut Vec::new())
            .expect("its end of file");
        stream.write_all(&vec![b'z'; 500_000]).expect("it is read");
        drop(stream);
        let count = counts.recv_timeout(PATIENCE).expect("a count");
        assert_eq!(count, 500_000, "round {round}");
    }
}

#[test]
fn a_socks_forward_reaches_names_and_both_families() {
    let daemon = Daemon::start(|_| ());
    let target = counter();
    let port = free_port();
    let _master = Master::connect(&daemon.client, &["-D", &format!("127.0.0.1:{port}")]);
    for host in ["127.0.0.1", "localhost"] {
        let mut socat = Command::new("socat");
        socat.args(["-t30", "-"]);
        let destination = format!("SOCKS4A:127.0.0.1:{host}:{target},socksport={port}");
        let output = run(socat.arg(destination), b"12345", PATIENCE);
        assert_eq!(said::ok(&output), "5", "{host}");
    }
}

#[test]
fn a_refused_destination_is_told_in_sshds_words() {
    let daemon = Daemon::start(|_| ());
    let mut command = daemon.client.command("ssh");
    let closed = free_port();
    command.args(["-W", &format!("127.0.0.1:{closed}"), "workspace"]);
    let error = said::err(&run(&mut command, b"", PATIENCE));
    assert!(
        error.contains("open failed: connect failed: Connection refused"),
        "{error}"
    );
    let mut command = daemon.client.command("ssh");
    command.args(["-W", "no-such-host.invalid:80", "workspace"]);
    let error = said::err(&run(&mut command, b"", PATIENCE));
    assert!(error.contains("open failed: connect failed: "), "{error}");
}

#[test]
fn remote_forwards_come_on_the_port_asked_for_or_a_free_one_and_can_be_cancelled() {
    let daemon = Daemon::start(|_| ());
    let target = counter();
    let master = Master::connect(&daemon.client, &[]);
    for bind in ["", "localhost:", "127.0.0.1:", "*:"] {
        let spec = format!("{bind}0:127.0.0.1:{target}");
        let port = said::ok(&master.control("forward", &["-R", &spec]));
        let port: u16 = port.trim().parse().unwrap_or_else(|_| panic!("{port:?}"));
        let address = format!("127.0.0.1:{port}");
        assert_eq!(count_at(&address, 500_000), "500000", "{bind:?}");
        said::ok(&master.control("cancel", &["-R", &spec]));
        eventually("the port is given up", PATIENCE, || {
            TcpStream::connect(&address).err()
        });
    }
    let port = free_port();
    let spec = format!("{port}:127.0.0.1:{target}");
    said::ok(&master.control("forward", &["-R", &spec]));
    assert_eq!(count_at(&format!("127.0.0.1:{port}"), 5), "5");
    drop(master);
    eventually("the port goes with its connection", PATIENCE, || {
        TcpListener::bind(("127.0.0.1", port)).ok()
    });
}

#[test]
fn a_remote_forward_to_a_port_in_use_is_refused() {
    let daemon = Daemon::start(|_| ());
    let taken = counter();
    let mut command = daemon.client.command("ssh");
    let spec = format!("127.0.0.1:{taken}:127.0.0.1:1");
    command.args([
        "-o",
        "ExitOnForwardFailure=yes",
        "-R",
        &spec,
        "workspace",
        "true",
    ]);
    let error = said::failed(&run(&mut command, b"", PATIENCE), 255);
    assert!(error.contains("remote port forwarding failed"), "{error}");
}

#[test]
fn sockets_are_forwarded_both_ways_and_gone_afterwards() {
    let daemon = Daemon::start(|_| ());
    let here = tempfile::tempdir().expect("a temp dir");
    let everybody = fs::Permissions::from_mode(0o777);
    fs::set_permissions(here.path(), everybody.clone()).expect("chmod");
    let service = here.path().join("service");
    let listener = UnixListener::bind(&service).expect("a socket");
    fs::set_permissions(&service, everybody).expect("chmod");
    thread::spawn(move || {
        for visitor in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || count(visitor));
        }
    });
    let (local, remote) = (here.path().join("local"), daemon.home().join("remote"));
    let to_service = |from: &std::path::Path| format!("{}:{}", text(from), text(&service));
    let args = ["-L", &to_service(&local), "-R", &to_service(&remote)];
    let master = Master::connect(&daemon.client, &args);
    for socket in [&local, &remote] {
        let mut stream = eventually("the socket answers", PATIENCE, || {
            UnixStream::connect(socket).ok()
        });
        stream.write_all(&vec![b'x'; 500_000]).expect("it is read");
        stream.shutdown(Shutdown::Write).expect("half a close");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer, "500000", "{}", socket.display());
    }
    let another = daemon.home().join("another");
    for _ in 0..2 {
        let spec = to_service(&another);
        said::ok(&master.control("forward", &["-R", &spec]));
        assert!(UnixStream::connect(&another).is_ok());
        said::ok(&master.control("cancel", &["-R", &spec]));
        eventually("the cancelled socket is gone", PATIENCE, || {
            (!another.exists()).then_some(())
        });
    }
    drop(master);
    eventually("the socket goes with its connection", PATIENCE, || {
        (!remote.exists()).then_some(())
    });
}

#[test]
fn a_remote_socket_never_replaces_a_file() {
    let daemon = Daemon::start(|_| ());
    said::ok(&daemon.ssh(["echo precious >file"]));
    let mut command = daemon.client.command("ssh");
    let file = daemon.home().join("file");
    let spec = format!("{}:127.0.0.1:1", text(&file));
    command.args([
        "-o",
        "ExitOnForwardFailure=yes",
        "-R",
        &spec,
        "workspace",
        "true",
    ]);
    said::failed(&run(&mut command, b"", PATIENCE), 255);
    assert_eq!(fs::read_to_string(file).expect("it"), "precious\n");
}

#[test]
fn nothing_is_left_bound_when_a_client_is_killed() {
    let daemon = Daemon::start(|_| ());
    let before = crate::proc::holds(daemon.pid()).0;
    let port = free_port();
    let args = [
        "-R",
        &format!("{port}:127.0.0.1:1"),
        "-R",
        &format!("{}:127.0.0.1:1", text(&daemon.home().join("s"))),
    ];
    drop(Master::connect(&daemon.client, &args)); // killed
    eventually("everything is given back", PATIENCE, || {
        let same = crate::proc::holds(daemon.pid()).0 <= before + 1;
        (same && TcpStream::connect(("127.0.0.1", port)).is_err()).then_some(())
    });
    assert!(!daemon.home().join("s").exists());
}

/// An agent with one key.
struct Agent {
    process: Background,
    directory: tempfile::TempDir,
}

impl Agent {
    #[track_caller]
    fn start(daemon: &Daemon) -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        let mut command = Command::new("ssh-agent");
        command
            .arg("-D")
            .arg("-a")
            .arg(directory.path().join("agent"));
        let process = Background::start(command.stdout(Stdio::null()));
        let agent = Self { process, directory };
        let socket = agent.socket();
        eventually("the agent listens", PATIENCE, || {
            UnixStream::connect(&socket).ok()
        });
        let mut add = Command::new("ssh-add");
        add.arg("-q").arg(&daemon.client.identity);
        add.env("SSH_AUTH_SOCK", socket);
        said::ok(&run(&mut add, b"", PATIENCE));
        agent
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("agent")
    }

    fn args(&self) -> [String; 3] {
        let socket = self.socket();
        [
            "-A".into(),
            "-o".into(),
            format!("IdentityAgent={}", text(&socket)),
        ]
    }
}

#[test]
fn a_forwarded_agent_answers_at_a_path_that_stays_the_same() {
    let daemon = Daemon::start(|_| ());
    let mut agent = Agent::start(&daemon);
    let connect = || {
        let args = agent.args();
        Master::connect(&daemon.client, &args.each_ref().map(String::as_str))
    };
    let ask = |master: &Master, command: &str| {
        let mut ssh = master.command("ssh");
        said::ok(&run(
            ssh.args(agent.args()).args(["workspace", command]),
            b"",
            PATIENCE,
        ))
    };
    let first = connect();
    let path = ask(&first, "echo $SSH_AUTH_SOCK");
    assert!(ask(&first, "ssh-add -l").contains("tester@podssh"));
    let second = connect();
    assert_eq!(ask(&second, "echo $SSH_AUTH_SOCK"), path);
    // A program that was started by the first connection goes on with the second's agent.
    drop(first);
    eventually("the first connection is gone", PATIENCE, || {
        daemon.log().contains("disconnected").then_some(())
    });
    assert!(ask(&second, "ssh-add -l").contains("tester@podssh"));
    drop(second);
    // Without forwarding there is no agent, and no stale path either.
    assert_eq!(said::ok(&daemon.ssh(["echo $SSH_AUTH_SOCK"])), "\n");
    assert!(agent.process.is_running());
}

#[test]
fn what_a_killed_daemon_left_is_not_in_the_way_of_an_agent() {
    let daemon = Daemon::start(|_| ());
    let agent = Agent::start(&daemon);
    let ask = |command: &str| {
        let mut ssh = daemon.client.command("ssh");
        ssh.args(agent.args()).args(["workspace", command]);
        said::ok(&run(&mut ssh, b"", PATIENCE))
    };
    let path = ask("echo $SSH_AUTH_SOCK");
    let directory = std::path::Path::new(path.trim())
        .parent()
        .expect("its directory");
    // As one before it with the same process id would have: each container's daemon is process 1.
    for name in ["1", "2", "3", "link"] {
        let left = directory.join(format!("agent.{}.{name}", daemon.pid()));
        fs::write(left, "").expect("a file");
    }
    assert!(ask("ssh-add -l").contains("tester@podssh"));
}

#[test]
fn an_agent_stays_when_a_connection_that_came_later_goes() {
    let daemon = Daemon::start(|_| ());
    let agent = Agent::start(&daemon);
    let args = agent.args();
    let connect = || Master::connect(&daemon.client, &args.each_ref().map(String::as_str));
    let asks = |master: &Master| {
        let mut ssh = master.command("ssh");
        ssh.args(&args).args(["workspace", "ssh-add -l"]);
        said::ok(&run(&mut ssh, b"", PATIENCE)).contains("tester@podssh")
    };
    let first = connect();
    assert!(asks(&first));
    let later = connect();
    assert!(asks(&later));
    drop(later);
    eventually("the later connection is gone", PATIENCE, || {
        daemon.log().contains("disconnected").then_some(())
    });
    assert!(asks(&first));
}
