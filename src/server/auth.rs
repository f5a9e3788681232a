//! Login: what the key set says of an offer, and remembering who got in.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use russh::keys::HashAlg;
use russh::server::{Auth, PublicKeyOffer, VerifiedCertificate, VerifiedPublicKey};
use tokio::sync::Notify;

use super::Server;
use super::startups::{Phase, Startup};
use crate::keys::{Credential, Grant, Offer};
use crate::metrics;

/// Who logged in on a connection, shared between its handler and its watcher.
#[derive(Debug, Default)]
pub(super) struct Login {
    grant: OnceLock<Grant>,
    changed: Notify,
}

impl Login {
    /// Resolves once somebody has logged in.
    pub(super) async fn accepted(&self) -> &Grant {
        loop {
            if let Some(grant) = self.grant.get() {
                return grant;
            }
            self.changed.notified().await;
        }
    }

    /// Who, if anybody yet.
    pub(super) fn grant(&self) -> Option<&Grant> {
        self.grant.get()
    }

    /// The library has told the client: from now on this is who it is.
    pub(super) fn enter(&self, grant: Grant) {
        // A connection logs in once.
        let _ = self.grant.set(grant);
        self.changed.notify_one();
    }
}

/// The judge of one connection's attempts.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) number: u64,
    pub(super) client: IpAddr,
    /// The last grant: what the client will be once the library reports success.
    pub(super) granted: Option<Grant>,
    pub(super) startup: Arc<Startup>,
}

impl Judge {
    /// Whether a signature by this key is worth asking for. The same answer, in the same time, for
    /// a wrong name and for an unknown key.
    pub(super) fn probe(&self, server: &Server, user: &str, offer: &PublicKeyOffer<'_>) -> Auth {
        let keys = server.keys.current();
        self.startup.reach(Phase::Encrypted);
        // With a CA every key is asked to sign, so every name must be as well, or the one that
        // exists would stand out.
        let named = user == server.workspace.user.name || keys.has_authority();
        if keys.is_candidate(offer.public_key) && named {
            self.startup.reach(Phase::Known);
            Auth::Accept
        } else {
            let fingerprint = offer.public_key.fingerprint(HashAlg::default());
            tracing::debug!(conn = self.number, user, %fingerprint, "key not known");
            Auth::reject()
        }
    }

    pub(super) fn key(&mut self, server: &Server, user: &str, key: &VerifiedPublicKey<'_>) -> Auth {
        let algorithm = key.algorithm.as_str();
        self.judge(
            server,
            user,
            Credential::Key(key.public_key),
            algorithm,
            key.sk_flags(),
        )
    }

    pub(super) fn certificate(
        &mut self,
        server: &Server,
        user: &str,
        shown: &VerifiedCertificate<'_>,
    ) -> Auth {
        let credential = Credential::Certificate(shown.certificate);
        self.judge(
            server,
            user,
            credential,
            shown.algorithm.as_str(),
            shown.sk_flags(),
        )
    }

    fn judge(
        &mut self,
        server: &Server,
        user: &str,
        credential: Credential<'_>,
        algorithm: &str,
        sk_flags: Option<u8>,
    ) -> Auth {
        let offer = Offer {
            credential,
            algorithm,
            sk_flags,
            peer: self.client,
            user,
            now: SystemTime::now(),
        };
        let wrong_name = user != server.workspace.user.name;
        match server.keys.current().authorize(&offer) {
            Ok(grant) if !wrong_name => {
                if let Some(by) = &grant.identity.certificate {
                    let (certificate, serial, ca) = (&by.key_id, by.serial, &by.ca_fingerprint);
                    tracing::info!(
                        conn = self.number,
                        certificate,
                        serial,
                        ca,
                        "certificate accepted"
                    );
                }
                server.metrics.login(metrics::Login::Accepted);
                self.granted = Some(grant);
                Auth::Accept
            }
            Ok(_) => {
                tracing::info!(
                    conn = self.number,
                    user,
                    "login refused: this workspace serves another user"
                );
                self.refuse(server)
            }
            Err(denied) => {
                tracing::info!(conn = self.number, user, reason = denied.as_label(), detail = %denied, "login refused");
                self.refuse(server)
            }
        }
    }

    fn refuse(&mut self, server: &Server) -> Auth {
        server.metrics.login(metrics::Login::Refused);
        self.granted = None;
        Auth::reject()
    }
}
