//! What a workspace is to be, from what was typed: every error at once, one sentence each.

use std::fs;
use std::path::Path;

use super::{Failed, report};
use crate::cli::WorkspaceArgs;
use crate::cluster::{Gateway, Name, Namespace, People, Security, Workspace};
use crate::{config, exit_code};

/// Check the flags.
pub(super) fn workspace(
    args: &WorkspaceArgs,
    namespace: Option<&str>,
) -> Result<Workspace, Failed> {
    let mut wrong = Wrong(Vec::new());
    let name = wrong.unless(Name::parse(&args.name));
    let namespace = namespace.and_then(|namespace| wrong.unless(Namespace::parse(namespace)));
    let gateway_namespace = wrong.unless(Namespace::parse(&args.gateway_namespace));
    let gateway = wrong.unless(one_of("--gateway", &args.gateway, &Gateway::ALL));
    let security = wrong.unless(one_of("--security", &args.security, &Security::ALL));
    let grace = wrong.unless(config::duration("--grace", &args.grace));
    let people = wrong.unless(people(&args.key));
    for (flag, text) in [
        ("--storage", &args.storage),
        ("--cpu", &args.cpu),
        ("--memory", &args.memory),
    ] {
        wrong.unless(quantity(flag, text));
    }
    for (flag, text) in [("--image", &args.image), ("--inject", &args.inject)] {
        wrong.unless(image(flag, text.as_deref()));
    }
    let (
        Some(name),
        Some(gateway_namespace),
        Some(gateway),
        Some(security),
        Some(grace),
        Some(people),
        [],
    ) = (
        name,
        gateway_namespace,
        gateway,
        security,
        grace,
        people,
        wrong.0.as_slice(),
    )
    else {
        return Err(Failed::new(exit_code::USAGE, wrong.0.join("\n")));
    };
    let standard = Workspace::new(name);
    let workspace = Workspace {
        namespace,
        image: args.image.clone().unwrap_or(standard.image),
        storage: args.storage.clone(),
        storage_class: args.storage_class.clone(),
        cpu: args.cpu.clone(),
        memory: args.memory.clone(),
        gpus: args.gpus,
        security,
        inject: args.inject.clone(),
        watch_keys: args.watch_keys,
        grace,
        people,
        gateway,
        gateway_namespace,
        ..standard
    };
    warn(&workspace);
    Ok(workspace)
}

/// What is allowed and will not work with the gateways as shipped.
fn warn(workspace: &Workspace) {
    let Some(namespace) = &workspace.namespace else {
        return;
    };
    if workspace.gateway.wants_prefix() && !namespace.is_routed() {
        report(&Failed::new(
            0,
            format!(
                "warning: the gateway of manifests/gateway routes to namespaces called ws-*, and {namespace} is none; rename it, or change the gateway's pattern"
            ),
        ));
    }
}

/// All that is wrong so far.
struct Wrong(Vec<String>);

impl Wrong {
    fn unless<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }
}

pub(super) fn one_of<T: Copy>(
    flag: &str,
    text: &str,
    choices: &[(&'static str, T)],
) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("{flag} {text:?} is none of {}", names.join(", "))
    })
}

/// A number with a unit, as `500m` or `20Gi`.
fn quantity(flag: &str, text: &str) -> Result<(), String> {
    const UNITS: [&str; 14] = [
        "", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let positive = number.parse::<f64>().is_ok_and(|number| number > 0.0);
    if positive && UNITS.contains(&unit) {
        return Ok(());
    }
    Err(format!(
        "{flag} {text:?} is not a quantity such as 500m, 2 or 20Gi"
    ))
}

fn image(flag: &str, text: Option<&str>) -> Result<(), String> {
    match text {
        Some(text) if text.is_empty() || text.contains(char::is_whitespace) => {
            Err(format!("{flag} {text:?} is not the name of an image"))
        }
        _ => Ok(()),
    }
}

pub(super) fn people(keys: &[String]) -> Result<People, String> {
    let mut people = People::default();
    for key in keys {
        let (person, text) = person(key)?;
        people.add(&person, &text)?;
    }
    Ok(people)
}

/// `[PERSON=]FILE`: the name, and what the file holds.
fn person(key: &str) -> Result<(String, String), String> {
    let (person, path) = match key.split_once('=') {
        Some((person, path)) => (person.to_owned(), path),
        None => {
            let stem = Path::new(key).file_stem().unwrap_or_default();
            (stem.to_string_lossy().into_owned(), key)
        }
    };
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read the key file {path}: {error}; give a .pub file"))?;
    if text.contains("PRIVATE KEY") {
        return Err(format!(
            "{path} is a private key, which nobody else should see; give its .pub file"
        ));
    }
    Ok((person, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_numbers_with_a_unit_the_api_knows() {
        for good in ["1", "500m", "0.5", "20Gi", "4G"] {
            assert!(quantity("--cpu", good).is_ok(), "{good}");
        }
        for bad in ["", "0", "-1", "20GB", "lots", "1.2.3", "Gi", "1 Gi"] {
            assert!(
                quantity("--cpu", bad).unwrap_err().contains("--cpu"),
                "{bad}"
            );
        }
    }
}
