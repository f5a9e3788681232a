//! What was typed: subcommands and flags, before any of it is believed.
//!
//! Every flag has an environment variable, `PODSSH_` and the flag in upper case with underscores;
//! lists are separated by commas. Only this file and those below cli/, one a
//! subcommand, name the argument parser.

mod connect;
mod doctor;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod host_keys;
mod install;
mod keys;
mod place;
mod render;
mod serve;
mod status;
mod up;
mod workspace;

use clap::{Parser, Subcommand};

pub use self::connect::ConnectArgs;
pub use self::doctor::DoctorArgs;
pub use self::host_keys::HostKeysArgs;
pub use self::install::InstallArgs;
pub use self::keys::{KeysAction, KeysArgs};
pub use self::place::PlaceArgs;
pub use self::render::RenderArgs;
pub use self::serve::ServeArgs;
pub use self::status::StatusArgs;
pub use self::up::{DownArgs, ListArgs, SshConfigArgs, UpArgs};
pub use self::workspace::WorkspaceArgs;

/// An SSH server written for one place: inside a development container on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "podssh", version, max_term_width = 100)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve SSH for one unprivileged user; the entrypoint of a workspace container
    Serve(Box<ServeArgs>),
    /// Tunnel standard input and output through a gateway's HTTP CONNECT (an ssh ProxyCommand)
    Connect(ConnectArgs),
    /// Print known_hosts lines for this workspace's host keys, fingerprints on standard error
    HostKeys(HostKeysArgs),
    /// Tell how the workspace is: connections, start hooks, side process, the last end
    Status(StatusArgs),
    /// Print the Kubernetes objects of a workspace as YAML
    Render(RenderArgs),
    /// Make a workspace in a cluster, or bring it up to date, and wait until it answers
    Up(Box<UpArgs>),
    /// Remove a workspace from a cluster; its home volume and keys stay, unless told otherwise
    Down(DownArgs),
    /// Print the workspaces of a namespace
    List(ListArgs),
    /// Change or print who may log in to a workspace
    Keys(KeysArgs),
    /// Print the ssh client's configuration for a workspace, with its host key
    SshConfig(SshConfigArgs),
    /// Name what is wrong with the surroundings of this workspace, each fault with its fix
    Doctor(Box<DoctorArgs>),
    /// Copy this program to DIR/podssh, whole or not at all
    Install(InstallArgs),
}

impl Cli {
    /// Parse the process's arguments; usage errors exit with 64, `--help` with 0.
    pub fn parse_args() -> Result<Self, u8> {
        Self::try_parse().map_err(|error| {
            // Nothing is left to report to if the terminal is gone.
            let _ = error.print();
            if error.use_stderr() {
                crate::exit_code::USAGE
            } else {
                0
            }
        })
    }
}
