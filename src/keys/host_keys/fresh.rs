//! Host keys for a workspace that does not run yet, and what clients are told of them.

use std::io;

use ssh_key::{Algorithm, LineEnding, PrivateKey};

use super::generate::KEYS;
use super::{known_host, known_hosts_line};

/// A private key of each standard kind with its usual file name, in OpenSSH's format.
pub fn fresh_host_keys() -> io::Result<Vec<(&'static str, String)>> {
    let make = |(name, algorithm): (&'static str, Algorithm)| {
        let (private, _) = key_texts(algorithm)?;
        Ok((name, private))
    };
    KEYS.into_iter().map(make).collect()
}

/// The known_hosts line for the key whose private half is `text`, as `host` or `[host]:port`.
pub fn known_hosts_line_of(text: &str, host: &str) -> Result<String, String> {
    let key = PrivateKey::from_openssh(text)
        .map_err(|error| format!("it is not a private key in OpenSSH's format ({error})"))?;
    let mut public = key.public_key().clone();
    known_hosts_line("", &known_host(host)?, &mut public)
}

/// A new key: private and public text.
pub(super) fn key_texts(algorithm: Algorithm) -> io::Result<(String, String)> {
    let mut key = PrivateKey::random(&mut rand::rng(), algorithm).map_err(io::Error::other)?;
    key.set_comment("podssh");
    let private = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
    let public = key.public_key().to_openssh().map_err(io::Error::other)?;
    Ok((private.to_string(), public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_keys_have_known_hosts_lines() {
        let keys = fresh_host_keys().unwrap();
        let line = |(_, text): &(&str, String)| known_hosts_line_of(text, "[a.b]:80").unwrap();
        let lines: Vec<_> = keys.iter().map(line).collect();
        assert!(
            lines[0].starts_with("[a.b]:80 ssh-ed25519 AAAA"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("[a.b]:80 ecdsa-sha2-nistp256 AAAA"),
            "{lines:?}"
        );
        assert!(known_hosts_line_of("hello", "a").is_err());
    }
}
