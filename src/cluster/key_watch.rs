//! Keys by a watch on one Secret, for `serve --keys-from-secret`: the only part of the daemon that speaks to
//! the API, and only when asked to.
//!
//! The watch is of one object by its name, which is all that the role allows. While the API is away the
//! last good keys stay in force, and the log says so once; the watch comes back by itself, from where it
//! was or (410 Gone) by reading the object again. An API server with too much to do (429) is asked as seldom
//! as it says.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::client::ClientBuilder;
use kube::config::AuthInfo;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::ResetTimerBackoff;
use kube::runtime::watcher;
use kube::{Api, Config};
use tower::util::MapResponseLayer;

use super::pauses::{Pauses, RetryAfter};
use crate::keys::{Feed, Keys};

/// A watch that held this long was a good one: start again with the first pause.
const GOOD: Duration = Duration::from_secs(30);

/// Follows one Secret for a [`Keys`].
pub struct KeyWatch {
    name: String,
    credentials: PathBuf,
    feed: Arc<Feed>,
    keys: Arc<Keys>,
}

impl KeyWatch {
    /// Of the Secret `name` in the namespace that `credentials` names.
    pub fn new(name: &str, credentials: &Path, feed: Arc<Feed>, keys: Arc<Keys>) -> Self {
        Self {
            name: name.to_owned(),
            credentials: credentials.to_owned(),
            feed,
            keys,
        }
    }

    /// Follow it for ever.
    pub async fn follow(self) {
        // The token and the CA come with the pod; where they do not, nothing but a new pod brings them.
        let told = RetryAfter::default();
        let api = match self.api(told.clone()) {
            Ok(api) => api,
            Err(reason) => return self.lost(&reason),
        };
        let changes = watcher::watch_object(api, &self.name);
        let mut changes =
            std::pin::pin!(changes.backoff(ResetTimerBackoff::new(Pauses::new(told), GOOD)));
        while let Some(change) = changes.next().await {
            match change {
                Ok(secret) => {
                    self.feed.tell(secret.map(files).unwrap_or_default());
                    self.keys.reload();
                }
                // Gone, the version seen last, after an outage: the object is read again at once.
                Err(watcher::Error::WatchError(status)) if status.code == 410 => {
                    tracing::debug!("{status}; reading the Secret again");
                }
                Err(error) => self.lost(&sentence(&error)),
            }
        }
    }

    fn lost(&self, reason: &str) {
        if self.feed.lose(reason) {
            self.keys.reload();
        }
    }

    fn api(&self, told: RetryAfter) -> Result<Api<Secret>, String> {
        let at = |error: &dyn std::fmt::Display| {
            format!(
                "cannot be watched without the pod's API credentials: {error}; render the pod with --watch-keys"
            )
        };
        let read = |name: &str| {
            let path = self.credentials.join(name);
            std::fs::read_to_string(&path)
                .map_err(|error| at(&format!("{}: {error}", path.display())))
        };
        let variable =
            |name: &str| std::env::var(name).map_err(|_| at(&format!("{name} is not set")));
        let (host, port) = (
            variable("KUBERNETES_SERVICE_HOST")?,
            variable("KUBERNETES_SERVICE_PORT")?,
        );
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        let url = format!("https://{host}:{port}").parse::<hyper::Uri>();
        let mut config = Config::new(url.map_err(|error| at(&error))?);
        read("token")?;
        // Both are read again as they change: tokens live an hour.
        config.root_cert_file = Some(self.credentials.join("ca.crt"));
        config.auth_info = AuthInfo {
            token_file: self.credentials.join("token").to_str().map(str::to_owned),
            ..AuthInfo::default()
        };
        // The library's own way would ask fifteen times, up to minutes apart, and nobody would know why
        // revocations do not arrive.
        config.default_retry = false;
        let namespace = read("namespace")?;
        let client = ClientBuilder::try_from(config).map_err(|error| at(&error))?;
        let client = client.with_layer(&MapResponseLayer::new(move |answer| told.hear(answer)));
        Ok(Api::namespaced(client.build(), namespace.trim()))
    }
}

fn files(secret: Secret) -> BTreeMap<String, Vec<u8>> {
    let data = secret.data.unwrap_or_default();
    data.into_iter()
        .map(|(person, keys)| (person, keys.0))
        .collect()
}

/// The innermost cause; what the API server says is one sentence already.
fn sentence(error: &watcher::Error) -> String {
    if busy(error) {
        return "cannot be watched: the API server has too much to do (429); it is asked again when it says"
            .to_owned();
    }
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    format!("cannot be watched: {reason}")
}

fn busy(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    let status = match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => match error {
            kube::Error::Api(status) => status,
            _ => return false,
        },
        WatchError(status) => status,
        watcher::Error::NoResourceVersion => return false,
    };
    status.code == 429
}
