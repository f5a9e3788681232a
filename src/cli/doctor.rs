//! What `podssh doctor` may be told.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// Flags of `podssh doctor`; those of `podssh serve` come from the running daemon when not given.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit code: 0 without a fault (warnings allowed), 69 with one.")]
pub struct DoctorArgs {
    /// Print JSON: schema, version, worst, faults, warnings, checks[] of id, severity, found, fix
    #[arg(long)]
    pub json: bool,
    /// Workspace user [default: the current one, or jovyan when run as root]
    #[arg(long, env = "PODSSH_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// Home of the workspace user [default: as `podssh serve`]
    #[arg(long, env = "PODSSH_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Login shell [default: as `podssh serve`]
    #[arg(long, env = "PODSSH_SHELL", value_name = "PATH")]
    pub shell: Option<PathBuf>,
    /// Where the keys are [default: as `podssh serve`]
    #[arg(
        long,
        env = "PODSSH_AUTHORIZED_KEYS",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub authorized_keys: Vec<PathBuf>,
    /// Whether keys in the home count [default: as `podssh serve`]
    #[arg(long, env = "PODSSH_HOME_AUTHORIZED_KEYS", value_name = "BOOL", action = ArgAction::Set)]
    pub home_authorized_keys: Option<bool>,
    /// CAs of user certificates [default: as `podssh serve`]
    #[arg(
        long,
        env = "PODSSH_USER_CA",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub user_ca: Vec<PathBuf>,
    /// Secret that is followed by the API, which doctor does not ask [default: as `podssh serve`]
    #[arg(long, env = "PODSSH_KEYS_FROM_SECRET", value_name = "NAME")]
    pub keys_from_secret: Option<String>,
    /// Where the host keys are [default: as `podssh serve`]
    #[arg(long, env = "PODSSH_HOST_KEYS", value_name = "DIR")]
    pub host_keys: Option<PathBuf>,
    /// Also look this host name up; repeatable
    #[arg(long, value_name = "NAME")]
    pub resolve: Vec<String>,
    /// Compare the clock with the Date of this web server's answer (http://HOST[:PORT][/PATH])
    #[arg(long, value_name = "URL")]
    pub time_from: Option<String>,
}
