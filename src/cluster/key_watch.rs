//! Keys by a watch on one Secret, for `serve --keys-from-secret`: the only part of the daemon that speaks to
//! the API, and only when asked to.
//!
//! The watch is of one object by its name, which is all that the role allows. While the API is away the
//! last good keys stay in force, and the log says so once; the watch comes back by itself, from where it
//! was or (410 Gone) by reading the object again.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::config::AuthInfo;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::watcher;
use kube::{Api, Client, Config};

use crate::keys::{Feed, Keys};

/// Between two tries. The longest is how late a revocation may be once the API is back, so it is short;
/// jitter keeps a thousand workspaces from coming back in step.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
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
        let api = match self.api() {
            Ok(api) => api,
            Err(reason) => return self.lost(&reason),
        };
        let changes = watcher::watch_object(api, &self.name);
        let mut changes =
            std::pin::pin!(changes.backoff(ResetTimerBackoff::new(Pauses(FIRST_PAUSE), GOOD)));
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

    fn api(&self) -> Result<Api<Secret>, String> {
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
        let namespace = read("namespace")?;
        let client = Client::try_from(config).map_err(|error| at(&error))?;
        Ok(Api::namespaced(client, namespace.trim()))
    }
}

/// Doubling up to the longest, each by chance up to a half shorter.
struct Pauses(Duration);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        Some(pause.mul_f64(rand::random_range(0.5..1.0)))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = FIRST_PAUSE;
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
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    format!("cannot be watched: {reason}")
}
