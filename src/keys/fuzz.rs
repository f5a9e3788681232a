//! Fuzzed: the files that say who may log in, and the certificates that clients show.

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{Certificate, PrivateKey, PublicKey};

use super::certificate::{Terms, judge};
use super::entry::Entry;
use super::entry_options::EntryOptions;
use super::krl::{Krl, MAGIC};
use super::offer::{Credential, Offer};
use super::options::Permission;

const NOW: u64 = 1_800_000_000;
/// What an extension gives; nothing else does.
const EXTENSIONS: [(&str, Permission); 5] = [
    ("permit-pty", Permission::Pty),
    ("permit-port-forwarding", Permission::PortForwarding),
    ("permit-agent-forwarding", Permission::AgentForwarding),
    ("permit-X11-forwarding", Permission::X11Forwarding),
    ("permit-user-rc", Permission::UserRc),
];
const CRITICAL: [&str; 3] = ["force-command", "source-address", "verify-required"];

static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32])));

fn offer<'a>(credential: Credential<'a>, user: &'a str) -> Offer<'a> {
    Offer {
        credential,
        algorithm: "ssh-ed25519",
        sk_flags: None,
        peer: [10, 0, 0, 1].into(),
        user,
        now: UNIX_EPOCH + Duration::from_secs(NOW),
    }
}

/// Lines of an authorized_keys file.
pub(crate) fn authorized_keys(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let outcome = Entry::parse(line);
        assert_eq!(outcome, Entry::parse(line));
        match outcome {
            Ok(Some(entry)) => {
                assert!(!line.contains(&0) && Entry::names_a_key_type(line));
                assert!(entry.options.granted.are_within(&entry.options.granted));
            }
            Ok(None) => {}
            Err(reason) => assert!(!reason.is_empty()),
        }
    }
}

/// An options field: whatever it says takes rights away, never gives any.
pub(crate) fn options(data: &[u8]) {
    let Ok(parsed) = EntryOptions::parse(data) else {
        return;
    };
    assert_eq!(Ok(&parsed), EntryOptions::parse(data).as_ref());
    if let Some(from) = &parsed.from {
        let _ = from.allow([10, 0, 0, 1].into());
        let _ = from.allow(std::net::Ipv6Addr::LOCALHOST.into());
    }
    for place in parsed.granted.permit_open.iter().flatten() {
        let _ = place.allows_open("db", 5432);
    }
    for place in parsed.granted.permit_listen.iter().flatten() {
        let _ = place.allows_listen("localhost", 8080);
    }
}

/// Critical options and extensions, in a certificate that is otherwise good: the first byte says how
/// many of the lines `name=value` are critical. And the bytes themselves as a certificate.
pub(crate) fn certificate(data: &[u8]) {
    if let Ok(certificate) = Certificate::from_bytes(data) {
        let _ = judge(
            &certificate,
            None,
            &offer(Credential::Certificate(&certificate), "jovyan"),
        );
    }
    let Some((critical, lines)) = data.split_first() else {
        return;
    };
    let Some(certificate) = signed(usize::from(*critical), lines) else {
        return;
    };
    let judged = judge(
        &certificate,
        None,
        &offer(Credential::Certificate(&certificate), "jovyan"),
    );
    if let Ok(terms) = judged {
        check(&certificate, &terms);
    }
}

fn signed(critical: usize, lines: &[u8]) -> Option<Certificate> {
    let public = KEY.public_key();
    let mut builder = Builder::new(vec![1; 16], public.clone(), NOW - 60, NOW + 60).ok()?;
    builder.cert_type(CertType::User).ok()?;
    builder.valid_principal("jovyan").ok()?;
    let text = std::str::from_utf8(lines).ok()?;
    for (number, line) in text.lines().enumerate() {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let added = if number < critical {
            builder.critical_option(name, value)
        } else {
            builder.extension(name, value)
        };
        added.ok()?;
    }
    builder.sign(&*KEY).ok()
}

fn check(certificate: &Certificate, terms: &Terms) {
    for (name, value) in certificate.critical_options().iter() {
        assert!(CRITICAL.contains(&name.as_str()), "{name} was ignored");
        let forced = terms.options.command.as_ref();
        assert!(name != "force-command" || forced.is_some_and(|command| command == value.as_str()));
        assert!(name != "verify-required" || terms.verify_required);
    }
    for (name, permission) in EXTENSIONS {
        let given = certificate
            .extensions()
            .iter()
            .any(|(found, _)| found == name);
        assert_eq!(terms.options.permits(permission), given, "{name}");
    }
}

/// A key revocation list, with and without its magic number.
pub(crate) fn krl(data: &[u8]) {
    let whole = [MAGIC, data].concat();
    for bytes in [data, &whole] {
        if let Ok(list) = Krl::parse(bytes) {
            let _ = list.revokes_key(PublicKey::from(&*KEY).key_data());
            if let Some(certificate) = &*CERTIFICATE {
                let _ = list.revokes_certificate(certificate);
            }
        }
    }
}

static CERTIFICATE: LazyLock<Option<Certificate>> = LazyLock::new(|| signed(0, b"permit-pty"));
