//! A connection to a cluster: which one, in which namespace, as kubectl would choose.

use std::path::PathBuf;

use kube::client::ClientBuilder;
use kube::client::retry::RetryPolicy;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Config};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;

use super::name::Namespace;
use super::trouble::Trouble;
use crate::exit_code;

/// Requests under way; a command makes them one after the other, and watches little.
const AT_ONCE: usize = 64;

/// Which cluster and namespace; what is not said is taken as kubectl takes it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Instead of `$KUBECONFIG` and `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// Instead of the current context.
    pub context: Option<String>,
    /// Instead of the context's namespace.
    pub namespace: Option<Namespace>,
}

/// A client, and the words to speak of what it talks to.
#[derive(Clone)]
pub struct Connection {
    pub(super) client: Client,
    /// Where objects go.
    pub namespace: Namespace,
    /// The API server's URL.
    pub server: String,
}

impl Connection {
    /// Read the configuration and make a client. Nothing is sent yet.
    pub async fn open(place: &Place) -> Result<Self, Trouble> {
        let config = configuration(place).await?;
        let namespace = match &place.namespace {
            Some(namespace) => namespace.clone(),
            None => Namespace::parse(&config.default_namespace).map_err(wrong)?,
        };
        let server = config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned();
        let client = client(config)
            .map_err(|error| wrong(format!("cannot use the cluster's configuration: {error}")))?;
        Ok(Self {
            client,
            namespace,
            server,
        })
    }

    /// Objects of one kind in `namespace`.
    pub(super) fn api(&self, kind: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, kind)
    }

    /// Typed objects of one kind in the workspace's namespace.
    pub(super) fn typed<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), self.namespace.as_ref())
    }

    /// The sentence for a request that failed.
    pub(super) fn trouble(&self, doing: &str) -> impl FnOnce(kube::Error) -> Trouble {
        let (doing, server) = (doing.to_owned(), self.server.clone());
        move |error| Trouble::of(error, &doing, &server)
    }
}

/// A client that asks again for some seconds when the API server has too much to do. The library's own way
/// asks fifteen times in five minutes, and whoever waits does not know what for.
fn client(mut config: Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    let client = ClientBuilder::try_from(config)?
        .with_layer(&BufferLayer::new(AT_ONCE))
        .with_layer(&RetryLayer::new(RetryPolicy::default()));
    Ok(client.build())
}

async fn configuration(place: &Place) -> Result<Config, Trouble> {
    let kubeconfig = match &place.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match kubeconfig {
        Ok(kubeconfig) => kubeconfig,
        // In a pod with a token, as kubectl does; whoever named a file meant that file.
        Err(_)
            if place.kubeconfig.is_none()
                && place.context.is_none()
                && Config::incluster().is_ok() =>
        {
            return Config::incluster().map_err(|error| wrong(error.to_string()));
        }
        Err(error) => {
            return Err(wrong(format!(
                "no cluster is configured: {error}; give --kubeconfig, or set KUBECONFIG as for kubectl"
            )));
        }
    };
    let options = KubeConfigOptions {
        context: place.context.clone(),
        ..KubeConfigOptions::default()
    };
    let contexts: Vec<_> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
        let known = contexts.join(", ");
        match &place.context {
            Some(context) if !contexts.contains(context) => wrong(format!(
                "there is no context {context:?} in the kubeconfig; it has: {known}"
            )),
            _ => wrong(format!(
                "the kubeconfig does not say which cluster to use: {error}; give --context, one of: {known}"
            )),
        }
    })
}

fn wrong(sentence: String) -> Trouble {
    Trouble::new(exit_code::CONFIG, sentence)
}
