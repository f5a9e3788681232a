//! What a workspace is to be: every choice that `podssh render` and `podssh up` offer, checked.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::name::{Name, Namespace};
use super::people::People;
use super::route::Gateway;

/// The value of `app.kubernetes.io/name` on every object of every workspace.
pub const APP: &str = "podssh-workspace";

/// One workspace as it is to be.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its name; that of its objects too.
    pub name: Name,
    /// Where; none leaves it to whoever applies the objects (kustomize, kubectl's context).
    pub namespace: Option<Namespace>,
    /// The image its container runs.
    pub image: String,
    /// Size of the home volume, as a Kubernetes quantity.
    pub storage: String,
    /// Storage class; none takes the cluster's default.
    pub storage_class: Option<String>,
    /// CPU to reserve, as a quantity.
    pub cpu: String,
    /// Memory, reserved and at most.
    pub memory: String,
    /// NVIDIA GPUs.
    pub gpus: u32,
    /// How tightly the pod is held.
    pub security: Security,
    /// The image to copy podssh from into an image that lacks it.
    pub inject: Option<String>,
    /// Keys by a watch on the API instead of a mount.
    pub watch_keys: bool,
    /// How long sessions may go on once the pod is told to end.
    pub grace: Duration,
    /// Who may log in.
    pub people: People,
    /// What routes to it.
    pub gateway: Gateway,
    /// The gateway's namespace.
    pub gateway_namespace: Namespace,
}

/// How tightly the pod is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Pod Security `restricted` and a read-only root file system; any egress.
    #[default]
    Standard,
    /// As `Standard`, without a way to the nodes' metadata service.
    Restricted,
    /// sudo works in the pod, whose root is nobody on the node; Pod Security `baseline`.
    Sudo,
}

impl Security {
    /// Every level, by the name it is asked for with.
    pub const ALL: [(&'static str, Self); 3] = [
        ("standard", Self::Standard),
        ("restricted", Self::Restricted),
        ("sudo", Self::Sudo),
    ];
}

impl Workspace {
    /// A workspace with what `podssh render NAME` gives.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            namespace: None,
            image: concat!("podssh-workspace:", env!("CARGO_PKG_VERSION")).to_owned(),
            storage: "20Gi".to_owned(),
            storage_class: None,
            cpu: "500m".to_owned(),
            memory: "4Gi".to_owned(),
            gpus: 0,
            security: Security::default(),
            inject: None,
            watch_keys: false,
            grace: Duration::from_secs(60),
            people: People::default(),
            gateway: Gateway::None,
            gateway_namespace: Gateway::namespace(),
        }
    }

    /// The name clients ask the gateway for, without the port; needs the namespace.
    pub fn host(&self) -> Option<String> {
        let namespace = self.namespace.as_ref()?;
        Some(format!("{}.{namespace}.svc.cluster.local", self.name))
    }

    /// The Secret that says who may log in.
    pub fn keys_secret(&self) -> String {
        self.name.with("authorized-keys")
    }

    /// The Secret with the host keys.
    pub fn host_keys_secret(&self) -> String {
        self.name.with("host-keys")
    }

    /// Metadata of an object of this workspace.
    pub(super) fn metadata(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: self.namespace.as_ref().map(ToString::to_string),
            labels: Some(self.labels()),
            ..ObjectMeta::default()
        }
    }

    /// What every object bears: whose it is, and what `podssh list` and `podssh down` go by.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        // What gateways' NetworkPolicies let their pods reach.
        labels.insert("app.kubernetes.io/component".into(), "ssh-workspace".into());
        labels
    }

    /// What tells this workspace's pod from others'. Immutable in a StatefulSet: never add to it.
    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name".into(), APP.into()),
            ("app.kubernetes.io/instance".into(), self.name.to_string()),
        ])
    }

    /// The selector as StatefulSet, budget and policy write it.
    pub(super) fn label_selector(&self) -> LabelSelector {
        LabelSelector {
            match_labels: Some(self.selector()),
            ..LabelSelector::default()
        }
    }
}
