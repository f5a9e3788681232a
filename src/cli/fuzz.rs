//! Fuzzed: the daemon's command line, from words to configuration.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::Parser as _;

use super::{Cli, Command};
use crate::config::{self, Config};

/// Words separated by zero bytes: a usage error, errors that each say something, or a configuration.
pub(crate) fn serve(data: &[u8]) {
    let words = data
        .split(|byte| *byte == 0)
        .map(|word| OsStr::from_bytes(word).to_owned());
    let line = [OsString::from("podssh"), OsString::from("serve")];
    let Ok(cli) = Cli::try_parse_from(line.into_iter().chain(words)) else {
        return;
    };
    let Command::Serve(args) = cli.command else {
        return;
    };
    let _ = config::log_settings(&args);
    match Config::parse(*args, |_| Some("/tmp".into())) {
        Ok(config) => assert!(!config.listen.is_empty() && config.limits.max_startups > 0),
        Err(errors) => {
            assert!(!errors.0.is_empty() && errors.0.iter().all(|error| !error.is_empty()));
        }
    }
}
