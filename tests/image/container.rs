//! A running workspace container and an ssh client for it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::TempDir;

use crate::engine::{docker, docker_ok};
use crate::harness::client::Client;
use crate::harness::daemon::{generate_key, write_secret};
use crate::harness::http::get;
use crate::harness::process::{PATIENCE, eventually};

/// What a pod with the restricted security context gets, in Docker's words.
const HARDENING: [&str; 9] = [
    "--read-only",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--tmpfs",
    "/tmp:mode=1777,exec",
    "--tmpfs",
    "/run/podssh:mode=1777",
];

/// The pod's `fsGroup`: owns the volumes, and every process has it as a supplementary group.
const FS_GROUP: u32 = 100;

/// A hardened container of one image; removed on drop.
pub(crate) struct Container {
    /// An OpenSSH client set up to reach it as host `workspace`.
    pub(crate) client: Client,
    id: String,
    root: TempDir,
}

impl Container {
    /// Starts `image` as `user` (`uid:gid`) with an empty home that the group may write, and keys
    /// mounted as the kubelet mounts a Secret under `fsGroup`; waits until it is ready.
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
        let root = tempfile::Builder::new()
            .prefix("podssh-image-")
            .tempdir()
            .expect("a temp dir");
        let path = |name: &str| root.path().join(name);
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        fs::create_dir(path("client")).expect("a directory");
        let identity = path("client/id_ed25519");
        let public = generate_key(&identity);
        write_secret(&path("keys"), &[("tester", public.as_bytes())]);
        fs::create_dir(path("home")).expect("a directory");
        // Not the user's own, as on a fresh volume: only fsGroup makes it writable.
        share(&path("home"), FS_GROUP, 0o2775);
        share(
            &fs::canonicalize(path("keys/tester")).expect("the key's file"),
            FS_GROUP,
            0o440,
        );

        let mounts = [
            format!("{}:/home/jovyan", path("home").display()),
            format!("{}:/etc/podssh/authorized_keys:ro", path("keys").display()),
        ];
        let group = FS_GROUP.to_string();
        let mut args = vec!["run", "--detach", "--user", user, "--group-add", &group];
        args.extend(HARDENING);
        args.extend(mounts.iter().flat_map(|mount| ["--volume", mount]));
        args.extend([
            "--publish",
            "127.0.0.1::2222",
            "--publish",
            "127.0.0.1::9090",
        ]);
        args.extend(["--env", "PODSSH_GRACE=5s"]);
        args.extend(further);
        args.push(image);
        args.extend(command);
        let id = docker_ok(&args);

        let running = || docker_ok(&["inspect", "--format", "{{.State.Running}}", &id]) == "true";
        let port = |port: &str| {
            assert!(running(), "it ended at start:\n{}", logs(&id));
            docker_ok(&["port", &id, port])
        };
        let (address, admin) = (port("2222/tcp"), port("9090/tcp"));
        eventually("the workspace is ready", PATIENCE, || {
            if get(&admin, "/readyz").0 == 200 {
                return Some(());
            }
            assert!(running(), "it ended at start:\n{}", logs(&id));
            None
        });
        let host_keys = path("home/.local/state/podssh/host_keys");
        let client = Client::new(&path("client"), "jovyan", &address, &identity, &host_keys);
        Self { client, id, root }
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
        self.root.path().join("home")
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
