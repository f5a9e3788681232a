//! Who is here: the open connections, for those who ask.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::auth::Login;

/// One open connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Its number in the log.
    pub number: u64,
    /// The client's end, as far as it is known.
    pub client: String,
    /// Whose key logged in: the name of its source. `None` before the login.
    pub who: Option<String>,
    /// `SHA256:…` of that key.
    pub key: Option<String>,
    /// How long it has been here.
    pub seconds: u64,
}

#[derive(Debug)]
struct Entry {
    client: SocketAddr,
    since: Instant,
    login: Arc<Login>,
}

/// The open connections by number. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster(Arc<Mutex<BTreeMap<u64, Entry>>>);

/// A connection's place in it, until dropped.
#[derive(Debug)]
pub(super) struct Listed {
    roster: Roster,
    number: u64,
}

impl Roster {
    pub(super) fn enter(&self, number: u64, client: SocketAddr, login: Arc<Login>) -> Listed {
        let since = Instant::now();
        let entry = Entry {
            client,
            since,
            login,
        };
        self.entries().insert(number, entry);
        Listed {
            roster: self.clone(),
            number,
        }
    }

    pub(super) fn present(&self) -> Vec<Present> {
        let entries = self.entries();
        let present = entries.iter().map(|(number, entry)| {
            let identity = entry.login.grant().map(|grant| &grant.identity);
            let address = SocketAddr::new(entry.client.ip().to_canonical(), entry.client.port());
            Present {
                number: *number,
                client: address.to_string(),
                who: identity.map(|identity| identity.label.clone()),
                key: identity.map(|identity| identity.fingerprint.clone()),
                seconds: entry.since.elapsed().as_secs(),
            }
        });
        present.collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.roster.entries().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_listed_from_its_accept_to_its_end() {
        let roster = Roster::default();
        let client = "[::ffff:10.0.0.9]:5555".parse().unwrap();
        let listed = roster.enter(3, client, Arc::default());
        let present = roster.present();
        assert_eq!((present.len(), present[0].number), (1, 3));
        assert_eq!(present[0].client, "10.0.0.9:5555");
        assert_eq!(present[0].who, None);
        drop(listed);
        assert_eq!(roster.present(), []);
    }
}
