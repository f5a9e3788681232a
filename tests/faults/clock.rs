//! The wall clock jumps, by hours and both ways: what is dated follows it, nothing else notices.
//!
//! In `make test` it is the daemon's own clock that jumps (own_clock.py). With SOAK_CLOCK=machine, as root,
//! `make soak` moves the machine's, which every other program there notices: on a machine of its own only.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use serde_json::Value;

use crate::gateway::{client, version_1};
use crate::harness::client::Client;
use crate::harness::daemon::{Daemon, Setup, generate_key, write_secret};
use crate::harness::http;
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::master::Master;
use crate::said;

const HOUR: i64 = 3600;
/// A third of --login-grace, which is what somebody silent has.
const GRACE: Duration = Duration::from_secs(2);
/// A key that has expired ends its connections within a second, on a machine that is not busy.
const SOON: Duration = Duration::from_secs(20);

/// A clock that can be set.
trait Clock {
    /// So many seconds away from the right time, from now on.
    fn set(&mut self, seconds: i64);
}

/// The daemon's own.
struct Own(PathBuf);

impl Own {
    const HELPER: &str = include_str!("own_clock.py");

    fn of(setup: &mut Setup) -> Self {
        let clock = Self(setup.home().with_file_name("clock"));
        fs::write(&clock.0, "0").expect("a file");
        setup.under([
            "python3",
            "-c",
            Self::HELPER,
            clock.0.to_str().expect("text"),
        ]);
        clock
    }
}

impl Clock for Own {
    fn set(&mut self, seconds: i64) {
        let new = self.0.with_extension("new");
        fs::write(&new, seconds.to_string()).expect("a file");
        fs::rename(new, &self.0).expect("a file in place of the other");
    }
}

/// The machine's: right again when this is dropped, or when this program has died.
struct Machine(Background, BufReader<std::process::ChildStdout>);

impl Machine {
    fn take() -> Self {
        let mut keeper = Command::new("python3");
        keeper.args(["-c", include_str!("machine_clock.py")]);
        let mut keeper = Background::start(keeper.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let answers = BufReader::new(keeper.0.stdout.take().expect("piped"));
        Self(keeper, answers)
    }
}

impl Clock for Machine {
    fn set(&mut self, seconds: i64) {
        let stdin = self.0.0.stdin.as_mut().expect("piped");
        writeln!(stdin, "{seconds}").expect("the keeper of the clock reads");
        let mut answer = String::new();
        self.1.read_line(&mut answer).expect("an answer");
        assert_eq!(
            answer, "moved\n",
            "the clock is not to be set: is this root?"
        );
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.0.0.stdin.take());
        self.0.0.wait().ok();
    }
}

/// Who may log in: for ever, for an hour, for four.
struct Keys {
    lines: Vec<(&'static str, String)>,
    directory: PathBuf,
}

const KEYS: [(&str, Option<i64>); 3] = [
    ("for-ever", None),
    ("an-hour", Some(1)),
    ("four-hours", Some(4)),
];

impl Keys {
    fn write(setup: &Setup) -> Self {
        let now = Timestamp::now();
        let lines = KEYS.map(|(name, hours)| {
            let public = generate_key(&setup.identity().with_file_name(name));
            let until = |hours: i64| {
                let time = Timestamp::from_second(now.as_second() + hours * HOUR);
                let time = time.expect("a time").strftime("%Y%m%d%H%M%SZ").to_string();
                format!("expiry-time=\"{time}\" {public}")
            };
            (name, hours.map_or(public.clone(), until))
        });
        let keys = Self {
            lines: lines.to_vec(),
            directory: setup.authorized_keys(),
        };
        keys.grant(|_| true);
        keys
    }

    /// Has the keys of these names listed, and no others.
    fn grant(&self, listed: impl Fn(&str) -> bool) {
        let files = self.lines.iter().filter(|(name, _)| listed(name));
        let files: Vec<_> = files.map(|(name, line)| (*name, line.as_bytes())).collect();
        write_secret(&self.directory, &files);
    }
}

/// Somebody with the key of that name.
fn owner(daemon: &Daemon, key: &str) -> Client {
    from(daemon, "192.0.2.7", key)
}

/// The same from an address, by way of a gateway.
fn from(daemon: &Daemon, source: &str, key: &str) -> Client {
    let owner = client(daemon, version_1(source));
    let text = fs::read_to_string(&owner.config).expect("ssh_config");
    let own = owner.identity.with_file_name(key);
    let text = text.replace(
        owner.identity.to_str().expect("text"),
        own.to_str().expect("text"),
    );
    fs::write(&owner.config, text).expect("ssh_config");
    owner
}

/// A user from an address that only failed until now, twenty times at once: three minutes are to pass.
fn penalised(daemon: &Daemon) -> Client {
    let header = version_1("192.0.2.66");
    let silent: Vec<_> = (0..20).map(|_| greet(&daemon.address, &header)).collect();
    for mut stream in silent {
        std::io::copy(&mut stream, &mut std::io::sink()).expect("put out in time");
    }
    from(daemon, "192.0.2.66", "for-ever")
}

/// A connection that has said where it comes from, and nothing else.
fn greet(address: &str, header: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the daemon listens");
    stream.write_all(header).expect("sent");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Everything that has to be as it is at any time of day.
#[track_caller]
fn lives(daemon: &Daemon, lasting: &mut Master, keys: &Keys) {
    // Longer than keepalives may go unanswered, on a connection that was there before.
    assert_eq!(said::ok(&lasting.ssh("sleep 4; echo on")), "on\n");
    assert!(lasting.is_up());
    said::ok(&owner(daemon, "for-ever").ssh(["true"]));
    // A Secret that changes is followed.
    let mut leaving = Master::connect(&owner(daemon, "four-hours"), &[]);
    keys.grant(|name| name != "four-hours");
    eventually("a key that leaves ends its connection", SOON, || {
        (!leaving.is_up()).then_some(())
    });
    keys.grant(|_| true);
    eventually("a key that comes back lets in", SOON, || {
        let output = owner(daemon, "four-hours").ssh(["true"]);
        output.status.success().then_some(())
    });
}

/// Nobody who culls idle workspaces takes this one for idle: the last program was a moment ago.
#[track_caller]
fn is_in_use(daemon: &Daemon) {
    let (_, report) = http::get(&daemon.admin, "/activity");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let idle = report["idle_seconds"].as_i64().expect("a number");
    assert!((0..HOUR / 2).contains(&idle), "{report}");
}

/// Somebody who says nothing, and comes just before `jump`.
#[track_caller]
fn silent(daemon: &Daemon, jump: impl FnOnce()) {
    let began = Instant::now();
    let mut stream = greet(&daemon.address, &version_1("192.0.2.8"));
    jump();
    std::io::copy(&mut stream, &mut std::io::sink()).expect("an end in time");
    let lasted = began.elapsed();
    assert!(lasted + Duration::from_millis(200) >= GRACE, "{lasted:?}");
    assert!(lasted < GRACE + SOON, "{lasted:?}");
}

#[track_caller]
fn jumps(daemon: &Daemon, keys: &Keys, clock: &mut dyn Clock) {
    let mut lasting = Master::connect(&owner(daemon, "for-ever"), &[]);
    let mut dated = Master::connect(&owner(daemon, "an-hour"), &[]);
    let stranger = penalised(daemon);
    let waits = |when: &str| {
        let words = said::failed(&stranger.ssh(["-v", "true"]), 255);
        assert!(words.contains("wait a minute"), "{when}: {words}");
    };
    waits("before");
    assert_eq!(said::ok(&dated.ssh("echo early")), "early\n");

    silent(daemon, || clock.set(2 * HOUR));
    is_in_use(daemon);
    eventually("an expired key ends its connection", SOON, || {
        (!dated.is_up()).then_some(())
    });
    assert!(daemon.log().contains("expired"), "{}", daemon.log());
    said::failed(&owner(daemon, "an-hour").ssh(["true"]), 255);
    waits("two hours later");
    lives(daemon, &mut lasting, keys);

    for hours in [-2, 0] {
        silent(daemon, || clock.set(hours * HOUR));
        is_in_use(daemon);
        said::ok(&owner(daemon, "an-hour").ssh(["true"]));
        lives(daemon, &mut lasting, keys);
    }
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

/// The time of the daemon's last line.
fn log_time(daemon: &Daemon) -> i64 {
    let log = daemon.log();
    let line = log.lines().last().expect("a line");
    let word = line.split_whitespace().next().expect("a time");
    let time: Timestamp = word
        .parse()
        .unwrap_or_else(|error| panic!("{error}: {line}"));
    time.as_second()
}

/// It is this clock that the daemon reads.
#[track_caller]
fn is_read(daemon: &Daemon, clock: &mut dyn Clock) {
    let before = log_time(daemon);
    clock.set(-HOUR);
    said::failed(&owner(daemon, "no-such-key").ssh(["true"]), 255);
    let back = before - log_time(daemon);
    assert!((HOUR - 60..=HOUR).contains(&back), "{back} s back");
    clock.set(0);
}

#[test]
fn a_clock_that_jumps_by_hours_expires_what_is_dated_and_disturbs_nothing_else() {
    let machine = std::env::var_os("SOAK_CLOCK").is_some_and(|whose| whose == "machine");
    let (mut keys, mut own) = (None, None);
    let daemon = Daemon::start(|setup| {
        setup.args(["--trusted-proxy", "127.0.0.1"]);
        // Deadlines that a test can wait for.
        setup.args(["--keepalive", "1s", "--login-grace", "6s"]);
        keys = Some(Keys::write(setup));
        own = (!machine).then(|| Own::of(setup));
    });
    let keys = keys.expect("the set-up has run");
    let before = (SystemTime::now(), Instant::now());
    let mut clock: Box<dyn Clock> = match own {
        Some(own) => Box::new(own),
        None => Box::new(Machine::take()),
    };
    is_read(&daemon, &mut *clock);
    jumps(&daemon, &keys, &mut *clock);
    drop(clock);
    let right = before.0 + before.1.elapsed();
    let off = SystemTime::now().duration_since(right);
    let off = off.unwrap_or_else(|early| early.duration());
    assert!(off < Duration::from_secs(1), "the clock is {off:?} off");
    eprintln!(
        "the clock of {} jumped by hours, both ways",
        if machine { "the machine" } else { "the daemon" }
    );
}
