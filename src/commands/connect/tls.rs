//! TLS to a gateway: whom we believe, whom we say we are, and a sentence for each way it fails.

use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore,
    SignatureScheme,
};

use super::refusal::Refusal;
use super::route::is_timeout;
use crate::cli::ConnectArgs;
use crate::commands::Failed;
use crate::exit_code;

/// How to speak TLS with one gateway.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
    identity: Arc<Identity>,
    /// Where the authorities come from, for sentences.
    authorities: String,
}

/// What we show when the gateway asks who we are, and whether it has.
#[derive(Debug, Default)]
struct Identity {
    certificate: Option<(PathBuf, Arc<CertifiedKey>)>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.certificate.as_ref().map(|(_, key)| Arc::clone(key))
    }

    fn has_certs(&self) -> bool {
        self.certificate.is_some()
    }
}

impl Tls {
    /// For the gateway `host`, as the flags say. Reads the files they name.
    pub(super) fn load(host: &str, args: &ConnectArgs) -> Result<Self, Failed> {
        let server = ServerName::try_from(host.to_owned()).map_err(|_| {
            Failed::new(
                exit_code::USAGE,
                format!("--gateway: {host:?} is not a name that a certificate can have"),
            )
        })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (roots, authorities) = authorities(args.gateway_ca.as_deref())?;
        let identity = Arc::new(Identity {
            certificate: certificate(args, &provider)?,
            ..Identity::default()
        });
        let resolver: Arc<dyn ResolvesClientCert> = identity.clone();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failed::new(exit_code::SOFTWARE, error))?
            .with_root_certificates(roots)
            .with_client_cert_resolver(resolver);
        // A gateway that also speaks HTTP/2 would prefer it.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        Ok(Self {
            config,
            server,
            identity,
            authorities,
        })
    }

    /// The handshake with `whom` over `socket`, whose time-outs bound it.
    pub(super) fn shake_hands(
        &self,
        socket: &mut TcpStream,
        whom: &str,
    ) -> Result<Box<ClientConnection>, Refusal> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.server.clone());
        let mut connection = connection
            .map_err(|error| Refusal::lasting(format!("cannot speak TLS with {whom}: {error}")))?;
        // The bytes of one write are the pieces of the tunnel's buffer: never more.
        connection.set_buffer_limit(None);
        while connection.is_handshaking() {
            if let Err(error) = connection.complete_io(socket) {
                return Err(self.refusal(whom, &error));
            }
        }
        Ok(Box::new(connection))
    }

    /// Whether we have a certificate to show.
    pub(super) fn has_certificate(&self) -> bool {
        self.identity.certificate.is_some()
    }

    /// What a failure of TLS means.
    pub(super) fn refusal(&self, whom: &str, error: &io::Error) -> Refusal {
        match inner(error) {
            Some(Error::InvalidCertificate(reason)) => self.distrust(whom, reason),
            Some(Error::AlertReceived(alert)) => self.alert(whom, *alert),
            Some(Error::InvalidMessage(_)) => Refusal::lasting(format!(
                "{whom} does not speak TLS on this port: check the port, or give http:// in --gateway"
            )),
            Some(Error::PeerIncompatible(reason)) => Refusal::lasting(format!(
                "{whom} speaks no TLS that is safe ({reason:?}): its owner must allow TLS 1.2 or newer"
            )),
            Some(other) => Refusal::lasting(format!("TLS with {whom} failed: {other}")),
            None if is_timeout(error) => Refusal::passing(format!(
                "{whom} does not go on with the TLS handshake: does it speak TLS on this port?"
            )),
            None => self.hung_up(whom),
        }
    }

    /// What it means that the gateway went away where an answer was due.
    pub(super) fn hung_up(&self, whom: &str) -> Refusal {
        let asked = self.identity.asked.load(Ordering::Relaxed);
        match &self.identity.certificate {
            Some((path, _)) if asked => Refusal::forbidden(format!(
                "{whom} hung up when it saw the certificate in {}: ask its owner whom it lets in",
                path.display()
            )),
            None if asked => Refusal::forbidden(format!(
                "{whom} asks for a client certificate: give --gateway-cert and --gateway-key"
            )),
            _ => Refusal::passing(format!(
                "{whom} hung up within TLS: does it speak TLS on this port?"
            )),
        }
    }

    /// Why we do not believe the gateway.
    fn distrust(&self, whom: &str, reason: &CertificateError) -> Refusal {
        let server = self.server.to_str();
        Refusal::lasting(match reason {
            CertificateError::UnknownIssuer => format!(
                "the certificate of {whom} is signed by no authority in {}: give the PEM file of the right one with --gateway-ca",
                self.authorities
            ),
            CertificateError::NotValidForName => format!(
                "the certificate of {whom} is not for the name {server}: give in --gateway the name that it is for"
            ),
            CertificateError::NotValidForNameContext { presented, .. } => format!(
                "the certificate of {whom} is not for the name {server} but for {}: give that in --gateway, if it is the same gateway",
                presented.join(", ")
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
                "the certificate of {whom} has expired: its owner must renew it, unless this machine's clock is wrong"
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => format!(
                "the certificate of {whom} is not valid yet: is this machine's clock right?"
            ),
            other => {
                format!("the certificate of {whom} cannot be believed ({other}): ask its owner")
            }
        })
    }

    /// What the gateway does not like.
    fn alert(&self, whom: &str, alert: AlertDescription) -> Refusal {
        match alert {
            AlertDescription::UnrecognisedName => Refusal::lasting(format!(
                "{whom} has no certificate for the name {}: give in --gateway a name that it serves",
                self.server.to_str()
            )),
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
                Refusal::lasting(format!(
                    "{whom} speaks no TLS that is safe ({alert:?}): its owner must allow TLS 1.2 or newer"
                ))
            }
            _ if self.identity.asked.load(Ordering::Relaxed) => match &self.identity.certificate {
                Some((path, _)) => Refusal::forbidden(format!(
                    "{whom} does not accept the certificate in {} ({alert:?}): renew it, or ask its owner whom it lets in",
                    path.display()
                )),
                None => self.hung_up(whom),
            },
            other => Refusal::lasting(format!("{whom} broke TLS off ({other:?}): ask its owner")),
        }
    }
}

/// Whether TLS is what failed.
pub(super) fn is_about(error: &io::Error) -> bool {
    inner(error).is_some()
}

fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// The authorities, and what to call them.
fn authorities(path: Option<&Path>) -> Result<(RootCertStore, String), Failed> {
    let mut roots = RootCertStore::empty();
    let Some(path) = path else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            return Err(Failed::new(
                exit_code::NO_INPUT,
                "this machine has no certificate authorities to check the gateway by: install ca-certificates, or give --gateway-ca",
            ));
        }
        return Ok((roots, "this machine's list".to_owned()));
    };
    for certificate in certificates("--gateway-ca", path)? {
        roots
            .add(certificate)
            .map_err(|error| bad("--gateway-ca", path, &error))?;
    }
    Ok((roots, path.display().to_string()))
}

/// The certificate to show, with its key.
fn certificate(
    args: &ConnectArgs,
    provider: &CryptoProvider,
) -> Result<Option<(PathBuf, Arc<CertifiedKey>)>, Failed> {
    let Some(path) = &args.gateway_cert else {
        return match &args.gateway_key {
            Some(_) => Err(Failed::new(
                exit_code::USAGE,
                "--gateway-key needs --gateway-cert, the certificate of that key",
            )),
            None => Ok(None),
        };
    };
    let chain = certificates("--gateway-cert", path)?;
    let (flag, key_path) = match &args.gateway_key {
        Some(key) => ("--gateway-key", key),
        None => (
            "--gateway-key, by default the file of --gateway-cert,",
            path,
        ),
    };
    let key = PrivateKeyDer::from_pem_file(key_path)
        .map_err(|error| unread(flag, key_path, error, "private key without a passphrase"))?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(_) => Failed::new(
            exit_code::CONFIG,
            format!(
                "the key in {} is not the one of the certificate in {}",
                key_path.display(),
                path.display()
            ),
        ),
        other => bad(flag, key_path, &other),
    })?;
    Ok(Some((path.clone(), Arc::new(certified))))
}

/// All certificates of a PEM file, at least one.
fn certificates(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Failed> {
    use rustls::pki_types::pem::Error as Pem;
    let read = |error| unread(flag, path, error, "certificate");
    let found = CertificateDer::pem_file_iter(path).map_err(read)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(read)?;
    if found.is_empty() {
        return Err(read(Pem::NoItemsFound));
    }
    Ok(found)
}

fn unread(flag: &str, path: &Path, error: rustls::pki_types::pem::Error, wanted: &str) -> Failed {
    use rustls::pki_types::pem::Error as Pem;
    let path_shown = path.display();
    match error {
        Pem::Io(error) => Failed::new(exit_code::NO_INPUT, format!("{flag} {path_shown}: {error}")),
        Pem::NoItemsFound => Failed::new(
            exit_code::CONFIG,
            format!("{flag} {path_shown} holds no {wanted} in PEM form (-----BEGIN ...)"),
        ),
        other => bad(flag, path, &other),
    }
}

fn bad(flag: &str, path: &Path, error: &dyn std::fmt::Display) -> Failed {
    Failed::new(
        exit_code::CONFIG,
        format!("{flag} {}: {error}", path.display()),
    )
}
