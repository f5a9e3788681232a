//! `podssh down`: a workspace out of a cluster. What would be lost for good stays, unless told otherwise.

use super::client_config::{ssh_directory, uninstall};
use super::{Failed, place};
use crate::cli::DownArgs;
use crate::cluster::{Change, Listing, Namespace, Workspace};
use crate::exit_code;

/// Run it.
pub fn run(args: &DownArgs) -> u8 {
    place::run(down(args))
}

async fn down(args: &DownArgs) -> Result<(), Failed> {
    let name = place::name(&args.name)?;
    let gateway_namespace = Namespace::parse(&args.gateway_namespace).map_err(place::usage)?;
    let connection = place::connect(&args.place).await?;
    let workspace = Workspace {
        namespace: Some(connection.namespace.clone()),
        gateway_namespace,
        ..Workspace::new(name)
    };
    let mut any = false;
    let gateway = &workspace.gateway_namespace;
    let host = workspace.host().unwrap_or_default();
    // Who may not touch the gateway's namespace has no entry there.
    let listed = connection
        .list_at_gateway(gateway, &host, Listing::Absent, false)
        .await;
    match listed {
        Ok(Change::Deleted) => {
            any = true;
            place::say(&format!("{host} is off the gateway's list"))?;
        }
        Ok(_) => {}
        Err(trouble) if trouble.code == exit_code::NO_PERMISSION => {}
        Err(trouble) => return Err(trouble.into()),
    }
    for object in workspace.removals(args.delete_volume) {
        match connection.delete(&object).await {
            Ok(true) => {
                any = true;
                place::say(&format!("{} {} deleted", object.kind(), object.name()))?;
            }
            Ok(false) => {}
            // Routes are in the gateway's namespace, or of kinds that are somebody else's to touch.
            Err(trouble) if trouble.code == exit_code::NO_PERMISSION && object.is_route() => {}
            Err(trouble) => return Err(trouble.into()),
        }
    }
    if let Some(ssh) = ssh_directory() {
        uninstall(&ssh, &args.name, connection.namespace.as_ref());
    }
    if !any {
        let message = format!(
            "there is no workspace {} in namespace {}; podssh list shows those there are",
            args.name, connection.namespace
        );
        return Err(Failed::new(exit_code::UNAVAILABLE, message));
    }
    if !args.delete_volume {
        place::say(
            "its home volume, keys and host keys stay; podssh up brings it back, --delete-volume removes them",
        )?;
    }
    Ok(())
}
