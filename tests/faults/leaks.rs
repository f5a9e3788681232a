//! Many come and go: afterwards the daemon holds what it held before.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use russh::ChannelMsg;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::daemon::Daemon;
use crate::harness::http;
use crate::harness::process::{PATIENCE, eventually};
use crate::visitor::{Leave, PHASES, Phase, Way};
use crate::{much, proc, said};

/// Visitors at once: below --max-startups.
const AT_ONCE: usize = 32;

/// What a daemon holds, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    children: usize,
    connections: String,
    tasks: String,
    files: BTreeSet<PathBuf>,
}

impl Holdings {
    fn of(daemon: &Daemon) -> Self {
        // First: the connection that asks for the rest is one itself, for a moment longer than the answer.
        let (descriptors, threads, children) = proc::holds(daemon.pid());
        let (_, metrics) = http::get(&daemon.admin, "/metrics");
        let metric = |name: &str| {
            let line = metrics
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("no {name} in\n{metrics}"))
                .to_owned()
        };
        let (connections, tasks) = (metric("podssh_connections_open"), metric("podssh_tasks"));
        let mut files = BTreeSet::new();
        walk(&daemon.home(), &mut files);
        Self {
            descriptors,
            threads,
            children,
            connections,
            tasks,
            files,
        }
    }
}

fn walk(directory: &std::path::Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the home") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        }
        found.insert(path);
    }
}

/// What it holds once it is quiet: nobody is there, and idle helper threads have gone.
#[track_caller]
fn at_rest(daemon: &Daemon) -> Holdings {
    let mut last = Holdings::of(daemon);
    let mut same = 0;
    eventually("the daemon is quiet", PATIENCE, || {
        let now = Holdings::of(daemon);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        let nobody = last.connections.ends_with(" 0") && last.children == 0;
        (nobody && same > 20).then(|| last.clone())
    })
}

#[track_caller]
fn as_before(daemon: &Daemon, before: &Holdings) {
    let mut now = Holdings::of(daemon);
    let deadline = std::time::Instant::now() + PATIENCE * 2;
    // Threads for blocking calls end after ten idle seconds.
    while &now != before {
        let lesser = now.descriptors <= before.descriptors && now.threads <= before.threads;
        let rest = (now.children, &now.connections, &now.tasks, &now.files)
            == (
                before.children,
                &before.connections,
                &before.tasks,
                &before.files,
            );
        if lesser && rest {
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "before: {before:#?}\nnow: {now:#?}"
        );
        std::thread::sleep(Duration::from_millis(50));
        now = Holdings::of(daemon);
    }
}

/// Has the same crowd come again, and compares with what was held after the first time, when what is
/// made once has been made. Memory is the allocator's to keep for a while, so it has until the fourth
/// time to stay within a tenth; a leak grows each time.
#[track_caller]
fn nothing_is_left(daemon: &Daemon, crowd: &str, come: impl Fn()) {
    come();
    let before = at_rest(daemon);
    let mut resident = proc::resident(daemon.pid());
    for _ in 0..3 {
        come();
        as_before(daemon, &before);
        let now = proc::resident(daemon.pid());
        eprintln!("{crowd}: resident {resident} KiB before, {now} KiB after");
        if now <= resident + resident / 10 {
            return;
        }
        resident = now;
    }
    panic!("{crowd}: it grows each time, to {resident} KiB");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// `count` visitors for each phase, half closing and half resetting.
async fn visits(way: &Way, phases: &[Phase], count: usize) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut visitors = JoinSet::new();
    for number in 0..count {
        for phase in phases.iter().copied() {
            let place = Arc::clone(&places)
                .acquire_owned()
                .await
                .expect("never closed");
            let way = way.clone();
            let leave = if number % 2 == 0 {
                Leave::Close
            } else {
                Leave::Reset
            };
            visitors.spawn(async move {
                way.visit(phase, leave).await;
                drop(place);
            });
            while let Some(visitor) = visitors.try_join_next() {
                visitor.expect("a visitor");
            }
        }
    }
    while let Some(visitor) = visitors.join_next().await {
        visitor.expect("a visitor");
    }
}

#[test]
fn connections_that_end_in_any_phase_leave_nothing_behind() {
    let daemon = Daemon::start(|setup| setup.args(["--max-startups", "1000"]));
    let (way, runtime) = (Way::to(&daemon), runtime());
    let count = much(60, 2000);
    let all = format!("{} visits", count * PHASES.len());
    nothing_is_left(&daemon, &all, || {
        runtime.block_on(visits(&way, &PHASES, count));
    });
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn many_sessions_at_once_are_served_and_leave_nothing_behind() {
    let daemon = Daemon::start(|setup| setup.args(["--max-startups", "1000"]));
    let (way, runtime) = (Way::to(&daemon), runtime());
    let (connections, each) = much((20, 10), (100, 20));
    let all = format!("{} sessions", connections * each);
    nothing_is_left(&daemon, &all, || {
        runtime.block_on(together(&way, connections, each));
    });
}

/// Opens them all, then has each echo a line while all are open, then ends half of them and leaves.
async fn together(way: &Way, connections: usize, each: usize) {
    let opened = Arc::new(tokio::sync::Barrier::new(connections));
    let mut all = JoinSet::new();
    for number in 0..connections {
        let (way, opened) = (way.clone(), Arc::clone(&opened));
        all.spawn(async move {
            let served = async {
                let visitor = way.log_in().await.expect("a login");
                let mut sessions = Vec::new();
                for _ in 0..each {
                    sessions.push(visitor.start("cat").await.expect("a session"));
                }
                opened.wait().await;
                for (index, session) in sessions.iter_mut().enumerate() {
                    let line = format!("{number}.{index}\n");
                    session.data_bytes(line.clone()).await.expect("sent");
                    let echo = loop {
                        let message = session.wait().await.expect("the session lives");
                        if let ChannelMsg::Data { data } = message {
                            break data;
                        }
                    };
                    assert_eq!(&echo[..], line.as_bytes());
                }
                opened.wait().await;
                for session in sessions.iter().step_by(2) {
                    session.eof().await.expect("sent");
                }
            };
            timeout(PATIENCE * 5, served).await.expect("served in time");
        });
    }
    while let Some(one) = all.join_next().await {
        one.expect("a connection");
    }
}
