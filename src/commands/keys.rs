//! `podssh keys`: who may log in to a workspace.

use super::{Failed, place, wanted};
use crate::cli::{KeysAction, KeysArgs, PlaceArgs};
use crate::cluster::{Edit, check_name};
use crate::exit_code;

/// Run it.
pub fn run(args: &KeysArgs) -> u8 {
    place::run(async {
        match &args.action {
            KeysAction::Add { name, keys, place } => {
                let people = wanted::people(keys).map_err(place::usage)?;
                edit(name, &Edit::Add(people), place).await
            }
            KeysAction::Remove {
                name,
                person,
                place,
            } => {
                check_name(person).map_err(place::usage)?;
                edit(name, &Edit::Remove(person.clone()), place).await
            }
            KeysAction::List { name, place } => list(name, place).await,
        }
    })
}

async fn edit(name: &str, edit: &Edit, place: &PlaceArgs) -> Result<(), Failed> {
    let name = place::name(name)?;
    let connection = place::connect(place).await?;
    let changed = connection.edit_people(&name, edit).await?;
    let who = match edit {
        Edit::Add(people) => format!(
            "{} may log in to {name}",
            people.names().collect::<Vec<_>>().join(", ")
        ),
        Edit::Remove(person) => format!("{person} may not log in to {name} any more"),
    };
    let before = if changed { "" } else { " (as before)" };
    place::say(&format!("{who}{before}"))
}

async fn list(name: &str, place: &PlaceArgs) -> Result<(), Failed> {
    let name = place::name(name)?;
    let connection = place::connect(place).await?;
    let Some(people) = connection.people(&name).await? else {
        let message = format!(
            "there is no workspace {name} in namespace {} (no Secret {name}-authorized-keys); podssh list shows those there are",
            connection.namespace
        );
        return Err(Failed::new(exit_code::UNAVAILABLE, message));
    };
    for (person, keys) in people.fingerprints() {
        for key in keys {
            place::say(&format!("{person}  {key}"))?;
        }
    }
    Ok(())
}
