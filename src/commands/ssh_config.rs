//! `podssh ssh-config`: the Host block of a workspace, its host key pinned.

use super::client_config::{ClientConfig, ssh_directory};
use super::{Failed, place};
use crate::cli::SshConfigArgs;
use crate::cluster::Workspace;
use crate::exit_code;

/// Run it.
pub fn run(args: &SshConfigArgs) -> u8 {
    place::run(ssh_config(args))
}

async fn ssh_config(args: &SshConfigArgs) -> Result<(), Failed> {
    let name = place::name(&args.name)?;
    let connection = place::connect(&args.place).await?;
    let mut config = ClientConfig {
        name: args.name.clone(),
        namespace: connection.namespace.to_string(),
        gateway: args.gateway_url.clone(),
        known_hosts: Vec::new(),
    };
    let host = format!("[{}]:80", config.host());
    let identity = connection
        .known_identity(&Workspace::new(name), &host)
        .await?;
    config.known_hosts = identity.ok_or_else(|| {
        let message = format!(
            "workspace {} has no Secret {}-host-keys to pin; make it with podssh up, or run podssh host-keys '{host}' in the workspace and add its lines to known_hosts",
            args.name, args.name
        );
        Failed::new(exit_code::NO_INPUT, message)
    })?;
    if args.install {
        return install(&config);
    }
    let directory = ssh_directory().unwrap_or_default().join("podssh");
    let known_hosts = directory.join(format!("{}.{}.known_hosts", config.name, config.namespace));
    place::say(&format!("# {}:", known_hosts.display()))?;
    for line in &config.known_hosts {
        place::say(&format!("# {line}"))?;
    }
    place::say(config.block(&known_hosts, &program()?).trim_end())
}

/// Write it below `~/.ssh`, and say where.
pub(super) fn install(config: &ClientConfig) -> Result<(), Failed> {
    let ssh = ssh_directory().ok_or_else(|| {
        Failed::new(
            exit_code::CONFIG,
            "HOME is not set, so there is no ~/.ssh to write the ssh config to",
        )
    })?;
    let path = config.install(&ssh, &program()?).map_err(|error| {
        let message = format!(
            "cannot write the ssh config below {}: {error}",
            ssh.display()
        );
        Failed::new(exit_code::NO_INPUT, message)
    })?;
    place::say(&format!(
        "{} written; connect with: ssh {}",
        path.display(),
        config.name
    ))
}

fn program() -> Result<std::path::PathBuf, Failed> {
    std::env::current_exe().map_err(|error| Failed::new(exit_code::SOFTWARE, error))
}
