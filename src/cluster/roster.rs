//! Who may log in to a workspace that is in the cluster: read, add, remove.
//!
//! Two people may change it at once, so each change names the version it is a change of, and is made again
//! on the next one when somebody was faster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::apply::MANAGER;
use super::connection::Connection;
use super::name::Name;
use super::people::{PLACEHOLDER, People};
use super::trouble::Trouble;
use super::workspace::Workspace;
use crate::exit_code;

/// How often somebody else may be faster.
const TRIES: usize = 10;
/// On the pod: a change of any annotation has the kubelet sync at once, and with it the mounted Secret.
const REVISION: &str = "podssh/keys-revision";

/// A change to who may log in.
#[derive(Clone, Debug)]
pub enum Edit {
    /// These people with these keys, whatever they had.
    Add(People),
    /// Not this person any more.
    Remove(String),
}

impl Connection {
    /// Who may log in; `None` where there is no such Secret.
    pub async fn people(&self, name: &Name) -> Result<Option<People>, Trouble> {
        let secret = Workspace::new(name.clone()).keys_secret();
        let doing = format!("read who may log in (Secret {secret})");
        let found = self.typed::<Secret>().get_opt(&secret).await;
        let found = found.map_err(self.trouble(&doing))?;
        Ok(found.map(|secret| people_of(&secret)))
    }

    /// Make a change; whether anything is different now. The Secret must be there.
    pub async fn edit_people(&self, name: &Name, edit: &Edit) -> Result<bool, Trouble> {
        let secret = Workspace::new(name.clone()).keys_secret();
        let doing = format!("change who may log in (Secret {secret})");
        let api = self.typed::<Secret>();
        for _ in 0..TRIES {
            let found = api.get_opt(&secret).await.map_err(self.trouble(&doing))?;
            let Some(found) = found else {
                let sentence = format!(
                    "there is no workspace {name} in namespace {} (no Secret {secret}); make it with podssh up {name}",
                    self.namespace
                );
                return Err(Trouble::new(exit_code::UNAVAILABLE, sentence));
            };
            let data = changes(&people_of(&found), edit)?;
            if data.is_empty() {
                return Ok(false);
            }
            // Refused where the version is not the current one any more.
            let patch = json!({
                "metadata": {"resourceVersion": found.metadata.resource_version},
                "stringData": data
            });
            let patch = with_removals(patch, edit);
            let parameters = PatchParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PatchParams::default()
            };
            match api.patch(&secret, &parameters, &Patch::Merge(patch)).await {
                Ok(changed) => {
                    let revision = changed.metadata.resource_version.unwrap_or_default();
                    self.have_kubelet_sync(name, &revision).await?;
                    return Ok(true);
                }
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(self.trouble(&doing)(error)),
            }
        }
        let sentence =
            format!("cannot {doing}: somebody else keeps changing it; run the same command again");
        Err(Trouble::new(exit_code::UNAVAILABLE, sentence))
    }

    /// The kubelet looks at a pod's Secrets each minute or so, and at once when the pod changes.
    async fn have_kubelet_sync(&self, name: &Name, revision: &str) -> Result<(), Trouble> {
        let pod = name.with("0");
        let patch = json!({"metadata": {"annotations": {REVISION: revision}}});
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.typed::<Pod>();
        match api.patch(&pod, &parameters, &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            // Not running: it will read the Secret when it starts.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 403 => Err(Trouble::new(
                exit_code::NO_PERMISSION,
                format!(
                    "the keys are changed, but you may not patch Pod {pod} to have the kubelet see it at once; it will within two minutes"
                ),
            )),
            Err(error) => Err(self.trouble(&format!("tell Pod {pod} of the change"))(
                error,
            )),
        }
    }
}

fn people_of(secret: &Secret) -> People {
    let data = secret.data.iter().flatten();
    let people = data.filter(|(person, _)| person.as_str() != PLACEHOLDER.0);
    let text = |keys: &[u8]| String::from_utf8_lossy(keys).into_owned();
    People(
        people
            .map(|(person, keys)| (person.clone(), text(&keys.0)))
            .collect(),
    )
}

/// Names and new values; `None` for who goes.
fn changes(now: &People, edit: &Edit) -> Result<BTreeMap<String, Option<String>>, Trouble> {
    match edit {
        Edit::Add(people) => {
            let new = people
                .0
                .iter()
                .filter(|(person, keys)| now.0.get(*person) != Some(*keys));
            Ok(new
                .map(|(person, keys)| (person.clone(), Some(keys.clone())))
                .collect())
        }
        Edit::Remove(person) if now.0.contains_key(person) => Ok([(person.clone(), None)].into()),
        Edit::Remove(person) => {
            let names: Vec<_> = now.names().collect();
            let names = if names.is_empty() {
                "nobody".to_owned()
            } else {
                names.join(", ")
            };
            Err(Trouble::new(
                exit_code::NO_INPUT,
                format!("there is no key of {person} to remove; those who may log in: {names}"),
            ))
        }
    }
}

/// `stringData` cannot remove; `data` can.
fn with_removals(mut patch: serde_json::Value, edit: &Edit) -> serde_json::Value {
    if let (Edit::Remove(person), Some(fields)) = (edit, patch.as_object_mut()) {
        fields.remove("stringData");
        fields.insert("data".into(), json!({person: null}));
    }
    patch
}
