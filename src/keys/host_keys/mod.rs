//! Our own identity: private host keys from a Secret mount or from the home volume, generated there
//! once, and the same for ever after.
//!
//! A key that is there but unusable stops the start: to go on with another one would look to every
//! client like an attack. Never writes where it found a key of somebody else's making.

mod file;
mod fresh;
mod generate;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ssh_key::{Certificate, HashAlg, PrivateKey, PublicKey};

pub use self::fresh::{fresh_host_keys, known_hosts_line_of};
use super::mounts::Mounts;
use crate::runtime_dir;

/// Where a mounted host key is looked for when no directory is named.
const MOUNTED: &str = "/etc/podssh/host_keys";
/// Below the home; on the home volume, so that it outlives the pod.
const STATE: &str = ".local/state/podssh/host_keys";

/// Which directory to use.
#[derive(Clone, Debug)]
pub struct HostKeyPlaces {
    /// The directory the operator named: used whatever is in it.
    pub explicit: Option<PathBuf>,
    /// Else this one, if it holds a key.
    pub mounted: PathBuf,
    /// Else this one.
    pub state: PathBuf,
    /// Else, where none can be made there, this one: for one run, so that a home that is full or
    /// read-only keeps nobody out.
    pub fallback: Option<PathBuf>,
    /// Our own uid: files of others are the operator's.
    pub uid: u32,
}

impl HostKeyPlaces {
    /// The documented places.
    pub fn standard(explicit: Option<PathBuf>, home: &Path, uid: u32) -> Self {
        Self {
            explicit,
            mounted: PathBuf::from(MOUNTED),
            state: home.join(STATE),
            fallback: Some(runtime_dir::path(uid).join("host_keys")),
            uid,
        }
    }
}

/// Why there is no host key. Displays as `path: reason; fix`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}; {fix}", .path.display())]
pub struct HostKeyError {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// What would cure it.
    pub fix: String,
}

impl HostKeyError {
    fn new(path: &Path, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
            fix: fix.into(),
        }
    }
}

/// One host key.
#[derive(Debug)]
pub struct HostKey {
    /// The key, never encrypted.
    pub private: PrivateKey,
    /// The host certificate beside it (`NAME-cert.pub`), if any.
    pub certificate: Option<Certificate>,
    /// Where it was read.
    pub path: PathBuf,
    /// Whether it is the ECDSA key of our own making, which only old clients want.
    pub spare: bool,
}

/// The host keys of this server; at least one.
#[derive(Debug)]
pub struct HostKeys {
    keys: Vec<HostKey>,
    directory: PathBuf,
    generated: bool,
    warnings: Vec<String>,
}

impl HostKeys {
    /// Load the host keys, or generate them where the choice falls on a directory without any.
    pub fn load_or_generate(places: &HostKeyPlaces) -> Result<Self, HostKeyError> {
        let loader = file::Loader {
            uid: places.uid,
            mounts: Mounts::read(),
        };
        if let Some(directory) = &places.explicit {
            return Self::in_directory(directory, &loader, directory == &places.state);
        }
        let found = loader.load(&places.mounted)?;
        if !found.keys.is_empty() {
            return Ok(Self::new(found, &places.mounted, false));
        }
        let kept = Self::in_directory(&places.state, &loader, true);
        match (kept, &places.fallback) {
            (Err(error), Some(fallback)) if lacks_keys(&loader, &places.state) => {
                Self::for_this_run(fallback, &loader, &error)
            }
            (kept, _) => kept,
        }
    }

    fn for_this_run(
        directory: &Path,
        loader: &file::Loader,
        why: &HostKeyError,
    ) -> Result<Self, HostKeyError> {
        let mut keys = Self::in_directory(directory, loader, true).map_err(|_| why.clone())?;
        let path = directory.display();
        keys.warnings.push(format!(
            "{why}; until then the host keys in {path} last for this run only, and clients that know another will say so"
        ));
        Ok(keys)
    }

    /// The keys, ed25519 first.
    pub fn keys(&self) -> &[HostKey] {
        &self.keys
    }

    /// The directory they are in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether this start made them, so that the log can say "new host key".
    pub fn generated(&self) -> bool {
        self.generated
    }

    /// What the operator should know, for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// One line a key as `ssh-keygen -l` prints it.
    pub fn fingerprints(&self) -> Vec<String> {
        let line = |key: &HostKey| {
            let public = key.private.public_key();
            let fingerprint = public.fingerprint(HashAlg::Sha256);
            format!(
                "{} {fingerprint} {}",
                public.algorithm(),
                key.path.display()
            )
        };
        self.keys.iter().map(line).collect()
    }

    /// known_hosts lines (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) for each of `hosts`, names,
    /// addresses or `[host]:port`. A host certificate adds its CA's `@cert-authority` line.
    pub fn known_hosts_lines(&self, hosts: &[String]) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for host in hosts {
            let host = known_host(host)?;
            for key in &self.keys {
                let mut public = key.private.public_key().clone();
                lines.push(known_hosts_line("", &host, &mut public)?);
            }
            let mut authorities: Vec<_> = self
                .keys
                .iter()
                .filter_map(|key| key.certificate.as_ref())
                .collect();
            authorities.dedup_by_key(|certificate| certificate.signature_key());
            for certificate in authorities {
                let mut authority = PublicKey::from(certificate.signature_key().clone());
                lines.push(known_hosts_line("@cert-authority ", &host, &mut authority)?);
            }
        }
        Ok(lines)
    }

    fn in_directory(
        directory: &Path,
        loader: &file::Loader,
        ours: bool,
    ) -> Result<Self, HostKeyError> {
        if ours {
            file::repair_modes(directory, loader.uid);
        }
        let found = loader.load(directory)?;
        // A leftover of generation says that a kill came between the first key and the last.
        if !found.keys.is_empty() && !generate::was_interrupted(directory) {
            return Ok(Self::new(found, directory, false));
        }
        generate::missing(directory)?;
        generate::clean(directory);
        let found = loader.load(directory)?;
        if found.keys.is_empty() {
            let reason = "the host keys just made are gone";
            return Err(HostKeyError::new(
                directory,
                reason,
                "check what else writes there",
            ));
        }
        Ok(Self::new(found, directory, true))
    }

    fn new(found: file::Found, directory: &Path, generated: bool) -> Self {
        let file::Found { mut keys, warnings } = found;
        keys.sort_by_key(|key| {
            (
                key.private.algorithm().is_rsa(),
                !key.private.algorithm().is_ed25519(),
            )
        });
        Self {
            keys,
            directory: directory.to_owned(),
            generated,
            warnings,
        }
    }
}

/// As against one that holds an unusable key, which nothing may stand in for.
fn lacks_keys(loader: &file::Loader, directory: &Path) -> bool {
    loader
        .load(directory)
        .is_ok_and(|found| found.keys.is_empty())
}

fn known_hosts_line(marker: &str, host: &str, key: &mut PublicKey) -> Result<String, String> {
    key.set_comment("");
    let key = key
        .to_openssh()
        .map_err(|error| format!("cannot write a host key: {error}"))?;
    let mut line = format!("{marker}{host} ");
    let _ = write!(line, "{}", key.trim_end());
    Ok(line)
}

/// Check a host as known_hosts spells it; ssh looks up port 22 without brackets, and lower case.
fn known_host(text: &str) -> Result<String, String> {
    let invalid = || format!("\"{text}\" is not a host name, an address or [host]:port");
    let valid_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
        !name.is_empty() && name.len() <= 255 && name.bytes().all(plain)
    };
    let Some(rest) = text.strip_prefix('[') else {
        let single_colon = text.bytes().filter(|byte| *byte == b':').count() == 1;
        if !valid_name(text) || single_colon {
            return Err(invalid());
        }
        return Ok(text.to_ascii_lowercase());
    };
    let (name, port) = rest.split_once("]:").ok_or_else(invalid)?;
    let port: u16 = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(invalid)?;
    if !valid_name(name) {
        return Err(invalid());
    }
    let name = name.to_ascii_lowercase();
    Ok(if port == 22 {
        name
    } else {
        format!("[{name}]:{port}")
    })
}

/// The files of `directory`, through `..data` where there is one: names to show and paths to read.
fn list(directory: &Path) -> std::io::Result<Vec<(PathBuf, PathBuf)>> {
    let generation = fs::read_link(directory.join("..data"));
    let real = generation.map_or_else(|_| directory.to_owned(), |name| directory.join(name));
    let mut files = Vec::new();
    for entry in fs::read_dir(&real)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && real.join(&name).is_file() {
            files.push((directory.join(&name), real.join(&name)));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
