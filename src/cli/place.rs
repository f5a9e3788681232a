//! Which cluster and namespace a command acts on.

use std::path::PathBuf;

use clap::Args;

/// As for kubectl.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    /// Configuration file [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, env = "PODSSH_KUBECONFIG", value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the configuration [default: its current one]
    #[arg(long, env = "PODSSH_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace [default: the context's]
    #[arg(long, short, env = "PODSSH_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
}
