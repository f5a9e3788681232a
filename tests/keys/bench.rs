//! A directory of key material made by ssh-keygen, and the key set that podssh reads from it.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use podssh::keys::{Credential, Denied, Grant, KeySet, Offer, Sources};
use ssh_key::{Certificate, PublicKey};

pub(crate) struct Bench {
    pub(crate) root: tempfile::TempDir,
    pub(crate) sources: Sources,
    pub(crate) user: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_owned();
        let sources = Sources {
            authorized_keys: vec![path.join("authorized_keys")],
            home: path.join("home"),
            uid: fs::metadata(&path).unwrap().uid(),
            home_authorized_keys: false,
            user_ca: vec![path.join("user_ca")],
            principals: Vec::new(),
            revoked_keys: None,
            feed: None,
        };
        let user = output(Command::new("id").arg("-un"));
        Self {
            root,
            sources,
            user: user.trim().to_owned(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// `ssh-keygen` with these arguments, in the directory.
    pub(crate) fn keygen(&self, arguments: &[&str]) -> String {
        output(
            Command::new("ssh-keygen")
                .args(arguments)
                .current_dir(self.root.path()),
        )
    }

    /// A new key pair; its public line without the newline.
    pub(crate) fn key(&self, name: &str, kind: &[&str]) -> String {
        let mut arguments = vec!["-q", "-N", "", "-C", name, "-f", name, "-t"];
        arguments.extend(kind);
        self.keygen(&arguments);
        self.public_line(name)
    }

    pub(crate) fn public_line(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.trim_end().to_owned()
    }

    /// Have `ca` sign `name` for this user; leaves `name-cert.pub`.
    pub(crate) fn sign(&self, ca: &str, name: &str, more: &[&str]) {
        let principal = self.user.clone();
        let mut arguments = vec!["-q", "-s", ca, "-I", "an id"];
        if !more.contains(&"-n") {
            arguments.extend(["-n", &principal]);
        }
        arguments.extend(more.iter().filter(|word| **word != "no-principals"));
        if more.contains(&"no-principals") {
            arguments.retain(|word| *word != "-n" && *word != principal);
        }
        let file = format!("{name}.pub");
        arguments.push(&file);
        self.keygen(&arguments);
    }

    pub(crate) fn load(&self) -> (KeySet, Vec<String>) {
        let (set, errors) = KeySet::load(&self.sources, None);
        (set, errors.iter().map(ToString::to_string).collect())
    }

    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        Certificate::read_file(&self.path(&format!("{name}-cert.pub"))).unwrap()
    }

    /// What podssh says to the certificate of `name`, if there is one, else to its key.
    pub(crate) fn decide(&self, name: &str, peer: &str) -> Result<Grant, Denied> {
        let (set, _) = self.load();
        let peer: IpAddr = peer.parse().unwrap();
        if self.path(&format!("{name}-cert.pub")).exists() {
            let certificate = self.certificate(name);
            return self.ask(&set, Credential::Certificate(&certificate), peer);
        }
        let key = PublicKey::read_openssh_file(self.path(&format!("{name}.pub"))).unwrap();
        self.ask(&set, Credential::Key(&key), peer)
    }

    pub(crate) fn ask(
        &self,
        set: &KeySet,
        credential: Credential<'_>,
        peer: IpAddr,
    ) -> Result<Grant, Denied> {
        let algorithm = match credential {
            Credential::Key(key) => key.algorithm(),
            Credential::Certificate(certificate) => certificate.algorithm(),
        };
        let algorithm = if algorithm.clone().is_rsa() {
            "rsa-sha2-512"
        } else {
            algorithm.as_str()
        };
        let (user, now) = (&self.user, SystemTime::now());
        set.authorize(&Offer {
            credential,
            algorithm,
            sk_flags: Some(1),
            peer,
            user,
            now,
        })
    }
}

#[track_caller]
pub(crate) fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
