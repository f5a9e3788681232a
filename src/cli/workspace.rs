//! What `podssh render` and `podssh up` may be told about a workspace.

use clap::Args;

/// The workspace itself.
#[derive(Args, Clone, Debug)]
pub struct WorkspaceArgs {
    /// Name of the workspace and its objects: lower-case letters, digits, hyphens
    pub name: String,
    /// Image to run [default: podssh-workspace of this version]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Who may log in: a public key file, under the name of its person [default: the file's name]
    #[arg(long, value_name = "[PERSON=]FILE")]
    pub key: Vec<String>,
    /// Size of the home volume
    #[arg(long, value_name = "QUANTITY", default_value = "20Gi")]
    pub storage: String,
    /// Storage class of the home volume [default: the cluster's]
    #[arg(long, value_name = "NAME")]
    pub storage_class: Option<String>,
    /// CPU to reserve
    #[arg(long, value_name = "QUANTITY", default_value = "500m")]
    pub cpu: String,
    /// Memory, reserved and at most
    #[arg(long, value_name = "QUANTITY", default_value = "4Gi")]
    pub memory: String,
    /// NVIDIA GPUs
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub gpus: u32,
    /// standard (Pod Security restricted), restricted (and no way to the node's metadata service)
    /// or sudo (works in the pod; Pod Security baseline)
    #[arg(long, value_name = "LEVEL", default_value = "standard")]
    pub security: String,
    /// Copy podssh from this image into one that lacks it
    #[arg(long, value_name = "IMAGE")]
    pub inject: Option<String>,
    /// Follow the keys by the API instead of a mount: a key that leaves ends its sessions at once, and
    /// whoever can log in can read that Secret
    #[arg(long)]
    pub watch_keys: bool,
    /// How long sessions may go on once the pod is told to end
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub grace: String,
    /// What routes to it: none, istio, istio-per-workspace, envoy-gateway or envoy
    #[arg(long, value_name = "FLAVOUR", default_value = "none")]
    pub gateway: String,
    /// The gateway's namespace
    #[arg(long, value_name = "NAME", default_value = "ssh-gateway")]
    pub gateway_namespace: String,
}
