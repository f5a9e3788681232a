//! A real Envoy with the shipped configuration: only addresses, ports and the path of `cds.yaml` differ.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::harness::client::Client;
use crate::harness::daemon::Daemon;
use crate::harness::http::{get, status};
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::harness::tools;

const BOOTSTRAP: &str = include_str!("../../manifests/gateway/envoy/envoy.yaml");
const WORKSPACES: &str = include_str!("../../manifests/gateway/envoy/cds.yaml");

/// The name of the workspace in the shipped files.
pub(crate) const WORKSPACE: &str = "workspace.ws-demo.svc.cluster.local";

/// A running Envoy.
pub(crate) struct Envoy {
    /// Where it answers CONNECT, `127.0.0.1:PORT`.
    pub(crate) gateway: String,
    /// Where its admin page is, `127.0.0.1:PORT`.
    pub(crate) admin: String,
    directory: TempDir,
    _process: Background,
}

impl Envoy {
    /// The gateway as shipped, in front of one daemon.
    #[track_caller]
    pub(crate) fn before(daemon: &Daemon) -> Self {
        Self::start(&[(WORKSPACE, &daemon.address)], str::to_owned, &[])
    }

    /// The gateway with `workspaces` (name, address), a bootstrap changed by `change`, more arguments.
    #[track_caller]
    pub(crate) fn start(
        workspaces: &[(&str, &str)],
        change: impl FnOnce(&str) -> String,
        args: &[&str],
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        let xds = directory.path().join("xds");
        fs::create_dir(&xds).expect("a directory for cds.yaml");
        let bootstrap = [
            ("/etc/envoy-xds", xds.to_str().expect("a temp dir in UTF-8")),
            (
                "address: 127.0.0.1, port_value: 9901",
                "address: 127.0.0.1, port_value: 0",
            ),
            (
                "address: 0.0.0.0, port_value: 8080",
                "address: 127.0.0.1, port_value: 0",
            ),
        ]
        .iter()
        .fold(BOOTSTRAP.to_owned(), |text, (from, to)| {
            replace(&text, from, to)
        });
        fs::write(directory.path().join("envoy.yaml"), change(&bootstrap)).expect("envoy.yaml");
        write_workspaces(&directory, workspaces);
        Self::launch(directory, "ssh_connect", args)
    }

    /// With the `envoy.yaml` of a directory, once it has the listener `name`.
    #[track_caller]
    pub(crate) fn launch(directory: TempDir, name: &str, args: &[&str]) -> Self {
        let log = fs::File::create(directory.path().join("log")).expect("a log file");
        let admin_file = directory.path().join("admin");
        let mut process = Background::start(
            Command::new(tools::envoy())
                .arg("--config-path")
                .arg(directory.path().join("envoy.yaml"))
                .arg("--admin-address-path")
                .arg(&admin_file)
                .args([
                    "--disable-hot-restart",
                    "--concurrency",
                    "1",
                    "--log-level",
                    "warning",
                ])
                .args(args)
                .current_dir(directory.path())
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a second handle"))
                .stderr(log),
        );
        let mut ready = |what: &str, condition: &mut dyn FnMut() -> Option<String>| {
            eventually(what, PATIENCE, || {
                let log = || fs::read_to_string(directory.path().join("log")).unwrap_or_default();
                assert!(process.is_running(), "Envoy ended at start:\n{}", log());
                condition()
            })
        };
        let admin = ready("Envoy's admin page is up", &mut || {
            fs::read_to_string(&admin_file)
                .ok()
                .filter(|address| !address.is_empty())
        });
        let gateway = ready("Envoy listens", &mut || {
            let (200, _) = get(&admin, "/ready") else {
                return None;
            };
            listener(&admin, name)
        });
        Self {
            // Istio's listens everywhere.
            gateway: gateway.replace("0.0.0.0", "127.0.0.1"),
            admin,
            directory,
            _process: process,
        }
    }

    /// Where the listener `name` answers, `127.0.0.1:PORT`.
    #[track_caller]
    pub(crate) fn listener(&self, name: &str) -> String {
        eventually(name, PATIENCE, || listener(&self.admin, name))
    }

    /// Replaces the list of workspaces while Envoy runs, and waits until it has taken the new one.
    #[track_caller]
    pub(crate) fn set_workspaces(&self, workspaces: &[(&str, &str)]) {
        let before = self.stat("cluster_manager.cds.update_success");
        write_workspaces(&self.directory, workspaces);
        eventually("Envoy takes the new cds.yaml", PATIENCE, || {
            (self.stat("cluster_manager.cds.update_success") > before).then_some(())
        });
    }

    /// One counter or gauge of Envoy's own.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let (_, stats) = get(&self.admin, "/stats");
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    }

    /// The status of `CONNECT authority` in both HTTP versions, which must agree.
    #[track_caller]
    pub(crate) fn answer_to(&self, authority: &str) -> u16 {
        let answers = ["1.0", "1.1"].map(|version| {
            let head = format!(
                "CONNECT {authority} HTTP/{version}\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
            );
            status(&self.gateway, &head)
        });
        assert_eq!(answers[0], answers[1], "HTTP/1.0 and 1.1 for {authority}");
        answers[0].unwrap_or_else(|| panic!("no answer for {authority}"))
    }

    /// The directory whose files Envoy follows.
    pub(crate) fn xds(&self) -> PathBuf {
        self.directory.path().join("xds")
    }

    /// The daemon's ssh client, going through this gateway by `proxy_command`; `GATEWAY` in it stands
    /// for the address.
    pub(crate) fn client(&self, daemon: &Daemon, proxy_command: &str) -> Client {
        let proxy_command = proxy_command.replace("GATEWAY", &self.gateway);
        daemon.client.reaching(
            "gateway",
            &format!("  HostName {WORKSPACE}\n  Port 80\n  ProxyCommand {proxy_command}\n"),
        )
    }

    /// The same by a tool that ends when the gateway closes the tunnel. nc stays, and ssh then notices
    /// only when it next writes.
    pub(crate) fn client_by_proxytunnel(&self, daemon: &Daemon) -> Client {
        self.client(daemon, "proxytunnel -q -p GATEWAY -d %h:%p")
    }

    /// The same by the tool that is on most machines.
    pub(crate) fn client_by_nc(&self, daemon: &Daemon) -> Client {
        self.client(daemon, "nc -X connect -x GATEWAY %h %p")
    }
}

fn listener(admin: &str, name: &str) -> Option<String> {
    let (_, listeners) = get(admin, "/listeners");
    let prefix = format!("{name}::");
    let address = listeners
        .lines()
        .find_map(|line| line.strip_prefix(&prefix));
    address.map(str::to_owned)
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            eprintln!("--- Envoy log ---\n{log}--- end of Envoy log ---");
        }
    }
}

/// One cds.yaml entry per workspace, each the shipped one with another name and address. Envoy notices
/// a rename, not a write.
fn write_workspaces(directory: &TempDir, workspaces: &[(&str, &str)]) {
    let (head, entry) = WORKSPACES
        .split_once("resources:\n")
        .expect("resources: in cds.yaml");
    let mut text = format!("{head}resources:\n");
    for (name, address) in workspaces {
        let (host, port) = address.rsplit_once(':').expect("HOST:PORT");
        let entry = replace(
            entry,
            &format!("address: {WORKSPACE}, port_value: 80"),
            &format!("address: {host}, port_value: {port}"),
        );
        text.push_str(&replace(&entry, WORKSPACE, name));
    }
    if workspaces.is_empty() {
        text.replace_range(text.len() - 1.., " []\n");
    }
    let xds = directory.path().join("xds");
    fs::write(xds.join("cds.yaml.new"), text).expect("cds.yaml.new");
    fs::rename(xds.join("cds.yaml.new"), xds.join("cds.yaml")).expect("cds.yaml");
}

/// `str::replace` that insists on something to replace: a shipped file that changed must not turn a
/// test into one of something else.
#[track_caller]
pub(crate) fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(
        text.contains(from),
        "not in the shipped file any more: {from}"
    );
    text.replace(from, to)
}
