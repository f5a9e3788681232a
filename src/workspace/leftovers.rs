//! What nobody waits for at the end: programs that outlived their sessions. They are the container's
//! and end with it; as PID 1 we tell them first, where the kernel would only kill.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Every process that we may signal, except PID 1 itself.
const ALL: Pid = Pid::from_raw(-1);
/// What they have to end by themselves after SIGTERM, and what a shell then has after SIGHUP.
const LAST_WORDS: [(Signal, Duration); 2] = [
    (Signal::SIGTERM, Duration::from_millis(1500)),
    (Signal::SIGHUP, Duration::from_millis(500)),
];
/// And to be gone once killed.
const GONE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(20);

/// End everything else in the container: SIGTERM first, which a service without a terminal expects;
/// SIGHUP for the shells that take no notice; SIGKILL. Elsewhere than as PID 1, others see to it.
/// Somebody must be reaping meanwhile.
pub async fn end() {
    if std::process::id() != 1 || none_left() {
        return;
    }
    tracing::info!("ending what is left in the container");
    for (signal, patience) in LAST_WORDS {
        // One that is stopped must run to take it.
        for signal in [signal, Signal::SIGCONT] {
            let _ = kill(ALL, signal);
        }
        if tokio::time::timeout(patience, gone()).await.is_ok() {
            return;
        }
    }
    let _ = kill(ALL, Signal::SIGKILL);
    // What is stuck in the kernel ends with us.
    let _ = tokio::time::timeout(GONE, gone()).await;
}

async fn gone() {
    while !none_left() {
        tokio::time::sleep(INTERVAL).await;
    }
}

fn none_left() -> bool {
    kill(ALL, None) == Err(Errno::ESRCH)
}
