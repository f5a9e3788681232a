//! The workspaces that are in the cluster, and how they are.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::ListParams;
use kube::core::ResourceExt;

use super::connection::Connection;
use super::trouble::Trouble;
use super::workspace::APP;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `ready`, `starting` or `stopped`.
    pub state: &'static str,
    /// The image it runs.
    pub image: String,
}

impl Connection {
    /// Those of the namespace, or of all namespaces.
    pub async fn workspaces(&self, everywhere: bool) -> Result<Vec<Listed>, Trouble> {
        let api: Api<StatefulSet> = if everywhere {
            Api::all(self.client.clone())
        } else {
            self.typed()
        };
        let labels = format!("app.kubernetes.io/name={APP}");
        let sets = api.list(&ListParams::default().labels(&labels)).await;
        let sets = sets.map_err(self.trouble("list workspaces"))?;
        Ok(sets.items.iter().map(listed).collect())
    }
}

fn listed(set: &StatefulSet) -> Listed {
    let wanted = set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let ready = set
        .status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0);
    let template = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let container = template.and_then(|template| template.containers.first());
    Listed {
        namespace: set.namespace().unwrap_or_default(),
        name: set.name_any(),
        state: match (wanted, ready) {
            (0, _) => "stopped",
            (_, 0) => "starting",
            _ => "ready",
        },
        image: container
            .and_then(|container| container.image.clone())
            .unwrap_or_default(),
    }
}
