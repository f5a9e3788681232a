//! `podssh host-keys`: known_hosts lines on standard output, fingerprints on standard error.

use std::io::Write;
use std::path::PathBuf;

use super::{Failed, report};
use crate::cli::HostKeysArgs;
use crate::exit_code;
use crate::keys::{HostKeyPlaces, HostKeys};
use crate::user::{User, Wanted};

/// Run it. Generates the keys if there are none, as the first start would.
pub fn run(args: HostKeysArgs) -> u8 {
    match print(args) {
        Ok(()) => 0,
        Err(failed) => report(&failed),
    }
}

fn print(args: HostKeysArgs) -> Result<(), Failed> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = match &args.host_keys {
        // The home does not matter then, and need not be known.
        Some(_) => home.unwrap_or_default(),
        None => {
            let wanted = Wanted {
                env_home: home,
                ..Wanted::default()
            };
            User::resolve(wanted)
                .map_err(|error| Failed::new(exit_code::CONFIG, error))?
                .home
        }
    };
    let uid = nix::unistd::geteuid().as_raw();
    let places = HostKeyPlaces::standard(args.host_keys, &home, uid);
    let keys = HostKeys::load_or_generate(&places)
        .map_err(|error| Failed::new(exit_code::NO_INPUT, error))?;
    let lines = keys
        .known_hosts_lines(&args.hosts)
        .map_err(|error| Failed::new(exit_code::USAGE, error))?;
    let written = write(&lines, &keys.fingerprints());
    written.map_err(|error| Failed::new(exit_code::SOFTWARE, error))
}

fn write(lines: &[String], fingerprints: &[String]) -> std::io::Result<()> {
    let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
    for line in lines {
        writeln!(stdout, "{line}")?;
    }
    for fingerprint in fingerprints {
        writeln!(stderr, "{fingerprint}")?;
    }
    stdout.flush()
}
