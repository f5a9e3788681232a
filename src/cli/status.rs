//! What `podssh status` may be told.

use std::path::PathBuf;

use clap::Args;

/// Flags of `podssh status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Control socket of the daemon [default: control.sock in /run/podssh, else in /tmp/podssh-UID]
    #[arg(long, env = "PODSSH_CONTROL", value_name = "PATH")]
    pub control: Option<PathBuf>,
}
