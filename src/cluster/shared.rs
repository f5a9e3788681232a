//! The list of workspaces of a plain Envoy gateway: one file in one ConfigMap that all workspaces share, so
//! an entry is put among the others, on the version that was read.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::apply::{Change, MANAGER};
use super::connection::Connection;
use super::name::Namespace;
use super::route::envoy::{CONFIG_MAP, FILE, entry};
use super::trouble::Trouble;
use super::yaml::to_yaml;
use crate::exit_code;

/// How often somebody else may be faster.
const TRIES: usize = 10;

/// What should become of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// There, as it would be rendered.
    Present,
    /// Not there.
    Absent,
}

impl Connection {
    /// Have the gateway in `gateway` list `host`, or not list it.
    pub async fn list_at_gateway(
        &self,
        gateway: &Namespace,
        host: &str,
        wanted: Listing,
        dry_run: bool,
    ) -> Result<Change, Trouble> {
        let doing = format!(
            "change the gateway's list of workspaces (ConfigMap {CONFIG_MAP} in namespace {gateway})"
        );
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), gateway.as_ref());
        for _ in 0..TRIES {
            let found = api
                .get_opt(CONFIG_MAP)
                .await
                .map_err(self.trouble(&doing))?;
            let Some(map) = found else {
                if wanted == Listing::Absent {
                    return Ok(Change::Unchanged);
                }
                let sentence = format!(
                    "cannot {doing}: it is not there; install the gateway (kubectl apply -k manifests/gateway/envoy), or choose another --gateway"
                );
                return Err(Trouble::new(exit_code::UNAVAILABLE, sentence));
            };
            let before = map
                .data
                .as_ref()
                .and_then(|data| data.get(FILE))
                .map_or("", String::as_str);
            let (list, change) = changed(before, host, wanted).map_err(|reason| {
                Trouble::new(
                    exit_code::CONFIG,
                    format!("cannot {doing}: its {FILE} {reason}; correct it by hand"),
                )
            })?;
            if change == Change::Unchanged {
                return Ok(change);
            }
            let patch = json!({
                "metadata": {"resourceVersion": map.metadata.resource_version},
                "data": {FILE: to_yaml(&list)}
            });
            let parameters = PatchParams {
                dry_run,
                field_manager: Some(MANAGER.to_owned()),
                ..PatchParams::default()
            };
            match api
                .patch(CONFIG_MAP, &parameters, &Patch::Merge(patch))
                .await
            {
                Ok(_) => return Ok(change),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(self.trouble(&doing)(error)),
            }
        }
        let sentence =
            format!("cannot {doing}: somebody else keeps changing it; run the same command again");
        Err(Trouble::new(exit_code::UNAVAILABLE, sentence))
    }
}

/// The list with or without the entry, the others as they were.
fn changed(before: &str, host: &str, wanted: Listing) -> Result<(Value, Change), String> {
    let list: Value = if before.trim().is_empty() {
        json!({"resources": []})
    } else {
        serde_saphyr::from_str(before).map_err(|error| format!("is not YAML: {error}"))?
    };
    let resources = list.get("resources").and_then(Value::as_array);
    let mut resources = resources.cloned().ok_or("holds no list of resources")?;
    let entry = entry(host);
    let same = |other: &Value| other.get("name") == entry.get("name");
    let position = resources.iter().position(same);
    let change = match (wanted, position) {
        (Listing::Absent, None) => Change::Unchanged,
        (Listing::Absent, Some(at)) => {
            resources.remove(at);
            Change::Deleted
        }
        (Listing::Present, Some(at)) if resources.get(at) == Some(&entry) => Change::Unchanged,
        (Listing::Present, Some(at)) => {
            resources.remove(at);
            resources.push(entry);
            Change::Configured
        }
        (Listing::Present, None) => {
            resources.push(entry);
            Change::Created
        }
    };
    Ok((json!({"resources": resources}), change))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../manifests/gateway/envoy/cds.yaml");

    #[test]
    fn an_entry_comes_and_goes_among_the_others() {
        let host = "b.ws-two.svc.cluster.local";
        let (list, change) = changed(SHIPPED, host, Listing::Present).unwrap();
        assert_eq!(
            (change, list["resources"].as_array().unwrap().len()),
            (Change::Created, 2)
        );
        let text = to_yaml(&list);
        assert_eq!(
            changed(&text, host, Listing::Present).unwrap().1,
            Change::Unchanged
        );
        let (list, change) = changed(&text, host, Listing::Absent).unwrap();
        assert_eq!(
            (change, list["resources"].as_array().unwrap().len()),
            (Change::Deleted, 1)
        );
        assert_eq!(
            changed(&to_yaml(&list), host, Listing::Absent).unwrap().1,
            Change::Unchanged
        );
    }

    #[test]
    fn the_shipped_entry_is_the_rendered_one() {
        let host = "workspace.ws-demo.svc.cluster.local";
        assert_eq!(
            changed(SHIPPED, host, Listing::Present).unwrap().1,
            Change::Unchanged
        );
    }

    #[test]
    fn a_list_that_is_none_is_not_overwritten() {
        assert!(changed("resources: 7", "a", Listing::Present).is_err());
        assert!(changed("{", "a", Listing::Present).is_err());
    }
}
