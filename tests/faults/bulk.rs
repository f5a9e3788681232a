//! Much of everything on one connection: twenty forwards, both ways, key exchanges all the time, and a
//! channel that nobody reads. All of it arrives exact, and the daemon stays small.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::daemon::Daemon;
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::{much, proc};

const FORWARDS: usize = 20;
const MEBIBYTE: usize = 1 << 20;
/// What the daemon may grow by, in KiB: each of 21 channels may have a window of 2 MiB under way, and
/// the connection its backlog.
const GROWTH: u64 = 64 * 1024;

/// A service that says again what it is told; its port.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut from) = stream else { return };
            thread::spawn(move || {
                let mut to = from.try_clone().expect("a second handle");
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = from.read(&mut buffer) {
                    if to.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
        .collect();
    held.iter()
        .map(|listener| listener.local_addr().expect("bound").port())
        .collect()
}

/// Sends `length` bytes of a known sequence and compares what comes back, byte by byte.
fn there_and_back(port: u16, seed: u64, length: usize, done: &AtomicU64) {
    let connect = || TcpStream::connect(("127.0.0.1", port)).ok();
    let mut to = eventually("the forward accepts", PATIENCE, connect);
    let mut from = to.try_clone().expect("a second handle");
    from.set_read_timeout(Some(PATIENCE * 2))
        .expect("a timeout");
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut random = StdRng::seed_from_u64(seed);
            let mut buffer = vec![0; MEBIBYTE];
            for _ in 0..length / MEBIBYTE {
                random.fill(&mut buffer[..]);
                to.write_all(&buffer).expect("the forward takes bytes");
            }
        });
        let mut random = StdRng::seed_from_u64(seed);
        let (mut expected, mut found) = (vec![0; MEBIBYTE], vec![0; MEBIBYTE]);
        for number in 0..length / MEBIBYTE {
            random.fill(&mut expected[..]);
            from.read_exact(&mut found)
                .expect("the forward gives bytes back");
            assert!(expected == found, "forward {seed}: MiB {number} differs");
            done.fetch_add(1, Ordering::Relaxed);
        }
    });
}

#[test]
fn gigabytes_both_ways_with_key_exchanges_and_a_stalled_channel_arrive_exact_in_bounded_memory() {
    let total = much(320, 5120); // MiB each way, all forwards together
    let daemon = Daemon::start(|_| ());
    let (target, ports) = (echo(), free_ports(FORWARDS));
    let log = daemon.client.config.with_file_name("bulk.log");
    let mut command = daemon.client.command("ssh");
    command
        .args(["-o", "RekeyLimit=64M", "-o", "LogLevel=DEBUG1", "-E"])
        .arg(&log);
    for port in &ports {
        command.args(["-L", &format!("127.0.0.1:{port}:127.0.0.1:{target}")]);
    }
    command
        .args([
            "-o",
            "ExitOnForwardFailure=yes",
            "workspace",
            "touch started; cat /dev/zero",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped()); // which nobody reads: the stalled channel
    let mut ssh = Background::start(&mut command);
    eventually("the stalled command runs", PATIENCE, || {
        daemon.home().join("started").exists().then_some(())
    });
    let before = proc::resident(daemon.pid());
    let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(proc::resident(daemon.pid()));
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        let done = &done;
        let forwards: Vec<_> = (0u64..)
            .zip(&ports)
            .map(|(seed, port)| {
                scope.spawn(move || there_and_back(*port, seed, total / FORWARDS * MEBIBYTE, done))
            })
            .collect();
        let outcomes: Vec<_> = forwards
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        over.store(true, Ordering::Relaxed);
        for outcome in outcomes {
            outcome.expect("a forward");
        }
        watch.join().expect("the watch")
    });
    assert!(ssh.is_running(), "ssh ended");
    let growth = most.saturating_sub(before);
    let said = fs::read_to_string(&log).expect("ssh's log");
    let exchanges = said.matches("SSH2_MSG_KEXINIT sent").count();
    eprintln!(
        "{total} MiB each way in {:?}, {exchanges} key exchanges, grew by at most {growth} KiB over {before}",
        began.elapsed()
    );
    assert_eq!(done.load(Ordering::Relaxed) as usize, total);
    // One for each 64 MiB in either direction, beside the first.
    assert!(exchanges > total / 64, "{exchanges} key exchanges");
    assert!(growth < GROWTH, "grew by {growth} KiB");
}
