//! Many strangers from one address, which may be the gateway's: a login gets in all the same.

use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, eventually};
use crate::python::{self, WIRE};
use crate::stranger::{Stranger, ecdh_init, kexinit, packet};
use crate::{proc, said};

/// A login meanwhile takes less.
const PROMPT: Duration = Duration::from_secs(2);
const DRIPPING: usize = 200;

/// Our own end needs as many descriptors as the daemon's.
fn many_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(1 << 16), hard).expect("up to the hard limit");
}

/// Connects `rate` times a second, sends `greeting` and holds on, until `stop`.
fn flood(daemon: &Daemon, rate: u32, greetings: &[Vec<u8>], stop: &AtomicBool) -> usize {
    let (mut held, mut count) = (VecDeque::new(), 0);
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as usize;
        while count < due && !stop.load(Ordering::Relaxed) {
            // A backlog that is full is part of it.
            if let Ok(mut stream) = TcpStream::connect(&daemon.address) {
                stream.write_all(&greetings[count % greetings.len()]).ok();
                held.push_back(stream);
            }
            count += 1;
            if held.len() > 2000 {
                held.pop_front();
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    count
}

/// Logs in again and again for `time`; how long each took, shortest first.
#[track_caller]
fn logins(daemon: &Daemon, time: Duration) -> Vec<Duration> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let started = Instant::now();
        said::ok(&daemon.ssh(["true"]));
        took.push(started.elapsed());
    }
    took.sort();
    took
}

/// The median has to be prompt, or not much slower than `alone`, where the machine is busy with
/// something else; a single one may have met worse.
#[track_caller]
fn prompt(what: &str, took: &[Duration], alone: Duration) {
    let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{what}: {} logins, median {median:?}, most {most:?}, alone {alone:?}",
        took.len()
    );
    assert!(
        median < PROMPT.max(4 * alone),
        "{what}: median {median:?} of {took:?}"
    );
}

#[test]
fn a_login_gets_in_while_a_thousand_connect_each_second_and_two_hundred_drip() {
    many_descriptors();
    let daemon = Daemon::start(|_| ());
    said::ok(&daemon.ssh(["true"]));
    let alone = logins(&daemon, Duration::from_secs(1))[0];
    let before = proc::resident(daemon.pid());
    let greetings = [
        Vec::new(),
        b"SSH-2.0-flood\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n".to_vec(),
    ];
    let (stop, dripping) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut slow: Vec<_> = (0..DRIPPING).map(|_| Stranger::connect(&daemon)).collect();
            let mut version = b"SSH-2.0-slow_loris".iter().cycle();
            while !stop.load(Ordering::Relaxed) {
                let byte = [*version.next().expect("for ever")];
                slow.retain_mut(|stranger| stranger.0.write_all(&byte).is_ok());
                dripping.store(slow.len(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(500));
            }
        });
        let flood = scope.spawn(|| flood(&daemon, 1000, &greetings, &stop));
        let took = logins(&daemon, Duration::from_secs(8));
        let growth = proc::resident(daemon.pid()).saturating_sub(before);
        stop.store(true, Ordering::Relaxed);
        let count = flood.join().expect("the flood");
        println!("{count} strangers in 8 s, daemon grew by {growth} KiB");
        prompt("beside a flood of connections", &took, alone);
        assert!(growth < 96 * 1024, "grew by {growth} KiB");
        assert!(daemon.log().contains("the oldest make room"));
    });
    eventually("all are gone", PATIENCE, || {
        proc::children(daemon.pid()).is_empty().then_some(())
    });
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn a_login_gets_in_while_strangers_exchange_keys_all_the_time() {
    many_descriptors();
    let daemon = Daemon::start(|_| ());
    let alone = logins(&daemon, Duration::from_secs(1))[0];
    let stop = AtomicBool::new(false);
    let greeting = [
        b"SSH-2.0-flood\r\n".as_slice(),
        &packet(&kexinit()),
        &packet(&ecdh_init()),
    ]
    .concat();
    thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&daemon, 200, &[greeting], &stop));
        let took = logins(&daemon, Duration::from_secs(5));
        stop.store(true, Ordering::Relaxed);
        let count = flood.join().expect("the flood");
        println!("{count} key exchanges in 5 s");
        prompt("beside a flood of key exchanges", &took, alone);
    });
}

#[test]
fn two_hundred_slow_strangers_are_put_out_in_time() {
    let daemon = Daemon::start(|setup| setup.args(["--login-grace", "6s"]));
    said::ok(&daemon.ssh(["true"]));
    let began = Instant::now();
    let silent: Vec<_> = (0..100).map(|_| Stranger::connect(&daemon)).collect();
    let halfway: Vec<_> = (0..100).map(|_| Stranger::greeted(&daemon)).collect();
    for mut stranger in silent.into_iter().chain(halfway) {
        stranger.hung_up("a stranger who waits");
    }
    let lasted = began.elapsed();
    println!("the last of 200 was put out after {lasted:?}, --login-grace 6s");
    assert!(
        lasted > Duration::from_secs(1) && lasted < Duration::from_secs(30),
        "{lasted:?}"
    );
    eventually("a line for each", PATIENCE, || {
        (daemon.log().matches("within --login-grace").count() == 200).then_some(())
    });
}

/// The slow loris: a byte now and then, of the version line or of a packet, or a message that is
/// ignored, is no sign of life that counts.
#[test]
fn whoever_drips_is_put_out_as_soon_as_whoever_is_silent() {
    let daemon = Daemon::start(|setup| setup.args(["--login-grace", "6s"]));
    said::ok(&daemon.ssh(["true"]));
    print!("{}", python::check(&daemon, WIRE, DRIPS));
    eventually("a line for each", PATIENCE, || {
        (daemon.log().matches("within --login-grace").count() == 200).then_some(())
    });
}

const DRIPS: &str = r#"
def raw(greeting):
    stream = socket.create_connection((HOST, PORT))
    stream.sendall(greeting)
    return stream

def keyed():
    transport = paramiko.Transport(socket.create_connection((HOST, PORT)))
    transport.start_client(timeout=20)
    say(transport, bytes([5]) + pack("ssh-userauth"))
    say(transport, bytes([50]) + pack(USER, "ssh-connection", "none"))
    return transport

def say(transport, payload):
    message = Message()
    message.add_bytes(payload)
    transport._send_message(message)

def drips(one):
    """Whether there is still somebody to drip to."""
    try:
        if isinstance(one, paramiko.Transport):
            if one.is_active(): say(one, bytes([2]) + pack("drip")) # IGNORE
            return one.is_active()
        one.send(b"\0" if one in packets else b"x")
        while True:
            if one.recv(4096, socket.MSG_DONTWAIT) == b"": return False
    except BlockingIOError:
        return True
    except (EOFError, OSError, paramiko.SSHException):
        return False

began = time.monotonic()
lines = [raw(b"SSH-2.0-") for _ in range(100)]
# A packet of 30,000 bytes has been announced, and comes byte by byte.
packets = [raw(b"SSH-2.0-drip\r\n" + struct.pack(">I", 30000)) for _ in range(70)]
left, logins = lines + packets + [keyed() for _ in range(30)], []
while left:
    left = [one for one in left if drips(one)]
    started = time.monotonic()
    assert Wire().works()
    logins.append(time.monotonic() - started)
    time.sleep(0.2) # the drip
    assert time.monotonic() - began < 30, len(left)
print("200 who drip were gone after %.1f s, --login-grace 6s; logins meanwhile %.2f s in the median"
    % (time.monotonic() - began, sorted(logins)[len(logins) // 2]))
assert sorted(logins)[len(logins) // 2] < 2, logins
"#;
