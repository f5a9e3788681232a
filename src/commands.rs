//! One file a subcommand. Each takes its arguments and returns an exit code.

mod banner;
mod client_config;
pub mod connect;
mod daemon;
pub mod doctor;
pub mod down;
pub mod host_keys;
pub mod install;
pub mod keys;
pub mod list;
mod place;
mod progress;
mod ready;
pub mod render;
pub mod serve;
mod sockets;
pub mod ssh_config;
pub mod status;
pub mod up;
mod wanted;

use std::fmt::Display;
use std::io::Write;

/// Why a command failed, and the exit code that says so.
#[derive(Debug)]
struct Failed {
    code: u8,
    message: String,
}

impl Failed {
    fn new(code: u8, message: impl Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }
}

/// Say it on standard error, a line each, and give the code.
fn report(failed: &Failed) -> u8 {
    let mut stderr = std::io::stderr().lock();
    for line in failed.message.lines() {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(stderr, "podssh: {line}");
    }
    failed.code
}
