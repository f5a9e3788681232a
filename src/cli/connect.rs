//! What `podssh connect` may be told.

use std::path::PathBuf;

use clap::Args;

/// Flags of `podssh connect`.
#[derive(Args, Clone, Debug, Default)]
pub struct ConnectArgs {
    /// The gateway, http://HOST[:PORT] or https://HOST[:PORT]; without one, connect directly
    #[arg(long, env = "PODSSH_GATEWAY", value_name = "URL")]
    pub gateway: Option<String>,
    /// PEM file of the authorities that may vouch for an https gateway, in place of the system's
    #[arg(long, env = "PODSSH_GATEWAY_CA", value_name = "PATH")]
    pub gateway_ca: Option<PathBuf>,
    /// PEM file of the certificate to show an https gateway that asks for one, chain included
    #[arg(long, env = "PODSSH_GATEWAY_CERT", value_name = "PATH")]
    pub gateway_cert: Option<PathBuf>,
    /// PEM file of that certificate's private key [default: the file of --gateway-cert]
    #[arg(long, env = "PODSSH_GATEWAY_KEY", value_name = "PATH")]
    pub gateway_key: Option<PathBuf>,
    /// File with a token for the gateway, sent as `Authorization: Bearer`, https only; read anew for
    /// each try
    #[arg(long, env = "PODSSH_GATEWAY_TOKEN_FILE", value_name = "PATH")]
    pub gateway_token_file: Option<PathBuf>,
    /// A further header of the CONNECT, repeatable; other users of this machine can see a command
    /// line, so secrets belong in the variable, where each line is a header
    #[arg(
        long,
        env = "PODSSH_GATEWAY_HEADER",
        value_name = "NAME: VALUE",
        value_delimiter = '\n',
        hide_env_values = true
    )]
    pub gateway_header: Vec<String>,
    /// How long to go on trying while the workspace starts; one try may take as long, and 10 s at least
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
