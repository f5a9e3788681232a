//! Many at once, and peers that do not read: others are served, memory stays bounded.

use std::fs::File;
use std::process::Stdio;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::daemon::Daemon;
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::master::Master;
use crate::{proc, python, said};

/// What the daemon may grow by while peers do not read, in KiB.
const GROWTH: u64 = 64 * 1024;
/// What a command beside a stalled one may take.
const PROMPT: Duration = Duration::from_secs(10);

#[test]
fn forty_connections_at_once_are_all_served() {
    let daemon = Daemon::start(|_| ());
    let together = Barrier::new(40);
    thread::scope(|scope| {
        for number in 0..40 {
            let (daemon, together) = (&daemon, &together);
            scope.spawn(move || {
                together.wait();
                let output = daemon.ssh([format!("echo {number}; exit 5")]);
                said::failed(&output, 5);
                assert_eq!(said::out(&output), format!("{number}\n"));
            });
        }
    });
    eventually("everything is given back", PATIENCE, || {
        proc::children(daemon.pid()).is_empty().then_some(())
    });
}

#[test]
fn two_hundred_sessions_are_open_on_one_connection() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        python::ASYNCSSH,
        r#"
async def main(conn):
    sessions = [await conn.create_process("cat") for _ in range(200)]
    for number, process in enumerate(sessions):
        process.stdin.write("%d\n" % number)
    for number, process in enumerate(sessions):
        assert await process.stdout.readline() == "%d\n" % number
        process.stdin.write_eof()
    for process in sessions:
        assert (await process.wait()).exit_status == 0
start(main)
"#,
    );
}

#[test]
fn a_child_that_never_reads_stalls_nobody_and_costs_little() {
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    said::ok(&master.ssh("true"));
    let before = proc::resident(daemon.pid());
    let mut command = master.command("ssh");
    command
        .args(["workspace", "touch started; sleep 600"])
        .stdin(File::open("/dev/zero").expect("/dev/zero"))
        .stdout(Stdio::null());
    let mut stalled = Background::start(&mut command);
    eventually("the stalled command runs", PATIENCE, || {
        daemon.home().join("started").exists().then_some(())
    });
    prompt_beside(&daemon, &master, before);
    assert!(stalled.is_running());
}

#[test]
fn a_client_that_never_reads_stalls_nobody_and_costs_little() {
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    said::ok(&master.ssh("true"));
    let before = proc::resident(daemon.pid());
    let mut command = master.command("ssh");
    command
        .args(["workspace", "touch started; cat /dev/zero"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped()); // which nobody reads
    let mut stalled = Background::start(&mut command);
    eventually("the stalled command runs", PATIENCE, || {
        daemon.home().join("started").exists().then_some(())
    });
    prompt_beside(&daemon, &master, before);
    assert!(stalled.is_running());
    drop(stalled);
    eventually("the writer ends with its client", PATIENCE, || {
        proc::children(daemon.pid()).is_empty().then_some(())
    });
}

#[track_caller]
fn prompt_beside(daemon: &Daemon, master: &Master, before: u64) {
    for _ in 0..10 {
        let started = Instant::now();
        assert_eq!(said::ok(&master.ssh("echo here")), "here\n");
        assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
        let growth = proc::resident(daemon.pid()).saturating_sub(before);
        assert!(growth < GROWTH, "grew by {growth} KiB");
    }
}

/// Nothing at all is read, not even by the client's transport; the whole connection is full.
#[test]
fn a_connection_that_is_never_read_costs_little_and_disturbs_no_other() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        python::WIRE,
        r#"
wire, other = Wire(), Wire()
before = resident()
channel = wire.open(window=(1 << 32) - 1, packet=1 << 20)
# With a queue that is full the reader thread stops, and the connection fills up.
wire.queue.maxsize = 100
assert wire.request(channel, "exec", "cat /dev/zero")
for _ in range(20):
    assert other.works()
    growth = resident() - before
    assert growth < 64 * 1024, growth
"#,
    );
}

#[test]
fn everything_is_given_back_after_many_connections() {
    let daemon = Daemon::start(|_| ());
    said::ok(&daemon.ssh(["true"]));
    let before = eventually("the first connection is gone", PATIENCE, || {
        let holds = proc::holds(daemon.pid());
        (holds.2 == 0 && daemon.log().contains("disconnected")).then_some(holds)
    });
    thread::scope(|scope| {
        for lane in 0..6 {
            let daemon = &daemon;
            scope.spawn(move || {
                for round in 0..10 {
                    let args = if (lane + round) % 2 == 0 {
                        vec!["true"]
                    } else {
                        vec!["-s", "sftp"]
                    };
                    daemon.ssh(args);
                }
            });
        }
    });
    let mut now = (0, 0, 0);
    let same = || {
        now = proc::holds(daemon.pid());
        (now.0 <= before.0 && now.2 == 0).then_some(())
    };
    eventually("descriptors and children as before", PATIENCE, same);
}

/// A lease makes truncate(2) wait for its holder, as a disk or a dead network file system would.
#[test]
fn a_file_call_that_hangs_holds_up_its_own_session_only() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        python::PARAMIKO,
        r#"
import fcntl, signal, threading
path = os.path.join(HOME, "leased")
with open(path, "w") as file:
    file.write("x" * 10)
os.chown(path, os.stat(HOME).st_uid, -1)
asked = threading.Event()
signal.signal(signal.SIGIO, lambda *_: asked.set())
holder = os.open(path, os.O_RDWR)
fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)

hanging = connect()
call = threading.Thread(target=hanging.open_sftp().truncate, args=("leased", 3))
call.start()
eventually(asked.is_set, "the call waits for the lease")

for number in range(10):
    beside = connect()
    beside.open_sftp().mkdir("beside-%d" % number)
    beside.close()
assert hanging.open_sftp().listdir("beside-9") == []
stdin, stdout, stderr = hanging.exec_command("echo said")
assert stdout.read() == b"said\n"
assert call.is_alive() and os.stat(path).st_size == 10, "the call did not hang"

fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
call.join(30)
assert not call.is_alive() and os.stat(path).st_size == 3
hanging.close()
"#,
    );
}
