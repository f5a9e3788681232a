//! A real control plane on this machine: etcd, kube-apiserver, and where a test wants pods the controller
//! manager, the scheduler and kwok in the kubelet's place. Built by `build.sh`; everything on loopback, in a
//! directory of its own, gone with the test.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::process::{Background, eventually, run};
use crate::harness::tools::tool;
use crate::server::{built, free_port, start};

/// For what takes a second on an idle machine and these tests share two cores with everything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The administrator's token; other users are impersonated, or have a token of their own.
const ADMIN: &str = "test-admin";

/// A running control plane.
pub(crate) struct ControlPlane {
    /// What kubectl and podssh are pointed at.
    pub(crate) kubeconfig: PathBuf,
    /// Where the API server answers, `https://127.0.0.1:PORT`.
    pub(crate) server: String,
    port: u16,
    etcd: String,
    api: Mutex<Option<Background>>,
    others: Vec<Background>,
    directory: TempDir,
}

impl ControlPlane {
    /// The API server alone: objects are stored and checked, and nothing is done about them.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        let (etcd, database) = start_etcd(directory.path());
        let port = free_port();
        let plane = Self {
            kubeconfig: directory.path().join("kubeconfig"),
            server: format!("https://127.0.0.1:{port}"),
            port,
            etcd,
            api: Mutex::new(None),
            others: vec![database],
            directory,
        };
        plane.write_credentials();
        plane.start_api();
        plane
    }

    /// With everything that makes pods of a StatefulSet and has them run.
    #[track_caller]
    pub(crate) fn start_whole() -> Self {
        let mut plane = Self::start();
        let kubeconfig = plane.kubeconfig.to_str().expect("UTF-8").to_owned();
        let key = plane.path("sa");
        let authority = plane.path("certificates/apiserver.crt");
        let manager = plane.program(
            "kubernetes",
            "kube-controller-manager",
            &[
                format!("--kubeconfig={kubeconfig}"),
                format!("--service-account-private-key-file={key}"),
                format!("--root-ca-file={authority}"),
                "--controllers=statefulset-controller,serviceaccount-controller,\
                 resourcequota-controller,root-ca-certificate-publisher-controller,\
                 persistentvolume-binder-controller,\
                 persistentvolumeclaim-protection-controller,\
                 garbage-collector-controller,disruption-controller"
                    .replace(' ', ""),
                "--leader-elect=false".to_owned(),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={}", free_port()),
                format!("--cert-dir={}", plane.path("manager")),
                "--resource-quota-sync-period=5s".to_owned(),
                "--pvclaimbinder-sync-period=2s".to_owned(),
            ],
        );
        let scheduler = plane.program(
            "kubernetes",
            "kube-scheduler",
            &[
                format!("--kubeconfig={kubeconfig}"),
                "--leader-elect=false".to_owned(),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={}", free_port()),
                format!("--cert-dir={}", plane.path("scheduler")),
            ],
        );
        let kubelet = plane.program(
            "kwok",
            "kwok",
            &[
                format!("--kubeconfig={kubeconfig}"),
                format!("--config={}", built("kwok").join("stages.yaml").display()),
                "--manage-all-nodes=false".to_owned(),
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".to_owned(),
            ],
        );
        plane.others.extend([manager, scheduler, kubelet]);
        plane
    }

    /// Ends the API server, as an upgrade of the control plane does.
    pub(crate) fn stop_api(&self) {
        self.api
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        eventually("the API server has gone", PATIENCE, || {
            TcpStream::connect(("127.0.0.1", self.port))
                .is_err()
                .then_some(())
        });
    }

    /// Starts the API server again, on the same port and data.
    #[track_caller]
    pub(crate) fn start_api(&self) {
        let key = self.path("sa");
        let arguments = [
            format!("--etcd-servers={}", self.etcd),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--cert-dir={}", self.path("certificates")),
            format!("--token-auth-file={}", self.path("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={key}"),
            format!("--service-account-signing-key-file={key}"),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--shutdown-delay-duration=0s".to_owned(),
        ];
        let mut api = self.program("kubernetes", "kube-apiserver", &arguments);
        eventually("the API server is ready", PATIENCE, || {
            assert!(api.is_running(), "{}", self.log("kube-apiserver"));
            let ready = self.kubectl(&["get", "--raw", "/readyz"]);
            ready.status.success().then_some(())
        });
        *self.api.lock().unwrap_or_else(PoisonError::into_inner) = Some(api);
    }

    /// kubectl as the administrator, to its end.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_with(arguments, "")
    }

    /// The same with standard input.
    #[track_caller]
    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(tool("PODSSH_KUBECTL", "venv/bin/kubectl"));
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .env("HOME", self.directory.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        run(&mut command, input.as_bytes(), PATIENCE)
    }

    /// kubectl that must succeed; its output.
    #[track_caller]
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        succeeded(arguments, self.kubectl(arguments))
    }

    /// Applies YAML or JSON.
    #[track_caller]
    pub(crate) fn apply(&self, text: &str) -> String {
        let arguments = ["apply", "--server-side", "-f", "-"];
        succeeded(&arguments, self.kubectl_with(&arguments, text))
    }

    /// One object as the API server has it.
    #[track_caller]
    pub(crate) fn get(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let text = self.must(&["get", kind, name, "-n", namespace, "-o", "json"]);
        serde_json::from_str(&text).expect("JSON")
    }

    /// Waits until an object is there and holds what is asked of it.
    #[track_caller]
    pub(crate) fn wait_for<T>(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        eventually(&format!("{kind} {name}"), PATIENCE, || {
            let output = self.kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]);
            let object = serde_json::from_slice(&output.stdout).ok()?;
            wanted(&object)
        })
    }

    /// Waits for an event with that reason; its message.
    #[track_caller]
    pub(crate) fn wait_for_event(&self, namespace: &str, reason: &str) -> String {
        eventually(&format!("an event {reason}"), PATIENCE, || {
            let text = self.must(&["get", "events", "-n", namespace, "-o", "json"]);
            let events: Value = serde_json::from_str(&text).expect("JSON");
            let mut events = events["items"].as_array().expect("items").iter();
            let event = events.find(|event| event["reason"] == reason)?;
            event["message"].as_str().map(str::to_owned)
        })
    }

    /// A new namespace, held to a Pod Security level.
    #[track_caller]
    pub(crate) fn namespace(&self, name: &str, level: &str) {
        self.must(&["create", "namespace", name]);
        let label = format!("pod-security.kubernetes.io/enforce={level}");
        self.must(&["label", "namespace", name, &label]);
    }

    /// A path in this control plane's directory.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory
            .path()
            .join(name)
            .to_str()
            .expect("UTF-8")
            .to_owned()
    }

    /// The end of a program's log.
    pub(crate) fn log(&self, program: &str) -> String {
        let log = fs::read_to_string(self.path(&format!("{program}.log"))).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn write_credentials(&self) {
        let tokens = format!("{ADMIN},admin,admin,\"system:masters\"\nbob-token,bob,bob\n");
        fs::write(self.path("tokens.csv"), tokens).expect("tokens");
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f"]);
        let output = run(keygen.arg(self.path("sa")), b"", PATIENCE);
        assert!(output.status.success(), "{output:?}");
        fs::write(&self.kubeconfig, self.kubeconfig_for(ADMIN)).expect("a kubeconfig");
    }

    /// A kubeconfig for whoever has `token`; the API server writes the CA when it starts.
    pub(crate) fn kubeconfig_for(&self, token: &str) -> String {
        let authority = self.path("certificates/apiserver.crt");
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: here, cluster: {{server: \"{}\", certificate-authority: \"{authority}\"}}}}]\n\
             users: [{{name: me, user: {{token: {token}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: here, user: me}}}}]\n",
            self.server
        )
    }

    fn program(&self, server: &str, program: &str, arguments: &[String]) -> Background {
        self.start_beside(&built(server).join(program), arguments, &[])
    }

    /// Another program beside it, with its log here.
    #[track_caller]
    pub(crate) fn start_beside(
        &self,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, &str)],
    ) -> Background {
        start(self.directory.path(), program, arguments, environment)
    }

    /// Installs the kinds of a file, and waits until they are served.
    #[track_caller]
    pub(crate) fn install_kinds(&self, file: &Path) {
        let file = file.to_str().expect("UTF-8");
        self.must(&["apply", "--server-side", "-f", file]);
        let established = "--for=condition=Established";
        self.must(&["wait", established, "crd", "--all", "--timeout=120s"]);
    }
}

#[track_caller]
fn succeeded(arguments: &[&str], output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn start_etcd(directory: &Path) -> (String, Background) {
    let client = format!("http://127.0.0.1:{}", free_port());
    let peer = format!("http://127.0.0.1:{}", free_port());
    let data = directory.join("etcd");
    let arguments = [
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=error".to_owned(),
    ];
    let program = built("etcd").join("etcd");
    (client, start(directory, &program, &arguments, &[]))
}

/// The whole control plane that tests share, each in namespaces of its own.
#[track_caller]
pub(crate) fn whole() -> &'static ControlPlane {
    static WHOLE: std::sync::LazyLock<ControlPlane> =
        std::sync::LazyLock::new(ControlPlane::start_whole);
    &WHOLE
}
