//! What `podssh install` may be told.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `podssh install`.
#[derive(Args, Clone, Debug)]
pub struct InstallArgs {
    /// An existing directory, say a volume that an init container shares with the workspace
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
