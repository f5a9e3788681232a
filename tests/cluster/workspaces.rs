//! Workspaces come, change and go in a real control plane, and the Envoy that follows it carries on.

use std::thread;

use serde_json::Value;

use crate::cli::Cli;
use crate::control_plane::{ControlPlane, PATIENCE};
use crate::endpoint::{daemon, endpoint, nowhere};
use crate::envoy::{Envoy, WORKSPACE};
use crate::harness::client::Client;
use crate::harness::http::status;
use crate::harness::process::eventually;
use crate::session::{Busy, Session};

/// The namespace of the shipped example.
const NAMESPACE: &str = "ws-demo";

/// Who makes workspaces, behind a gateway of one flavour of `podssh render`.
pub(crate) struct Operator<'a> {
    plane: &'a ControlPlane,
    flavour: &'a str,
}

impl<'a> Operator<'a> {
    #[track_caller]
    pub(crate) fn new(plane: &'a ControlPlane, flavour: &'a str) -> Self {
        plane.must(&["create", "namespace", NAMESPACE]);
        Self { plane, flavour }
    }

    /// What `podssh render` says of a workspace, and the endpoint its Service would get.
    #[track_caller]
    pub(crate) fn has(&self, name: &str, address: Option<&str>) {
        self.plane.apply(&self.render(name));
        let endpoint = endpoint(name, NAMESPACE, address);
        self.plane.apply(&endpoint.to_string());
    }

    /// Takes a workspace away, its endpoint with it, as the cluster's controllers would.
    #[track_caller]
    pub(crate) fn has_no(&self, name: &str) {
        let rendered = self.render(name);
        let delete = ["delete", "-f", "-", "--wait=false"];
        let output = self.plane.kubectl_with(&delete, &rendered);
        assert!(output.status.success(), "{output:?}");
        self.plane
            .must(&["delete", "endpointslice", name, "-n", NAMESPACE]);
    }

    #[track_caller]
    fn render(&self, name: &str) -> String {
        let cli = Cli::of(self.plane);
        let to = ["--namespace", NAMESPACE, "--gateway", self.flavour];
        cli.must(&[&["render", name][..], &to].concat())
    }
}

/// Until CONNECT to a workspace is answered so.
#[track_caller]
pub(crate) fn answer_becomes(envoy: &Envoy, host: &str, wanted: u16) {
    let authority = format!("{host}:80");
    let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    eventually(&format!("{host} is {wanted}"), PATIENCE, || {
        (status(&envoy.gateway, &head) == Some(wanted)).then_some(())
    });
    assert_eq!(envoy.answer_to(&authority), wanted);
}

/// Ten tunnels into one daemon, every other one busy.
struct Tunnels {
    idle: Vec<Session>,
    busy: Vec<Busy>,
}

impl Tunnels {
    #[track_caller]
    fn open(client: &Client) -> Self {
        let open = |_| {
            let client = client.clone();
            thread::spawn(move || Session::open(&client))
        };
        let opened: Vec<_> = (0..10).map(open).collect();
        let opened = opened.into_iter().map(|one| one.join().expect("opened"));
        let mut idle: Vec<Session> = opened.collect();
        let busy = idle.drain(5..).map(Busy::new).collect();
        Self { idle, busy }
    }

    #[track_caller]
    fn all_live(&mut self, when: &str) {
        assert!(self.idle.iter_mut().all(Session::echoes), "idle, {when}");
        assert!(self.busy.iter().all(Busy::goes_on), "busy, {when}");
    }
}

/// Workspaces come, change and go around tunnels, at last the tunnels' own. A workspace without a pod is
/// answered `stopped`.
#[track_caller]
pub(crate) fn come_change_and_go(operator: &Operator<'_>, envoy: &Envoy, stopped: u16) {
    let (daemon, address) = daemon();
    operator.has("workspace", Some(&address));
    answer_becomes(envoy, WORKSPACE, 200);
    let mut tunnels = Tunnels::open(&envoy.client_by_nc(&daemon));
    another_comes_changes_and_goes(operator, envoy, stopped, &mut tunnels);
    operator.has_no("workspace");
    answer_becomes(envoy, WORKSPACE, 404);
    tunnels.all_live("their own workspace went");
    for session in tunnels.busy {
        session.ends_byte_exact();
    }
    assert_eq!(envoy.stat("listener_manager.listener_modified"), 0);
    for (name, expected) in [
        ("workspace.default.svc.cluster.local:80", 403),
        ("kubernetes.default.svc.cluster.local:443", 403),
        ("example.com:443", 404),
        ("127.0.0.1:80", 404),
    ] {
        assert_eq!(envoy.answer_to(name), expected, "{name}");
    }
}

#[track_caller]
fn another_comes_changes_and_goes(
    operator: &Operator<'_>,
    envoy: &Envoy,
    stopped: u16,
    tunnels: &mut Tunnels,
) {
    let (daemon, address) = daemon();
    let host = "second.ws-demo.svc.cluster.local";
    assert_eq!(envoy.answer_to(&format!("{host}:80")), 404, "unknown");
    operator.has("second", Some(&address));
    answer_becomes(envoy, host, 200);
    tunnels.all_live("another workspace came");
    let way = format!(
        "  HostName {host}\n  Port 80\n  ProxyCommand nc -X connect -x {} %h %p\n",
        envoy.gateway
    );
    let output = daemon.client.reaching("second", &way).ssh(["exit 42"]);
    assert_eq!(output.status.code(), Some(42), "{output:?}");

    operator.has("second", Some(&nowhere()));
    answer_becomes(envoy, host, 503);
    tunnels.all_live("another workspace's pod went");
    operator.has("second", Some(&address));
    answer_becomes(envoy, host, 200);
    operator.has("second", None);
    answer_becomes(envoy, host, stopped);
    tunnels.all_live("another workspace was stopped");
    operator.has_no("second");
    answer_becomes(envoy, host, 404);
    tunnels.all_live("another workspace went");
}

/// The fields of `actual` that `known` does not have, by name.
pub(crate) fn more(actual: &Value, known: &Value) -> Vec<String> {
    let fields = actual.as_object().expect("a message").keys();
    let mut more: Vec<_> = fields.filter(|name| known.get(name).is_none()).collect();
    more.sort();
    more.into_iter().cloned().collect()
}

/// Fails unless all of `expected` is in `actual`: messages field by field, lists in order, all else equal.
/// tests/gateway runs the one, a control plane has made the other.
#[track_caller]
pub(crate) fn holds(actual: &Value, expected: &Value, path: &str) {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            for (name, expected) in expected {
                let found = actual.get(name).unwrap_or(&Value::Null);
                holds(found, expected, &format!("{path}.{name}"));
            }
        }
        (Value::Array(actual), Value::Array(expected)) => {
            let mut rest = actual.iter();
            for (at, expected) in expected.iter().enumerate() {
                let name = |value: &Value| value.get("name").cloned();
                let found = match name(expected) {
                    Some(wanted) => rest.find(|one| name(one).as_ref() == Some(&wanted)),
                    None => rest.next(),
                };
                let found = found.unwrap_or(&Value::Null);
                holds(found, expected, &format!("{path}[{at}]"));
            }
        }
        (actual, expected) => assert_eq!(actual, expected, "{path}"),
    }
}
