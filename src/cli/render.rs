//! What `podssh render` may be told.

use clap::Args;

use super::WorkspaceArgs;

/// Flags of `podssh render`.
#[derive(Args, Clone, Debug)]
pub struct RenderArgs {
    /// The workspace
    #[command(flatten)]
    pub workspace: WorkspaceArgs,
    /// Namespace to write into the objects [default: none, for kustomize or kubectl to say]
    #[arg(long, short, value_name = "NAME")]
    pub namespace: Option<String>,
}
