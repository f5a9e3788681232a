//! `podssh up`: a workspace in a cluster, from nothing or from wherever it stands, until ssh reaches it.
//!
//! Every step can be made again: what is there already is left as it is, so a run that broke off is
//! continued by the next.

use std::path::Path;
use std::time::Duration;

use super::client_config::ClientConfig;
use super::progress::Progress;
use super::{Failed, banner, place, report, ssh_config, wanted};
use crate::cli::UpArgs;
use crate::cluster::{self, Change, Connection, Edit, How, Listing, Object, People, Workspace};
use crate::{config, exit_code};

/// Public keys that are taken where none is named, in ssh's own order of preference.
const USUAL_KEYS: [&str; 3] = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];

/// Where a run ends before it changes anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dry {
    No,
    Client,
    Server,
}

/// Run it.
pub fn run(args: &UpArgs) -> u8 {
    place::run(up(args))
}

async fn up(args: &UpArgs) -> Result<(), Failed> {
    let timeout = config::duration("--timeout", &args.timeout).map_err(place::usage)?;
    let choices = [
        ("none", Dry::No),
        ("client", Dry::Client),
        ("server", Dry::Server),
    ];
    let mut dry = wanted::one_of("--dry-run", &args.dry_run, &choices).map_err(place::usage)?;
    if args.diff {
        dry = Dry::Server;
    }
    let connection = place::connect(&args.place).await?;
    let workspace = wanted::workspace(&args.workspace, Some(connection.namespace.as_ref()))?;
    let run = Run {
        how: How {
            force: args.force_conflicts,
            dry_run: dry == Dry::Server,
        },
        connection,
        diff: args.diff,
    };
    if dry == Dry::Client {
        return Run::show(&workspace);
    }
    // Before the pod: one that starts without them makes its own.
    let host = format!("[{}]:80", workspace.host().unwrap_or_default());
    let known_hosts = match dry {
        Dry::No => run.connection.identity(&workspace, &host).await?,
        Dry::Client | Dry::Server => None,
    };
    let workspace = run.apply(workspace).await?;
    if dry == Dry::Server {
        return Ok(());
    }
    run.wait(&workspace, timeout).await?;
    let gateway = args.gateway_url.as_deref().filter(|url| !url.is_empty());
    run.prove(&workspace, gateway, known_hosts, timeout)
}

/// One run of it.
struct Run {
    connection: Connection,
    how: How,
    diff: bool,
}

impl Run {
    /// `--dry-run=client`: what would be sent; nothing is asked of the cluster.
    fn show(workspace: &Workspace) -> Result<(), Failed> {
        for object in objects(workspace)? {
            place::say(&format!(
                "{} {} (client dry run)",
                object.kind(),
                object.name()
            ))?;
        }
        Ok(())
    }

    /// Every object in its order; the workspace as it now is, with everybody who may log in.
    async fn apply(&self, mut workspace: Workspace) -> Result<Workspace, Failed> {
        let there = self.connection.people(&workspace.name).await?;
        if there.is_none() && workspace.people.is_empty() {
            workspace.people = usual_key()?;
        }
        for object in objects(&workspace)? {
            match object.kind() {
                // Shared with `podssh keys` and others: made once, then changed person by person.
                "Secret" if there.is_some() => self.add_people(&workspace).await?,
                // Shared with other workspaces: one entry of a list.
                "ConfigMap" => self.list_at_gateway(&workspace).await?,
                _ => self.apply_one(&object).await?,
            }
        }
        Ok(workspace)
    }

    async fn apply_one(&self, object: &Object) -> Result<(), Failed> {
        let applied = self.connection.apply(object, self.how).await?;
        if self.diff {
            let lines = cluster::diff(&applied);
            return lines.lines().try_for_each(place::say);
        }
        self.tell(
            &format!("{} {}", object.kind(), object.name()),
            applied.change(),
        )
    }

    async fn add_people(&self, workspace: &Workspace) -> Result<(), Failed> {
        let secret = format!("Secret {}", workspace.keys_secret());
        let mut change = Change::Unchanged;
        let edit = Edit::Add(workspace.people.clone());
        if !self.how.dry_run && self.connection.edit_people(&workspace.name, &edit).await? {
            change = Change::Configured;
        }
        self.tell(&secret, change)
    }

    async fn list_at_gateway(&self, workspace: &Workspace) -> Result<(), Failed> {
        let (gateway, host) = (
            &workspace.gateway_namespace,
            workspace.host().unwrap_or_default(),
        );
        let listing =
            self.connection
                .list_at_gateway(gateway, &host, Listing::Present, self.how.dry_run);
        let change = listing.await?;
        self.tell(&format!("gateway entry {host}"), change)
    }

    fn tell(&self, what: &str, change: Change) -> Result<(), Failed> {
        if self.diff && change == Change::Unchanged {
            return Ok(());
        }
        let dry = if self.how.dry_run {
            " (server dry run)"
        } else {
            ""
        };
        place::say(&format!("{what} {}{dry}", change.as_word()))
    }

    /// Until the pod is ready.
    async fn wait(&self, workspace: &Workspace, timeout: Duration) -> Result<(), Failed> {
        let name = &workspace.name;
        let mut progress = Progress::of(format!("workspace {name}"));
        let waited = self
            .connection
            .wait_until_ready(name, timeout, |stage| progress.stage(stage));
        let ready = waited.await?;
        drop(progress);
        if ready.outdated {
            let message = format!(
                "workspace {name} still runs with its old settings, for a restart would end its sessions; when nobody works there: kubectl delete pod {name}-0 --namespace {}",
                self.connection.namespace
            );
            report(&Failed::new(0, message));
        }
        Ok(())
    }

    /// The banner through the gateway, then the ssh config.
    fn prove(
        &self,
        workspace: &Workspace,
        gateway: Option<&str>,
        known_hosts: Option<Vec<String>>,
        timeout: Duration,
    ) -> Result<(), Failed> {
        let (name, host) = (&workspace.name, workspace.host().unwrap_or_default());
        let Some(gateway) = gateway else {
            return place::say(&format!(
                "workspace {name} is ready; give --gateway-url to prove the route to it and to write the ssh config"
            ));
        };
        let seen = banner::through(gateway, &host, timeout)?;
        place::say(&format!("workspace {name} is ready: {seen} at {host}:80"))?;
        let Some(known_hosts) = known_hosts else {
            return place::say(&format!(
                "its host keys are its own; add what podssh host-keys '[{host}]:80' prints there to known_hosts"
            ));
        };
        ssh_config::install(&ClientConfig {
            name: name.to_string(),
            namespace: self.connection.namespace.to_string(),
            gateway: gateway.to_owned(),
            known_hosts,
        })
    }
}

fn objects(workspace: &Workspace) -> Result<Vec<Object>, Failed> {
    cluster::objects(workspace).map_err(place::usage)
}

/// The user's own key, for a workspace that would let nobody in.
fn usual_key() -> Result<People, Failed> {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let ssh = Path::new(&home).join(".ssh");
    let key = USUAL_KEYS
        .iter()
        .map(|name| ssh.join(name))
        .find(|path| path.is_file());
    let Some(key) = key else {
        let message = format!(
            "nobody could log in: no --key is given and {} holds none of {}; give --key FILE, or make one with ssh-keygen",
            ssh.display(),
            USUAL_KEYS.join(", ")
        );
        return Err(Failed::new(exit_code::NO_INPUT, message));
    };
    let user = std::env::var("USER").unwrap_or_else(|_| "me".to_owned());
    wanted::people(&[format!("{user}={}", key.display())]).map_err(place::usage)
}
