//! A workspace's host keys: made once, in a Secret that the daemon mounts, so that clients can be told them
//! before they first connect.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;

use super::apply::MANAGER;
use super::connection::Connection;
use super::trouble::Trouble;
use super::workspace::Workspace;
use crate::exit_code;
use crate::keys;

impl Connection {
    /// The known_hosts lines of a workspace, whose host keys are made if it is new. Never changes keys that
    /// are there, be it in the home of a workspace without the Secret (`None`): that would look to every
    /// client like an attack.
    pub async fn identity(
        &self,
        workspace: &Workspace,
        host: &str,
    ) -> Result<Option<Vec<String>>, Trouble> {
        if let Some(lines) = self.known_identity(workspace, host).await? {
            return Ok(Some(lines));
        }
        let doing = format!(
            "make the host keys (Secret {})",
            workspace.host_keys_secret()
        );
        let set = self
            .typed::<StatefulSet>()
            .get_opt(workspace.name.as_ref())
            .await;
        if set.map_err(self.trouble(&doing))?.is_some() {
            return Ok(None);
        }
        let parameters = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        match self
            .typed::<Secret>()
            .create(&parameters, &fresh(workspace)?)
            .await
        {
            // Another `up` was faster: its keys count.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            result => drop(result.map_err(self.trouble(&doing))?),
        }
        self.known_identity(workspace, host).await
    }

    /// The same of host keys that are there already.
    pub async fn known_identity(
        &self,
        workspace: &Workspace,
        host: &str,
    ) -> Result<Option<Vec<String>>, Trouble> {
        let name = workspace.host_keys_secret();
        let found = self.typed::<Secret>().get_opt(&name).await;
        let found = found.map_err(self.trouble(&format!("read the host keys (Secret {name})")))?;
        let lines = found.map(|secret| lines(&secret, host));
        lines.transpose().map_err(|reason| unusable(&name, &reason))
    }
}

fn unusable(name: &str, reason: &str) -> Trouble {
    let sentence = format!(
        "the Secret {name} holds no usable host key: {reason}; put one there or delete the Secret"
    );
    Trouble::new(exit_code::CONFIG, sentence)
}

fn fresh(workspace: &Workspace) -> Result<Secret, Trouble> {
    let keys = keys::fresh_host_keys().map_err(|error| {
        Trouble::new(
            exit_code::SOFTWARE,
            format!("cannot make host keys: {error}"),
        )
    })?;
    Ok(Secret {
        metadata: workspace.metadata(workspace.host_keys_secret()),
        string_data: Some(
            keys.into_iter()
                .map(|(name, text)| (name.to_owned(), text))
                .collect(),
        ),
        ..Secret::default()
    })
}

fn lines(secret: &Secret, host: &str) -> Result<Vec<String>, String> {
    let empty = BTreeMap::new();
    let data: &BTreeMap<String, ByteString> = secret.data.as_ref().unwrap_or(&empty);
    let private = data.iter().filter(|(name, _)| {
        let plain = !name.starts_with('.') && std::path::Path::new(name).extension().is_none();
        plain && !name.ends_with("-cert.pub")
    });
    let mut lines = Vec::new();
    for (name, text) in private {
        let text = std::str::from_utf8(&text.0).map_err(|_| format!("{name} is not text"))?;
        lines.push(
            keys::known_hosts_line_of(text, host).map_err(|reason| format!("{name}: {reason}"))?,
        );
    }
    if lines.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(lines)
}
