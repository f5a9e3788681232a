//! What `podssh up` and `podssh down` may be told.

use clap::Args;

use super::{PlaceArgs, WorkspaceArgs};

/// Flags of `podssh up`.
#[derive(Args, Clone, Debug)]
pub struct UpArgs {
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgs,
    /// Where
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The gateway's URL, to prove the route and to write the ssh config with: http://HOST[:PORT]
    #[arg(long, env = "PODSSH_GATEWAY", value_name = "URL")]
    pub gateway_url: Option<String>,
    /// none, client (show what would be sent) or server (have the API server check it, change nothing)
    #[arg(long, value_name = "WHERE", default_value = "none")]
    pub dry_run: String,
    /// Show each field that would change, and change nothing
    #[arg(long)]
    pub diff: bool,
    /// Take over fields that somebody else has set
    #[arg(long)]
    pub force_conflicts: bool,
    /// How long to wait until the workspace is ready
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub timeout: String,
}

/// Flags of `podssh down`.
#[derive(Args, Clone, Debug)]
pub struct DownArgs {
    /// Name of the workspace
    pub name: String,
    /// Where
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Delete the home volume, the keys and the host keys too; there is no way back
    #[arg(long)]
    pub delete_volume: bool,
    /// The gateway's namespace
    #[arg(long, value_name = "NAME", default_value = "ssh-gateway")]
    pub gateway_namespace: String,
}

/// Flags of `podssh list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Where
    #[command(flatten)]
    pub place: PlaceArgs,
    /// In all namespaces
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
}

/// Flags of `podssh ssh-config`.
#[derive(Args, Clone, Debug)]
pub struct SshConfigArgs {
    /// Name of the workspace
    pub name: String,
    /// Where
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The gateway's URL: http://HOST[:PORT]
    #[arg(long, env = "PODSSH_GATEWAY", value_name = "URL")]
    pub gateway_url: String,
    /// Write it below ~/.ssh instead of printing it
    #[arg(long)]
    pub install: bool,
}
