//! What `podssh connect` may be told.

use clap::Args;

/// Flags of `podssh connect`.
#[derive(Args, Clone, Debug)]
pub struct ConnectArgs {
    /// The gateway, http://HOST[:PORT]; without one, connect directly
    #[arg(long, env = "PODSSH_GATEWAY", value_name = "URL")]
    pub gateway: Option<String>,
    /// How long to go on trying while the workspace starts
    #[arg(
        long,
        env = "PODSSH_WAIT",
        value_name = "DURATION",
        default_value = "30s"
    )]
    pub wait: String,
    /// Workspace, as ssh's %h
    pub host: String,
    /// Port, as ssh's %p
    pub port: u16,
}
