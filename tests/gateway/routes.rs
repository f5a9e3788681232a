//! What the route lets through, what its answers mean, and what a change of it does to open sessions.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use crate::elsewhere::{Elsewhere, nowhere};
use crate::envoy::{Envoy, WORKSPACE, replace};
use crate::flavours::{FLAVOURS, Flavour, Gateway, xds_of};
use crate::harness::daemon::{Daemon, binary};
use crate::harness::http;
use crate::harness::process::{PATIENCE, run};
use crate::harness::tools::python;
use crate::session::{Busy, Session};
use crate::tls::carries_ssh;

#[test]
fn an_unknown_workspace_is_404_and_a_stopped_one_503() {
    let stopped = nowhere();
    for flavour in FLAVOURS {
        let gateway = Gateway::start(flavour, &[(WORKSPACE, &stopped)]);
        let envoy = &gateway.envoy;
        let unknown = envoy.answer_to("another.ws-demo.svc.cluster.local:80");
        assert_eq!(unknown, 404, "{flavour:?}");
        assert_eq!(
            envoy.answer_to(&format!("{WORKSPACE}:80")),
            503,
            "{flavour:?}"
        );
    }
}

#[test]
fn a_service_outside_the_namespaces_of_workspaces_is_403() {
    let daemon = Daemon::start(|_| ());
    for flavour in FLAVOURS {
        let gateway = Gateway::before(flavour, &daemon);
        for namespace in ["default", "w", "ws", "wsx", "x-ws-demo", "kube-system"] {
            let foreign = format!("workspace.{namespace}.svc.cluster.local:80");
            let answer = gateway.envoy.answer_to(&foreign);
            assert_eq!(answer, 403, "{flavour:?}: {foreign}");
        }
    }
}

#[test]
fn a_name_outside_the_cluster_is_403_by_plain_envoy_and_404_by_all_others() {
    let daemon = Daemon::start(|_| ());
    for flavour in FLAVOURS {
        let gateway = Gateway::before(flavour, &daemon);
        // Only plain Envoy's whole table is ours to write.
        let expected = if flavour == Flavour::Plain { 403 } else { 404 };
        for name in ["example.com:443", "10.0.0.1:80", "workspace.ws-demo:80"] {
            let answer = gateway.envoy.answer_to(name);
            assert_eq!(answer, expected, "{flavour:?}: {name}");
        }
    }
}

/// Names and addresses that a proxy without a list of its own would connect to; `PORT` is one where
/// somebody listens.
const NAMES: &[&str] = &[
    "127.0.0.1:PORT",
    "127.1:PORT",
    "2130706433:PORT",
    "0x7f000001:PORT",
    "0177.0.0.1:PORT",
    "0.0.0.0:PORT",
    "[::1]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "localhost:PORT",
    "169.254.169.254:80",
    "metadata.google.internal:80",
    "kubernetes.default.svc.cluster.local:443",
    "workspace.ws-demo.svc.cluster.local.:80",
    "workspace.ws-demo.svc.cluster.local.example.com:80",
    "x.workspace.ws-demo.svc.cluster.local:80",
    "workspace.ws-demo:80",
    "workspace:80",
    "workspace.ws-demo.svc.cluster.local:80@127.0.0.1:PORT",
    "workspace.ws-demo.svc.cluster.local%3a80@127.0.0.1:PORT",
    "127.0.0.1:PORT#workspace.ws-demo.svc.cluster.local:80",
    "outbound|80||workspace.ws-demo.svc.cluster.local:80",
];

#[test]
fn there_is_no_way_to_anything_but_a_workspace() {
    let daemon = Daemon::start(|_| ());
    let elsewhere = Elsewhere::new();
    let there = elsewhere.address();
    let (_, port) = there.rsplit_once(':').expect("HOST:PORT");
    for flavour in FLAVOURS {
        let gateway = Gateway::before(flavour, &daemon);
        let envoy = &gateway.envoy;
        let refused = |what: &str, head: &str| {
            let answer = http::status(&envoy.gateway, head);
            // Envoy hangs up on some of what is no HTTP.
            let refused = answer.is_none_or(|status| (400..500).contains(&status));
            assert!(refused, "{flavour:?}: {what}: {answer:?}");
        };
        let workspace = format!("{WORKSPACE}:80");
        for name in NAMES {
            let name = name.replace("PORT", port);
            for version in ["1.0", "1.1"] {
                // The workspace's name in a header helps nobody.
                refused(
                    &name,
                    &format!(
                        "CONNECT {name} HTTP/{version}\r\nHost: {workspace}\r\nX-Forwarded-Host: {workspace}\r\nConnection: close\r\n\r\n"
                    ),
                );
            }
        }
        for method in ["GET", "POST", "OPTIONS"] {
            let head = format!(
                "{method} http://{there}/ HTTP/1.1\r\nHost: {there}\r\nConnection: close\r\n\r\n"
            );
            refused(&head, &head);
            let head =
                format!("{method} / HTTP/1.1\r\nHost: {workspace}\r\nConnection: close\r\n\r\n");
            refused(&head, &head);
        }
        let upgrade = format!(
            "GET / HTTP/1.1\r\nHost: {workspace}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
        );
        refused(&upgrade, &upgrade);
    }
    elsewhere.was_left_alone();
}

#[test]
fn headers_do_not_lead_a_tunnel_elsewhere() {
    let daemon = Daemon::start(|_| ());
    let elsewhere = Elsewhere::new();
    let there = elsewhere.address();
    for flavour in FLAVOURS {
        let gateway = Gateway::before(flavour, &daemon);
        for header in [
            format!("Host: {there}"),
            format!("X-Forwarded-Host: {there}"),
            format!("X-Envoy-Original-Dst-Host: {there}"),
            format!("X-Ws-Cluster: {there}"),
            format!("Forwarded: host={there}"),
            "X-Envoy-Decorator-Operation: x".to_owned(),
        ] {
            let banner = banner(&gateway.envoy.gateway, &header);
            assert!(
                banner.starts_with("SSH-2.0-"),
                "{flavour:?}: {header}: {banner}"
            );
        }
    }
    elsewhere.was_left_alone();
}

/// The workspace's banner, by a CONNECT with one more header.
#[track_caller]
fn banner(gateway: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(gateway).expect("the gateway");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    write!(
        stream,
        "CONNECT {WORKSPACE}:80 HTTP/1.1\r\n{header}\r\n\r\n"
    )
    .expect("the request");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head = lines.by_ref().take_while(|line| !line.is_empty());
    let head: Vec<String> = head.collect();
    assert!(head[0].contains(" 200 "), "{head:?}");
    lines.next().unwrap_or_default()
}

/// What HTTP/2 makes of a list of authorities: status, then what the tunnel says first.
#[track_caller]
fn by_http2(gateway: &str, authorities: &[&str]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/h2connect.py");
    let mut command = Command::new(python());
    let output = run(
        command.arg(script).arg(gateway).args(authorities),
        b"",
        PATIENCE,
    );
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn http2_leads_to_workspaces_and_nowhere_else() {
    let daemon = Daemon::start(|_| ());
    let elsewhere = Elsewhere::new();
    let there = elsewhere.address();
    let workspace = format!("{WORKSPACE}:80");
    let envoy = Envoy::before(&daemon);
    let answers = by_http2(
        &envoy.gateway,
        &[
            &workspace,
            &there,
            "another.ws-demo.svc.cluster.local:80",
            "workspace.default.svc.cluster.local:80",
        ],
    );
    assert!(answers[0].starts_with("200 SSH-2.0-"), "{answers:?}");
    assert_eq!(answers[1..], ["403", "404", "403"]);
    elsewhere.was_left_alone();
}

#[test]
fn a_client_that_waits_for_the_banner_gets_it() {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let mut stream = TcpStream::connect(&envoy.gateway).expect("the gateway");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    write!(
        stream,
        "CONNECT {WORKSPACE}:80 HTTP/1.1\r\nHost: {WORKSPACE}:80\r\n\r\n"
    )
    .expect("the request");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(
        lines.next().is_some_and(|line| line.contains("200")),
        "CONNECT is accepted"
    );
    assert!(
        lines.any(|line| line.starts_with("SSH-2.0-")),
        "the banner, without a word from us"
    );
}

/// Twenty tunnels, every other one busy all the while, and the list of workspaces changes around them.
#[track_caller]
fn workspaces_come_change_and_go_without_closing_a_session(flavour: Flavour) {
    let daemon = Daemon::start(|_| ());
    let second = Daemon::start(|_| ());
    let gateway = Gateway::before(flavour, &daemon);
    let envoy = &gateway.envoy;
    let client = envoy.client_by_nc(&daemon);
    let open = |_| {
        let client = client.clone();
        thread::spawn(move || Session::open(&client))
    };
    let sessions: Vec<_> = (0..20).map(open).collect();
    let sessions = sessions
        .into_iter()
        .map(|session| session.join().expect("a session"));
    let mut sessions: Vec<Session> = sessions.collect();
    let busy: Vec<Busy> = sessions.drain(10..).map(Busy::new).collect();
    let mut all_live = |when: &str| {
        assert!(
            sessions.iter_mut().all(Session::echoes),
            "{flavour:?}: an idle session after {when}"
        );
        assert!(
            busy.iter().all(Busy::goes_on),
            "{flavour:?}: a busy session after {when}"
        );
    };

    let first = (WORKSPACE, daemon.address.as_str());
    let name = "second.ws-demo.svc.cluster.local";
    assert_eq!(envoy.answer_to(&format!("{name}:80")), 404);
    gateway.set(&[first, (name, &second.address)]);
    all_live("another workspace came");
    let config = format!(
        "  HostName {name}\n  Port 80\n  ProxyCommand nc -X connect -x {} %h %p\n",
        envoy.gateway
    );
    let output = second.client.reaching("second", &config).ssh(["exit 42"]);
    assert_eq!(
        output.status.code(),
        Some(42),
        "the new workspace: {output:?}"
    );

    gateway.set(&[first, (name, &nowhere())]);
    all_live("another workspace changed");
    gateway.set(&[first]);
    all_live("another workspace went");
    gateway.set(&[]);
    all_live("their own workspace left the list");
    assert_eq!(
        envoy.answer_to(&format!("{WORKSPACE}:80")),
        404,
        "new ones are refused"
    );
    for session in busy {
        session.ends_byte_exact();
    }
    assert_eq!(
        envoy.stat("listener_manager.listener_modified"),
        0,
        "{flavour:?}"
    );
}

#[test]
fn plain_envoy_changes_workspaces_without_closing_a_session() {
    workspaces_come_change_and_go_without_closing_a_session(Flavour::Plain);
}

#[test]
fn istios_static_filter_changes_workspaces_without_closing_a_session() {
    workspaces_come_change_and_go_without_closing_a_session(Flavour::IstioStatic);
}

#[test]
fn istios_filter_per_workspace_changes_workspaces_without_closing_a_session() {
    workspaces_come_change_and_go_without_closing_a_session(Flavour::IstioPerWorkspace);
}

#[test]
fn envoy_gateway_changes_workspaces_without_closing_a_session() {
    workspaces_come_change_and_go_without_closing_a_session(Flavour::EnvoyGateway);
}

#[test]
fn every_flavour_takes_clients_of_both_http_versions() {
    let daemon = Daemon::start(|_| ());
    for flavour in FLAVOURS {
        let gateway = Gateway::before(flavour, &daemon);
        carries_ssh(&gateway.envoy.client_by_nc(&daemon));
        let connect = format!(
            "{} connect --gateway http://GATEWAY %h %p",
            binary().display()
        );
        carries_ssh(&gateway.envoy.client(&daemon, &connect));
    }
}

/// Guards the design: were this test to fail, workspaces might as well be listener configuration.
#[test]
fn a_change_of_the_listener_closes_every_session() {
    let daemon = Daemon::start(|_| ());
    let workspaces = [(WORKSPACE, daemon.address.as_str())];
    let envoy = Envoy::start(&workspaces, listener_by_file, &["--drain-time-s", "5"]);
    let client = envoy.client_by_proxytunnel(&daemon);
    let mut session = Session::open(&client);

    let (path, new) = (
        envoy.xds().join("lds.yaml"),
        envoy.xds().join("lds.yaml.new"),
    );
    let listener = fs::read_to_string(&path).expect("lds.yaml");
    fs::write(&new, replace(&listener, "timeout: 0s", "timeout: 3600s")).expect("lds.yaml.new");
    fs::rename(&new, &path).expect("lds.yaml");
    assert!(
        session.ends_within(PATIENCE),
        "a session on the old listener ends with its drain time"
    );
    assert!(Session::open(&client).echoes(), "the new listener serves");
}

/// The shipped bootstrap with its one listener moved to a file that Envoy follows.
fn listener_by_file(bootstrap: &str) -> String {
    let xds = xds_of(bootstrap);
    let (rest, listeners) = bootstrap.split_once("  listeners:\n").expect("listeners");
    let mut listener = String::from("resources:\n");
    for line in listeners.lines() {
        writeln!(listener, "{}", line.strip_prefix("  ").unwrap_or(line)).expect("a String grows");
    }
    let kind = "- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n  name:";
    let listener = replace(
        &listener,
        "- name: ssh_connect\n",
        &format!("{kind} ssh_connect\n"),
    );
    fs::write(xds.join("lds.yaml"), listener).expect("lds.yaml");
    let source = format!(
        "  lds_config:\n    resource_api_version: V3\n    path_config_source: {{path: {}/lds.yaml}}\n",
        xds.display()
    );
    replace(rest, "static_resources:\n", &source)
}
