//! What `podssh host-keys` may be told.

use std::path::PathBuf;

use clap::Args;

/// Flags of `podssh host-keys`.
#[derive(Args, Clone, Debug)]
pub struct HostKeysArgs {
    /// Where the host keys are [default: as `podssh serve`]
    #[arg(long, env = "PODSSH_HOST_KEYS", value_name = "DIR")]
    pub host_keys: Option<PathBuf>,
    /// Names to write lines for; [HOST]:PORT for a port other than 22
    pub hosts: Vec<String>,
}
