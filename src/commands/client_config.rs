//! The ssh client's side of a workspace: its Host block with the host key pinned, printed or installed as
//! files of our own below `~/.ssh/podssh`, which one line of `~/.ssh/config` includes.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What `~/.ssh/config` says; first, since ssh takes the first value it finds.
const INCLUDE: &str = "Include podssh/*.conf";
/// The image's user.
const USER: &str = "jovyan";

/// One workspace, as a client sees it.
pub(super) struct ClientConfig {
    /// `NAME`
    pub(super) name: String,
    /// `NAMESPACE`
    pub(super) namespace: String,
    /// The gateway's URL.
    pub(super) gateway: String,
    /// known_hosts lines.
    pub(super) known_hosts: Vec<String>,
}

impl ClientConfig {
    /// What clients ask the gateway for.
    pub(super) fn host(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name, self.namespace)
    }

    /// The Host block, with the host key in `known_hosts`.
    pub(super) fn block(&self, known_hosts: &Path, program: &Path) -> String {
        let Self {
            name,
            namespace,
            gateway,
            ..
        } = self;
        format!(
            "Host {name}.{namespace} {name}\n  HostName {}\n  Port 80\n  User {USER}\n  \
             UserKnownHostsFile {}\n  StrictHostKeyChecking yes\n  \
             ProxyCommand {} connect --gateway {gateway} %h %p\n",
            self.host(),
            quoted(known_hosts),
            quoted(program),
        )
    }

    /// Write the files; the configuration's path.
    pub(super) fn install(&self, ssh: &Path, program: &Path) -> io::Result<PathBuf> {
        let ours = ssh.join("podssh");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&ours)?;
        let (config, known_hosts) = files(&ours, &self.name, &self.namespace);
        write(&known_hosts, &(self.known_hosts.join("\n") + "\n"))?;
        write(&config, &self.block(&known_hosts, program))?;
        include(&ssh.join("config"))?;
        Ok(config)
    }
}

/// Remove what `install` wrote for one workspace; the include line may stay.
pub(super) fn uninstall(ssh: &Path, name: &str, namespace: &str) {
    let (config, known_hosts) = files(&ssh.join("podssh"), name, namespace);
    for path in [config, known_hosts] {
        // Never installed, or by somebody else: nothing to remove.
        let _ = fs::remove_file(path);
    }
}

/// `~/.ssh`, by HOME as ssh's own tools have it.
pub(super) fn ssh_directory() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(Path::new(&home).join(".ssh"))
}

fn files(ours: &Path, name: &str, namespace: &str) -> (PathBuf, PathBuf) {
    let file = |end: &str| ours.join(format!("{name}.{namespace}.{end}"));
    (file("conf"), file("known_hosts"))
}

/// Have `config` include ours, once.
fn include(config: &Path) -> io::Result<()> {
    let before = match fs::read_to_string(config) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    if before.lines().any(|line| line.trim() == INCLUDE) {
        return Ok(());
    }
    // It may be a link into somebody's dotfiles: write where it leads.
    let real = config.canonicalize().unwrap_or_else(|_| config.to_owned());
    write(&real, &format!("{INCLUDE}\n\n{before}"))
}

/// Whole or not at all, for the user only.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".podssh-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&temporary, path)
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(' ') {
        format!("\"{text}\"")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ClientConfig {
        ClientConfig {
            name: "svc-a".into(),
            namespace: "ws-alice".into(),
            gateway: "http://gw".into(),
            known_hosts: vec!["[svc-a.ws-alice.svc.cluster.local]:80 ssh-ed25519 AAAA".into()],
        }
    }

    #[test]
    fn installing_twice_includes_once_and_keeps_what_was_there() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("config"), "Host other\n  User x\n").unwrap();
        for _ in 0..2 {
            config()
                .install(home.path(), Path::new("/opt/my tools/podssh"))
                .unwrap();
        }
        let text = fs::read_to_string(home.path().join("config")).unwrap();
        assert_eq!(text, format!("{INCLUDE}\n\nHost other\n  User x\n"));
        let ours = fs::read_to_string(home.path().join("podssh/svc-a.ws-alice.conf")).unwrap();
        assert!(
            ours.contains(
                "ProxyCommand \"/opt/my tools/podssh\" connect --gateway http://gw %h %p"
            )
        );
        uninstall(home.path(), "svc-a", "ws-alice");
        assert_eq!(fs::read_dir(home.path().join("podssh")).unwrap().count(), 0);
    }
}
