//! What `podssh serve` may be told.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::logging::Format;

/// Flags of `podssh serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// SSH listener; port 0 picks a free one, which the log and --ready-file tell
    #[arg(
        long,
        env = "PODSSH_LISTEN",
        value_name = "ADDR",
        value_delimiter = ',',
        default_value = "[::]:2222"
    )]
    pub listen: Vec<String>,
    /// Listener for /livez, /readyz, /metrics and /activity; `none` turns it off
    #[arg(
        long,
        env = "PODSSH_ADMIN_LISTEN",
        value_name = "ADDR",
        default_value = "[::]:9090"
    )]
    pub admin_listen: String,
    /// Workspace user [default: the current one, or jovyan when started as root]
    #[arg(long, env = "PODSSH_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// Home of the workspace user [default: from passwd, else $HOME]
    #[arg(long, env = "PODSSH_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Login shell [default: from passwd, else $SHELL, else /bin/bash, else /bin/sh]
    #[arg(long, env = "PODSSH_SHELL", value_name = "PATH")]
    pub shell: Option<PathBuf>,
    /// File, or directory such as a Secret mount, in authorized_keys format
    #[arg(
        long,
        env = "PODSSH_AUTHORIZED_KEYS",
        value_name = "PATH",
        value_delimiter = ',',
        default_value = "/etc/podssh/authorized_keys"
    )]
    pub authorized_keys: Vec<PathBuf>,
    /// Also read ~/.ssh/authorized_keys, under sshd's strict-mode rules
    #[arg(long, env = "PODSSH_HOME_AUTHORIZED_KEYS", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub home_authorized_keys: bool,
    /// CA public keys whose user certificates are accepted
    #[arg(
        long,
        env = "PODSSH_USER_CA",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub user_ca: Vec<PathBuf>,
    /// Principal a certificate must name [default: the user's name]
    #[arg(
        long,
        env = "PODSSH_PRINCIPAL",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub principal: Vec<String>,
    /// Revoked keys: a plain list or an OpenSSH KRL
    #[arg(long, env = "PODSSH_REVOKED_KEYS", value_name = "PATH")]
    pub revoked_keys: Option<PathBuf>,
    /// Secret of the pod's namespace to follow by the API as a source of keys. Needs a token that may get,
    /// list and watch it, which whoever logs in can use too. Without this flag no API is ever asked
    #[arg(long, env = "PODSSH_KEYS_FROM_SECRET", value_name = "NAME")]
    pub keys_from_secret: Option<String>,
    /// Where that token, ca.crt and namespace are
    #[arg(
        long,
        env = "PODSSH_API_CREDENTIALS",
        value_name = "DIR",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount"
    )]
    pub api_credentials: PathBuf,
    /// Host keys; generated there once if missing [default: /etc/podssh/host_keys if it holds a
    /// key, else ~/.local/state/podssh/host_keys]
    #[arg(long, env = "PODSSH_HOST_KEYS", value_name = "DIR")]
    pub host_keys: Option<PathBuf>,
    /// Send a keepalive after this long without traffic; 3 unanswered end the connection
    #[arg(
        long,
        env = "PODSSH_KEEPALIVE",
        value_name = "DURATION",
        default_value = "30s"
    )]
    pub keepalive: String,
    /// Time from SIGTERM to the end: to drain, then (ten seconds, at most half) to end what is left
    #[arg(
        long,
        env = "PODSSH_GRACE",
        value_name = "DURATION",
        default_value = "60s"
    )]
    pub grace: String,
    /// Time to authenticate
    #[arg(
        long,
        env = "PODSSH_LOGIN_GRACE",
        value_name = "DURATION",
        default_value = "30s"
    )]
    pub login_grace: String,
    /// Connections at once that have exchanged keys and not logged in; ten times as many may wait
    /// before that, and the oldest make room for others
    #[arg(
        long,
        env = "PODSSH_MAX_STARTUPS",
        value_name = "N",
        default_value = "100"
    )]
    pub max_startups: String,
    /// Failed keys before a connection ends; agents offer many, and there is nothing to guess
    #[arg(
        long,
        env = "PODSSH_MAX_AUTH_TRIES",
        value_name = "N",
        default_value = "20"
    )]
    pub max_auth_tries: String,
    /// Change a connection's keys after this many bytes, or this long, as sshd's RekeyLimit
    #[arg(
        long,
        env = "PODSSH_REKEY_LIMIT",
        value_name = "SIZE [DURATION]",
        default_value = "16G 1d"
    )]
    pub rekey_limit: String,
    /// Peers that begin with a PROXY protocol header (version 1 or 2), which is believed: addresses
    /// or ranges, the gateway's
    #[arg(
        long,
        env = "PODSSH_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub trusted_proxy: Vec<String>,
    /// Algorithms for older clients: `none` offers post-quantum key exchange only, `current` X25519
    /// too, `old` also the NIST curves, finite-field groups, plain HMAC and an ECDSA host key
    /// [default: current; --compat alone means old]
    #[arg(
        long,
        env = "PODSSH_COMPAT",
        value_name = "AGE",
        num_args = 0..=1,
        require_equals = true,
        default_value = "current",
        default_missing_value = "old",
        hide_default_value = true
    )]
    pub compat: String,
    /// Variables of the daemon that sessions do not get, beside the cluster's own
    #[arg(
        long,
        env = "PODSSH_ENV_DENY",
        value_name = "GLOB",
        value_delimiter = ','
    )]
    pub env_deny: Vec<String>,
    /// Variables of the daemon that sessions get whatever else says no
    #[arg(
        long,
        env = "PODSSH_ENV_ALLOW",
        value_name = "GLOB",
        value_delimiter = ','
    )]
    pub env_allow: Vec<String>,
    /// Variables a client may set
    #[arg(
        long,
        env = "PODSSH_ACCEPT_ENV",
        value_name = "GLOB",
        value_delimiter = ',',
        default_value = "LANG,LC_*,COLORTERM,TERM_PROGRAM*,GIT_PROTOCOL,EDITOR,TZ,NO_COLOR"
    )]
    pub accept_env: Vec<String>,
    /// Forwarding allowed: none, local, remote or all
    #[arg(
        long,
        env = "PODSSH_FORWARD",
        value_name = "POLICY",
        default_value = "all"
    )]
    pub forward: String,
    /// Only these destinations may be forwarded to (`*` for any host or port)
    #[arg(
        long,
        env = "PODSSH_PERMIT_OPEN",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    pub permit_open: Vec<String>,
    /// Only these addresses may be listened on for the client (`*` for any host or port)
    #[arg(
        long,
        env = "PODSSH_PERMIT_LISTEN",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    pub permit_listen: Vec<String>,
    /// Skeletons of a home: each of their files is copied once, never over one that is there; the
    /// first wins; `none` for none
    #[arg(
        long,
        env = "PODSSH_SKEL",
        value_name = "DIR",
        value_delimiter = ',',
        default_value = "/etc/podssh/skel,/etc/skel"
    )]
    pub skel: Vec<PathBuf>,
    /// Directories of start hooks: *.sh is sourced, what is executable is run; `none` for none
    #[arg(
        long,
        env = "PODSSH_HOOKS",
        value_name = "DIR",
        value_delimiter = ',',
        default_value = "/etc/podssh/init.d,/usr/local/bin/start-notebook.d,/usr/local/bin/before-notebook.d"
    )]
    pub hooks: Vec<PathBuf>,
    /// Time each start hook may take
    #[arg(
        long,
        env = "PODSSH_HOOK_TIMEOUT",
        value_name = "DURATION",
        default_value = "5m"
    )]
    pub hook_timeout: String,
    /// Control socket, for `podssh status` [default: control.sock in /run/podssh, else in
    /// /tmp/podssh-UID]
    #[arg(long, env = "PODSSH_CONTROL", value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Message shown at a login shell on a terminal
    #[arg(
        long,
        env = "PODSSH_MOTD",
        value_name = "PATH",
        default_value = "/etc/podssh/motd"
    )]
    pub motd: PathBuf,
    /// Log format [default: text on a terminal, else json]
    #[arg(long, env = "PODSSH_LOG_FORMAT", value_enum)]
    pub log_format: Option<Format>,
    /// Log level: error, warn, info, debug or trace
    #[arg(
        long,
        env = "PODSSH_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub log_level: String,
    /// Written once connections are accepted: key=value lines pid, listen, admin
    #[arg(long, env = "PODSSH_READY_FILE", value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// Parse everything, report every error, serve nothing
    #[arg(long)]
    pub check: bool,
    /// Side process to supervise; when it ends, podssh drains and exits with its code
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

impl clap::ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Text => "text",
            Self::Json => "json",
        }))
    }
}
