//! A running workspace container and an ssh client for it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

use crate::engine::{docker, docker_ok};
use crate::harness::client::Client;
use crate::harness::daemon::{generate_key, write_secret};
use crate::harness::http::get;
use crate::harness::process::{PATIENCE, eventually};

/// What a pod with the restricted security context gets, in Docker's words.
pub(crate) const HARDENED: &[&str] = &[
    "--read-only",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--tmpfs",
    "/tmp:mode=1777,exec",
    // The kubelet hands an emptyDir to the pod's fsGroup.
    "--tmpfs",
    "/run/podssh:gid=100",
];

/// The pod's `fsGroup`: owns the volumes, and every process has it as a supplementary group.
const FS_GROUP: u32 = 100;

/// What outlives a container: its volumes and its client.
pub(crate) struct Place {
    root: TempDir,
}

impl Place {
    /// An empty home that the group may write, and keys mounted as the kubelet mounts a Secret under
    /// `fsGroup`.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("podssh-image-")
            .tempdir()
            .expect("a temp dir");
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let place = Self { root };
        fs::create_dir(place.path("client")).expect("a directory");
        let public = generate_key(&place.path("client/id_ed25519"));
        write_secret(&place.path("keys"), &[("tester", public.as_bytes())]);
        fs::create_dir(place.home()).expect("a directory");
        // Not the user's own, as on a fresh volume: only fsGroup makes it writable.
        share(&place.home(), FS_GROUP, 0o2775);
        let key = fs::canonicalize(place.path("keys/tester")).expect("the key's file");
        share(&key, FS_GROUP, 0o440);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The volume mounted as home, as seen from outside.
    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Starts `image` as `user` (`uid:gid`) with these options and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(self: &Arc<Self>, image: &str, user: &str, options: &[&str]) -> Container {
        let home = format!("{}:/home/jovyan", self.home().display());
        self.start_at(&home, image, user, options, &[])
    }

    /// The same with another `home` volume and a command for the image.
    #[track_caller]
    pub(crate) fn start_at(
        self: &Arc<Self>,
        home: &str,
        image: &str,
        user: &str,
        options: &[&str],
        command: &[&str],
    ) -> Container {
        let keys = self.path("keys");
        let keys = format!("{}:/etc/podssh/authorized_keys:ro", keys.display());
        let group = FS_GROUP.to_string();
        let mut args = vec!["run", "--detach", "--user", user, "--group-add", &group];
        args.extend(["--volume", home, "--volume", &keys]);
        for port in ["127.0.0.1::2222", "127.0.0.1::9090"] {
            args.extend(["--publish", port]);
        }
        args.extend(["--env", "PODSSH_GRACE=5s"]);
        args.extend(options);
        args.push(image);
        args.extend(command);
        let id = docker_ok(&args);
        let (address, admin) = ready(&id);
        // Started as root, it serves jovyan.
        let user = if user == "0:0" { "1000:100" } else { user };
        let identity = self.path("client/id_ed25519");
        let host_keys = host_keys(&id, user, &self.path("client/host_keys"));
        let client = Client::new(
            &self.path("client"),
            "jovyan",
            &address,
            &identity,
            &host_keys,
        );
        Container {
            client,
            address,
            admin,
            id,
            user: user.to_owned(),
            place: Arc::clone(self),
        }
    }
}

/// Waits until it is ready, and yields where it answers SSH and where the admin pages.
#[track_caller]
fn ready(id: &str) -> (String, String) {
    let running = || docker_ok(&["inspect", "--format", "{{.State.Running}}", id]) == "true";
    let port = |port: &str| {
        assert!(running(), "it ended at start:\n{}", logs(id));
        docker_ok(&["port", id, port])
    };
    let (address, admin) = (port("2222/tcp"), port("9090/tcp"));
    eventually("the workspace is ready", PATIENCE, || {
        if get(&admin, "/readyz").0 == 200 {
            return Some(());
        }
        assert!(running(), "it ended at start:\n{}", logs(id));
        None
    });
    (address, admin)
}

/// Its host key, wherever it is kept, in a directory of ours.
#[track_caller]
fn host_keys(id: &str, user: &str, directory: &Path) -> PathBuf {
    let script = "for d in /home/jovyan/.local/state/podssh /run/podssh /tmp/podssh-$(id -u); do \
                  cat $d/host_keys/ssh_host_ed25519_key 2>/dev/null && exit; done; exit 1";
    let key = docker_ok(&["exec", "--user", user, id, "sh", "-c", script]);
    fs::create_dir_all(directory).expect("a directory");
    let path = directory.join("ssh_host_ed25519_key");
    fs::write(&path, format!("{key}\n")).expect("the host key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    directory.to_owned()
}

/// A running container; removed on drop.
pub(crate) struct Container {
    /// An OpenSSH client set up to reach it as host `workspace`.
    pub(crate) client: Client,
    /// Where it answers SSH.
    pub(crate) address: String,
    /// Where it answers /livez, /readyz and /metrics.
    pub(crate) admin: String,
    id: String,
    user: String,
    place: Arc<Place>,
}

impl Container {
    /// Starts `image` hardened as `user` (`uid:gid`), with a home of its own.
    #[track_caller]
    pub(crate) fn start(image: &str, user: &str, further: &[&str]) -> Self {
        Self::start_command(image, user, further, &[])
    }

    /// The same, with a command (in Kubernetes' words: args) after the image.
    #[track_caller]
    pub(crate) fn start_command(
        image: &str,
        user: &str,
        further: &[&str],
        command: &[&str],
    ) -> Self {
        let place = Arc::new(Place::new());
        let home = format!("{}:/home/jovyan", place.home().display());
        let options = [HARDENED, further].concat();
        place.start_at(&home, image, user, &options, command)
    }

    /// Runs a command in a session and yields its standard output; it must exit 0.
    #[track_caller]
    pub(crate) fn session(&self, command: &str) -> String {
        let output = self.client.ssh([command]);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// The volume mounted as home, as seen from outside.
    pub(crate) fn home(&self) -> PathBuf {
        self.place.home()
    }

    /// Runs a program in the container beside podssh, as the workspace user.
    #[track_caller]
    pub(crate) fn exec(&self, program: &[&str]) -> String {
        let args = ["exec", "--user", &self.user, &self.id];
        docker_ok(&[&args, program].concat())
    }

    /// What `podssh status` tells.
    #[track_caller]
    pub(crate) fn status(&self) -> serde_json::Value {
        let told = self.exec(&["podssh", "status", "--json"]);
        serde_json::from_str(&told).expect("one JSON document")
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        logs(&self.id)
    }

    /// Sends its first process a signal.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        docker_ok(&["kill", "--signal", name, &self.id]);
    }

    /// Asks it to stop as a cluster does, and yields its exit code.
    #[track_caller]
    pub(crate) fn stop(&self) -> String {
        docker_ok(&["stop", "--time", "30", &self.id]);
        self.exit_code()
    }

    /// Waits for it to end, and yields its exit code.
    #[track_caller]
    pub(crate) fn exit_code(&self) -> String {
        docker_ok(&["wait", &self.id])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "--- container log ---\n{}--- end of container log ---",
                logs(&self.id)
            );
        }
        docker(&["rm", "--force", &self.id]);
    }
}

fn logs(id: &str) -> String {
    let output = docker(&["logs", id]);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Gives a path to root and `group`. Tests that do not run as root keep their own uid; then the
/// container's users reach it as others.
fn share(path: &Path, group: u32, mode: u32) {
    let owned = chown(path, Some(0), Some(group)).is_ok();
    let mode = if owned {
        mode
    } else {
        mode | ((mode >> 3) & 0o7)
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}
