//! Nothing left: descriptors, processes, disk, home, shell. A clear word on the channel, and when it
//! is there again everything works as before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::harness::daemon::Daemon;
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::master::Master;
use crate::{proc, python, said};

/// Sets a soft limit of a running daemon; `None` lifts it again.
#[track_caller]
fn limit(daemon: &Daemon, resource: &str, to: Option<usize>) {
    let ask = [&format!("--{resource}"), "--noheadings", "--output", "HARD"];
    let hard = prlimit(daemon, &ask).trim().to_owned();
    let soft = to.map_or(hard.clone(), |to| to.to_string());
    prlimit(daemon, &[&format!("--{resource}={soft}:{hard}")]);
}

/// prlimit(1) as the daemon's user, who may.
#[track_caller]
fn prlimit(daemon: &Daemon, args: &[&str]) -> String {
    let id = |field| {
        let ids = proc::status(daemon.pid(), field);
        ids.split_whitespace()
            .next()
            .and_then(|id| id.parse().ok())
            .expect("an id")
    };
    let mut command = Command::new("prlimit");
    command
        .args(["--pid", &daemon.pid().to_string()])
        .args(args);
    if nix::unistd::geteuid().is_root() {
        command.uid(id("Uid")).gid(id("Gid"));
    }
    said::ok(&run(&mut command, b"", PATIENCE))
}

#[track_caller]
fn is_as_before(daemon: &Daemon, master: &Master) {
    assert_eq!(said::ok(&master.ssh("echo back")), "back\n");
    assert_eq!(said::ok(&daemon.ssh(["echo back"])), "back\n");
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn without_descriptors_a_session_says_so_and_connections_wait() {
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    said::ok(&master.ssh("true"));
    eventually("the session is over", PATIENCE, || {
        proc::children(daemon.pid()).is_empty().then_some(())
    });
    // No number below this is free.
    limit(&daemon, "nofile", Some(3));
    let refused = master.ssh("true");
    let words = said::failed(&refused, 254);
    assert!(words.contains("Too many open files"), "{words}");
    // A connection is taken from the kernel's queue when there is room again.
    let mut waiting = daemon.client.command("ssh");
    waiting.args(["workspace", "true"]).stdin(Stdio::null());
    let mut waiting = Background::start(&mut waiting);
    eventually("the log says why", PATIENCE, || {
        daemon
            .log()
            .contains("cannot accept connections")
            .then_some(())
    });
    for _ in 0..5 {
        said::failed(&master.ssh("true"), 254);
    }
    assert_eq!(
        daemon.log().matches("cannot accept connections").count(),
        1,
        "said once"
    );
    limit(&daemon, "nofile", None);
    eventually("who waited is served", PATIENCE, || {
        (!waiting.is_running()).then_some(())
    });
    assert!(waiting.0.wait().expect("our child").success());
    is_as_before(&daemon, &master);
    assert!(daemon.log().contains("accepting connections again"));
}

#[test]
fn without_processes_a_session_says_so_and_sftp_still_works() {
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    said::ok(&master.ssh("true"));
    limit(&daemon, "nproc", Some(1));
    for args in [&["workspace", "true"][..], &["-tt", "workspace", "true"]] {
        let output = run(master.command("ssh").args(args), b"", PATIENCE);
        let words = said::failed(&output, 254);
        assert!(
            words.contains("Resource temporarily unavailable"),
            "{words}"
        );
    }
    // No process is needed for these, but threads are.
    fs::write(daemon.home().join("file"), "content").expect("a file");
    for _ in 0..3 {
        let said = sftp(&master, "ls -l file\n");
        assert!(said::ok(&said).contains("file"), "{}", said::show(&said));
    }
    let mut name = master.command("ssh");
    // A name has to be looked up.
    name.args([
        "-W",
        &format!(
            "localhost:{}",
            daemon.admin.rsplit_once(':').expect("a port").1
        ),
    ]);
    let ask = b"GET /livez HTTP/1.0\r\n\r\n";
    let answer = run(name.arg("workspace"), ask, PATIENCE);
    assert!(
        said::out(&answer).contains("200"),
        "{}",
        said::show(&answer)
    );
    limit(&daemon, "nproc", None);
    is_as_before(&daemon, &master);
}

/// A file call that hangs keeps its thread, and under a full limit no other can go on in its place. A
/// lease makes truncate(2) wait for its holder, as a dead disk would.
#[test]
fn a_slow_disk_without_threads_is_told_once_and_its_end_too() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        python::PARAMIKO,
        r#"
import fcntl, signal, subprocess, threading
path, log = os.path.join(HOME, "leased"), os.path.join(HOME, "../log")
with open(path, "w") as file: file.write("x" * 10)
os.chown(path, os.stat(HOME).st_uid, -1)
signal.signal(signal.SIGIO, lambda *_: None)
holder = os.open(path, os.O_RDWR)

def said(what): return open(log).read().count(what)
def looks():
    """How often the thread that looks after slow calls has looked."""
    for task in os.listdir("/proc/%d/task" % PID):
        about = "/proc/%d/task/%s/" % (PID, task)
        if open(about + "comm").read() == "watch\n":
            line = next(line for line in open(about + "status") if line.startswith("voluntary"))
            return int(line.split()[1])

def limit(*args):
    """prlimit(1) as the daemon's user, who may."""
    about = os.stat(HOME)
    as_user = dict(user=about.st_uid, group=about.st_gid) if os.geteuid() == 0 else {}
    return subprocess.run(["prlimit", "--pid", str(PID), *args], check=True, capture_output=True, text=True, **as_user).stdout

soft, hard = limit("--nproc", "--noheadings", "--output", "SOFT,HARD").split()
sftp = connect().open_sftp()
for most, news in [("1", "no thread to spare"), (soft, "threads to spare again")]:
    limit("--nproc=%s:%s" % (most, hard))
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    call = threading.Thread(target=sftp.truncate, args=("leased", 3))
    call.start()
    eventually(lambda: said(news), news)
    begun = looks()
    if most == "1": eventually(lambda: looks() > begun + 100, "it goes on looking")
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    call.join(30)
    assert not call.is_alive() and said(news) == 1, (news, said(news))
"#,
    );
    said::ok(&daemon.ssh(["true"]));
}

fn sftp(master: &Master, batch: &str) -> Output {
    let mut command = master.command("sftp");
    run(
        command.args(["-b", "-", "workspace"]),
        batch.as_bytes(),
        PATIENCE,
    )
}

/// A small file system, mounted in a namespace of the test's own would hide it from the daemon: it is
/// mounted where the daemon sees it, and unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    #[track_caller]
    fn mount(at: PathBuf) -> Self {
        fs::create_dir_all(&at).expect("a mount point");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=256k,mode=777", "podssh-test"])
            .arg(&at);
        said::ok(&run(&mut mount, b"", PATIENCE));
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn on_a_full_disk_transfers_fail_with_the_reason_and_logins_work() {
    let daemon = Daemon::start(|_| ());
    let disk = SmallDisk::mount(daemon.home().join("disk"));
    let large = daemon.home().join("../client/large");
    fs::write(&large, vec![7; 1 << 20]).expect("a file");
    let master = Master::connect(&daemon.client, &[]);
    let put = sftp(&master, &format!("put {} disk/large\n", large.display()));
    assert!(!put.status.success());
    assert!(
        said::err(&put).contains("No space left on device") || said::err(&put).contains("Failure"),
        "{}",
        said::show(&put)
    );
    let output = master.ssh("echo more > disk/more || echo failed");
    assert!(said::show(&output).contains("failed") || said::show(&output).contains("No space"));
    said::ok(&daemon.ssh(["true"]));
    let removed = sftp(&master, "rm disk/large\n");
    said::ok(&removed);
    fs::write(&large, b"little").expect("a file");
    said::ok(&sftp(
        &master,
        &format!("put {} disk/large\n", large.display()),
    ));
    assert_eq!(fs::read(disk.0.join("large")).expect("the file"), b"little");
    is_as_before(&daemon, &master);
}

#[test]
fn a_home_that_vanishes_is_named_and_welcome_back() {
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    let (home, away) = (daemon.home(), daemon.home().with_file_name("away"));
    fs::rename(&home, &away).expect("the home goes");
    let words = said::failed(&master.ssh("true"), 1);
    assert!(
        words.contains("home directory") && words.contains("is missing"),
        "{words}"
    );
    said::failed(&daemon.ssh(["true"]), 1);
    fs::rename(&away, &home).expect("the home comes back");
    is_as_before(&daemon, &master);
}

#[test]
fn a_shell_that_vanishes_or_is_killed_is_told() {
    let bin = tempfile::tempdir().expect("a temp dir");
    fs::set_permissions(bin.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let shell = bin.path().join("sh");
    fs::copy("/bin/sh", &shell).expect("a shell");
    let daemon = Daemon::start(|setup| setup.shell(&shell));
    let master = Master::connect(&daemon.client, &[]);
    said::ok(&master.ssh("true"));
    fs::remove_file(&shell).expect("the shell goes");
    let words = said::failed(&master.ssh("true"), 127);
    assert!(
        words.contains("login shell") && words.contains("is missing"),
        "{words}"
    );
    fs::copy("/bin/sh", &shell).expect("the shell comes back");
    let killed = master.ssh("kill -9 $$");
    assert_eq!(killed.status.code(), Some(255), "{}", said::show(&killed));
    is_as_before(&daemon, &master);
}

#[test]
fn storms_of_signals_do_not_end_it() {
    use nix::sys::signal::Signal::{SIGCHLD, SIGHUP, SIGPIPE, SIGWINCH};
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    for _ in 0..500 {
        for signal in [SIGCHLD, SIGHUP, SIGPIPE, SIGWINCH] {
            daemon.signal(signal);
        }
    }
    is_as_before(&daemon, &master);
}

#[test]
fn sessions_get_the_limit_of_descriptors_that_the_daemon_was_given() {
    let given = "ulimit -Sn; ulimit -Hn";
    let ours = said::ok(&run(
        Command::new("bash").args(["-c", given]),
        b"",
        PATIENCE,
    ));
    let daemon = Daemon::start(|_| ());
    assert_eq!(said::ok(&daemon.ssh([given])), ours);
}

/// Nothing but what is dated may depend on the wall clock, which jumps: the expiry of keys and
/// certificates, the year in a listing, and what is told to people.
#[test]
fn the_wall_clock_is_asked_in_few_places() {
    let src = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut grep = Command::new("grep");
    grep.args([
        "-rlE",
        "SystemTime::now|UNIX_EPOCH.elapsed|Zoned::now|Timestamp::now",
    ])
    .arg(&src);
    let found = said::ok(&run(&mut grep, b"", PATIENCE));
    let mut found: Vec<_> = found
        .lines()
        .map(|line| {
            line.trim_start_matches(src.to_str().expect("text"))
                .trim_start_matches('/')
        })
        .collect();
    found.sort_unstable();
    let few = [
        "activity.rs",
        "commands/doctor.rs",
        "control/status.rs",
        "doctor/surroundings.rs",
        "server/auth.rs",
        "server/connection.rs",
        "sftp/listing.rs",
        "workspace/last_end.rs",
    ];
    assert_eq!(found, few);
}
