//! Reads a directory's host keys and judges each file: format, who else can read it, and whether
//! half the world has it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ssh_key::{Algorithm, Certificate, Fingerprint, HashAlg, PrivateKey, PublicKey};

use super::{HostKey, HostKeyError, generate, list};
use crate::keys::file::{self, Content, is_missing};
use crate::keys::mounts::Mounts;
use crate::keys::trust::is_read_only_mount;

const READABLE_BY_OTHERS: u32 = 0o077;
const MAX_KEY: u64 = 64 * 1024;
const OPENSSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const MOUNT_A_SECRET: &str = "mount a Secret with a key of its own for each workspace";

/// Private keys that were published, as SHA-256 fingerprints of their public halves.
const PUBLISHED: [(&str, &str); 2] = [
    (
        "SHA256:LDGeWPKeNnLzdAI3zT3wvN16yg/ZOeUOa+auL+gcp+g",
        "it is in the source of okteto/remote",
    ),
    (
        "SHA256:vfyokqD3hfinDsgwkO2GowFFZHfUWsoUb86ZahXIBsY",
        "it is in the source of tensorchord/envd",
    ),
];

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) keys: Vec<HostKey>,
    pub(super) warnings: Vec<String>,
}

/// How keys are judged.
pub(super) struct Loader {
    pub(super) uid: u32,
    pub(super) mounts: Mounts,
}

impl Loader {
    /// Every private key in `directory`, whatever its file is called; none when there is no such
    /// directory.
    pub(super) fn load(&self, directory: &Path) -> Result<Found, HostKeyError> {
        let files = match list(directory) {
            Ok(files) => files,
            Err(error) if is_missing(&error) => return Ok(Found::default()),
            Err(error) => {
                let reason = format!("cannot be read: {error}");
                return Err(HostKeyError::new(
                    directory,
                    reason,
                    "let the workspace user read it",
                ));
            }
        };
        let mut found = Found::default();
        for (shown, real) in files {
            if shown
                .extension()
                .is_some_and(|extension| extension == "pub")
            {
                continue;
            }
            if let Some(private) = self.private_key(&shown, &real)? {
                found.add(private, shown, &real, self.uid);
            }
        }
        Ok(found)
    }

    /// `Ok(None)`: the file is no private key at all.
    fn private_key(&self, shown: &Path, real: &Path) -> Result<Option<PrivateKey>, HostKeyError> {
        let readable = file::read(real, MAX_KEY).map_err(|reason| {
            let fix = "with a Secret, set fsGroup so that the workspace user may read it";
            HostKeyError::new(shown, reason, fix)
        })?;
        let Some(content) = readable else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&content.bytes);
        let text = text.trim_start();
        if !text.starts_with("-----BEGIN ") {
            return if named_as_host_key(shown) {
                let fix = "restore it, or delete it to have another made";
                Err(HostKeyError::new(shown, "is no private key", fix))
            } else {
                Ok(None)
            };
        }
        let private = parse(shown, text)?;
        self.check_secrecy(shown, real, &content)?;
        check_published(shown, private.public_key())?;
        Ok(Some(private))
    }

    /// Readable by others is fine for the kubelet's mounts (0440 under fsGroup), for nothing else.
    fn check_secrecy(
        &self,
        shown: &Path,
        real: &Path,
        content: &Content,
    ) -> Result<(), HostKeyError> {
        let metadata = content.file.metadata();
        let metadata = metadata.map_err(|error| {
            HostKeyError::new(
                shown,
                format!("cannot be examined: {error}"),
                MOUNT_A_SECRET,
            )
        })?;
        let mode = metadata.mode() & 0o7777;
        if mode & READABLE_BY_OTHERS == 0 {
            return Ok(());
        }
        let canonical = real.canonicalize().unwrap_or_else(|_| real.to_owned());
        if !self.mounts.is_below_a_mount(&canonical) {
            let reason = format!(
                "has mode {mode:04o} on the container's root file system: a key in an image layer \
                 is known to all who can pull the image"
            );
            return Err(HostKeyError::new(shown, reason, MOUNT_A_SECRET));
        }
        if is_read_only_mount(&content.file) || metadata.uid() != self.uid {
            return Ok(());
        }
        let reason = format!("has mode {mode:04o}, readable by others");
        Err(HostKeyError::new(
            shown,
            reason,
            format!("chmod 600 {}", shown.display()),
        ))
    }
}

/// `ssh_host_*_key`: whatever else it may hold, it was meant to be a host key, and clients may know it.
fn named_as_host_key(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.starts_with("ssh_host_") && name.ends_with("_key")
}

impl Found {
    fn add(&mut self, private: PrivateKey, path: PathBuf, real: &Path, uid: u32) {
        if matches!(private.algorithm(), Algorithm::Rsa { .. }) {
            self.warnings.push(format!(
                "{}: serving an RSA host key; its signing is not constant-time (RUSTSEC-2023-0071), \
                 prefer ed25519",
                path.display()
            ));
        }
        let certificate = match certificate(real, private.public_key()) {
            Ok(certificate) => certificate,
            Err(reason) => {
                self.warnings
                    .push(format!("{}-cert.pub: {reason}; not served", path.display()));
                None
            }
        };
        let known = self
            .keys
            .iter()
            .any(|key| key.private.algorithm() == private.algorithm());
        if known {
            let algorithm = private.algorithm();
            self.warnings.push(format!(
                "{}: a second {algorithm} key; not served",
                path.display()
            ));
            return;
        }
        let ours = || fs::metadata(real).is_ok_and(|metadata| metadata.uid() == uid);
        self.keys.push(HostKey {
            private,
            certificate,
            spare: path.ends_with(generate::SPARE) && ours(),
            path,
        });
    }
}

fn parse(shown: &Path, text: &str) -> Result<PrivateKey, HostKeyError> {
    let path = shown.display();
    if !text.starts_with(OPENSSH) {
        let label = text.lines().next().unwrap_or_default();
        let reason = format!("is in another format ({label}), not in OpenSSH's");
        return Err(HostKeyError::new(
            shown,
            reason,
            format!("convert it: ssh-keygen -p -f {path}"),
        ));
    }
    let private = PrivateKey::from_openssh(text).map_err(|error| {
        HostKeyError::new(
            shown,
            format!("is damaged: {error}"),
            "make a new one: ssh-keygen -t ed25519",
        )
    })?;
    if private.is_encrypted() {
        let fix = format!("take its passphrase off: ssh-keygen -p -f {path}");
        return Err(HostKeyError::new(
            shown,
            "is encrypted, and nobody is here to type",
            fix,
        ));
    }
    match private.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. } => Ok(private),
        other => {
            let reason = format!("is a key of type {other}, which cannot be a host key here");
            Err(HostKeyError::new(
                shown,
                reason,
                "make one: ssh-keygen -t ed25519",
            ))
        }
    }
}

/// Refuse a key whose private half was published.
pub(super) fn check_published(shown: &Path, public: &PublicKey) -> Result<(), HostKeyError> {
    let fingerprint = public.fingerprint(HashAlg::Sha256);
    let known = PUBLISHED
        .iter()
        .find(|(text, _)| text.parse::<Fingerprint>() == Ok(fingerprint));
    known.map_or(Ok(()), |(_, whose)| {
        let reason = format!("is a key that everybody has: {whose}");
        Err(HostKeyError::new(shown, reason, MOUNT_A_SECRET))
    })
}

/// The certificate beside a key, as ssh-keygen names it.
fn certificate(real: &Path, public: &PublicKey) -> Result<Option<Certificate>, String> {
    let mut path = real.as_os_str().to_owned();
    path.push("-cert.pub");
    let Some(content) = file::read(Path::new(&path), MAX_KEY)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&content.bytes);
    let certificate = Certificate::from_openssh(&text).map_err(|error| error.to_string())?;
    if !certificate.cert_type().is_host() {
        return Err("is a user certificate, not a host certificate".to_owned());
    }
    if certificate.public_key() != public.key_data() {
        return Err("belongs to another key".to_owned());
    }
    Ok(Some(certificate))
}

/// Under `fsGroup` the kubelet adds group rights to everything in the volume; take them off what we
/// made ourselves. What cannot be changed is judged as it is.
pub(super) fn repair_modes(directory: &Path, uid: u32) {
    let Ok(files) = list(directory) else { return };
    for (_, path) in files {
        let ours = fs::symlink_metadata(&path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.uid() == uid);
        if ours && path.extension().is_none() {
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o600));
        }
    }
}
