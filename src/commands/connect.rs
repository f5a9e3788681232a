//! `podssh connect`: an ssh ProxyCommand that tunnels through a gateway's HTTP CONNECT.
//!
//! Standard output carries tunnel bytes only; every word for the user goes to standard error. Sends
//! HTTP/1.1, which every gateway speaks, over TCP or TLS, and retries while a workspace starts.

mod answer;
mod carry;
mod dial;
mod refusal;
mod route;
mod tls;

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use self::answer::fuzz;

use std::thread;
use std::time::{Duration, Instant};

use self::refusal::Refusal;
use self::route::{Opened, Route};
use super::{Failed, report};
use crate::cli::ConnectArgs;
use crate::{config, exit_code};

/// What one try may take, however short the wait: a slow gateway is no reason to give up at once.
const LEAST_TRY: Duration = Duration::from_secs(10);
/// Between two tries, doubling up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Run it; 0 once the tunnel has ended.
pub fn run(args: &ConnectArgs) -> u8 {
    match tunnel(args) {
        Ok(()) => 0,
        Err(failed) => report(&failed),
    }
}

fn tunnel(args: &ConnectArgs) -> Result<(), Failed> {
    let wait = config::duration("--wait", &args.wait)
        .map_err(|message| Failed::new(exit_code::USAGE, message))?;
    let route = Route::parse(args)?;
    let opened = open_patiently(&route, wait)?;
    carry::carry(opened).map_err(|error| {
        Failed::new(
            exit_code::UNAVAILABLE,
            format!("the tunnel to {} broke: {error}", route.workspace),
        )
    })
}

/// Try until the wait is over; each new reason for going on is told once.
fn open_patiently(route: &Route, wait: Duration) -> Result<Opened, Failed> {
    let deadline = Instant::now() + wait;
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    loop {
        let Refusal { message, code, .. } = match route.open(wait.max(LEAST_TRY)) {
            Ok(opened) => return Ok(opened),
            Err(refusal) if refusal.passing && Instant::now() + pause < deadline => refusal,
            Err(refusal) => return Err(Failed::new(refusal.code, refusal.message)),
        };
        if told != message {
            let seconds = (deadline - Instant::now()).as_secs();
            report(&Failed::new(
                code,
                format!("{message}; trying for another {seconds} s"),
            ));
            told = message;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
