//! Bulk data through the gateway: up and down by cat, scp and sftp, checksums equal.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::envoy::Envoy;
use crate::harness::client::Client;
use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, run};

/// Slow machines move a GiB in half a minute; a deadlock never ends.
const TRANSFER: Duration = Duration::from_secs(600);

struct Rig {
    daemon: Daemon,
    client: Client,
    local: tempfile::TempDir,
    _envoy: Envoy,
}

impl Rig {
    fn new() -> Self {
        let daemon = Daemon::start(|_| ());
        let envoy = Envoy::before(&daemon);
        let client = envoy.client_by_nc(&daemon);
        Self {
            daemon,
            client,
            local: tempfile::tempdir().expect("a temp dir"),
            _envoy: envoy,
        }
    }

    /// A file of `PODSSH_TRANSFER_BYTES` bytes, 1 GiB unless told otherwise, that does not compress.
    fn file(&self) -> PathBuf {
        let size = std::env::var("PODSSH_TRANSFER_BYTES")
            .ok()
            .and_then(|text| text.parse().ok());
        let path = self.local.path().join("up");
        let mut file = BufWriter::new(File::create(&path).expect("a file"));
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..size.unwrap_or(1_u64 << 30) / 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes())
                .expect("room on the disk");
        }
        file.flush().expect("room on the disk");
        path
    }
}

#[track_caller]
fn same_content(left: &Path, right: &Path) {
    let status = Command::new("cmp")
        .arg(left)
        .arg(right)
        .status()
        .expect("cmp");
    assert!(
        status.success(),
        "{} and {} differ",
        left.display(),
        right.display()
    );
}

/// Runs to its end with stdin and stdout as set: the data goes by file, not through this process.
#[track_caller]
fn succeeds(command: &mut Command) {
    let output = Command::new("timeout")
        .arg(TRANSFER.as_secs().to_string())
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .expect("timeout");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[test]
fn cat_moves_a_gibibyte_up_and_down() {
    let rig = Rig::new();
    let up = rig.file();
    let down = rig.local.path().join("down");
    let ssh = |command: &str, stdin: Stdio, stdout: Stdio| {
        let mut ssh = rig.client.command("ssh");
        let mut child = ssh
            .args(["workspace", command])
            .stdin(stdin)
            .stdout(stdout)
            .spawn();
        let child = child.as_mut().expect("ssh");
        let status = crate::harness::process::eventually("ssh ends", TRANSFER, || {
            child.try_wait().expect("our child")
        });
        assert!(status.success(), "{command}: {status}");
    };
    ssh(
        "cat > file",
        File::open(&up).expect("the file").into(),
        Stdio::null(),
    );
    same_content(&up, &rig.daemon.home().join("file"));
    ssh(
        "cat file",
        Stdio::null(),
        File::create(&down).expect("a file").into(),
    );
    same_content(&up, &down);
}

#[test]
fn scp_moves_a_gibibyte_up_and_down() {
    let rig = Rig::new();
    let up = rig.file();
    let down = rig.local.path().join("down");
    succeeds(
        rig.client
            .command("scp")
            .arg("-q")
            .arg(&up)
            .arg("workspace:file"),
    );
    same_content(&up, &rig.daemon.home().join("file"));
    succeeds(
        rig.client
            .command("scp")
            .arg("-q")
            .arg("workspace:file")
            .arg(&down),
    );
    same_content(&up, &down);
}

#[test]
fn sftp_moves_a_gibibyte_up_and_down() {
    let rig = Rig::new();
    let up = rig.file();
    let down = rig.local.path().join("down");
    let batch = format!("put {} file\nget file {}\n", up.display(), down.display());
    let mut sftp = rig.client.command("sftp");
    let output = run(
        sftp.args(["-q", "-b", "-", "workspace"]),
        batch.as_bytes(),
        TRANSFER,
    );
    assert!(output.status.success(), "{output:?}");
    same_content(&up, &rig.daemon.home().join("file"));
    same_content(&up, &down);
}

#[test]
fn rsync_copies_a_tree_with_its_times_and_modes() {
    let rig = Rig::new();
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/");
    let mut rsync = Command::new("rsync");
    rsync.args(["-a", "--no-owner", "--no-group", "-e"]);
    rsync.arg(format!("ssh -F {}", rig.client.config.display()));
    rsync.arg(&tree).arg("workspace:tree/");
    let output = run(&mut rsync, b"", PATIENCE);
    assert!(output.status.success(), "{output:?}");
    let mut diff = Command::new("diff");
    diff.arg("-r")
        .arg(&tree)
        .arg(rig.daemon.home().join("tree"));
    let output = run(&mut diff, b"", PATIENCE);
    assert!(output.status.success(), "{output:?}");
}
