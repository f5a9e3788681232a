//! What the route lets through, what its answers mean, and what a change of it does to open sessions.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use crate::envoy::{Envoy, WORKSPACE, replace};
use crate::harness::daemon::Daemon;
use crate::harness::http::request;
use crate::harness::process::PATIENCE;
use crate::session::Session;

/// An address where nothing listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").to_string()
}

/// The status of `CONNECT authority` in both HTTP versions, which must agree.
#[track_caller]
pub(crate) fn status(envoy: &Envoy, authority: &str) -> u16 {
    let answers = ["1.0", "1.1"].map(|version| {
        let head = format!(
            "CONNECT {authority} HTTP/{version}\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
        );
        request(&envoy.gateway, &head).map(|(status, _)| status)
    });
    assert_eq!(answers[0], answers[1], "HTTP/1.0 and 1.1 for {authority}");
    answers[0].unwrap_or_else(|| panic!("no answer for {authority}"))
}

#[test]
fn an_unknown_workspace_is_404_and_a_stopped_one_503() {
    let stopped = nowhere();
    let envoy = Envoy::start(&[(WORKSPACE, &stopped)], str::to_owned, &[]);
    assert_eq!(status(&envoy, "another.ws-demo.svc.cluster.local:80"), 404);
    assert_eq!(status(&envoy, &format!("{WORKSPACE}:80")), 503);
}

#[test]
fn there_is_no_way_to_anything_but_a_workspace() {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    for authority in [
        "127.0.0.1:22",
        &daemon.address,
        "[::1]:22",
        "localhost:80",
        "workspace.other.svc.cluster.local:80",
        "workspace.ws-demo.svc.cluster.local:22",
        "workspace.ws-demo.svc.cluster.local.example.com:80",
        "x.workspace.ws-demo.svc.cluster.local:80",
    ] {
        assert_eq!(status(&envoy, authority), 403, "{authority}");
    }
    let get = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        request(&envoy.gateway, &head).map(|(status, _)| status)
    };
    assert_eq!(
        get("/healthz"),
        Some(200),
        "the probe of the gateway's own pod"
    );
    assert_eq!(get("/"), Some(404));
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

#[test]
fn workspaces_come_change_and_go_without_closing_a_session() {
    let daemon = Daemon::start(|_| ());
    let second = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let client = envoy.client_by_nc(&daemon);
    let mut sessions: Vec<_> = (0..5).map(|_| Session::open(&client)).collect();
    let mut all_echo = |when: &str| {
        assert!(
            sessions.iter_mut().all(Session::echoes),
            "an open session after {when}"
        );
    };

    let first = (WORKSPACE, daemon.address.as_str());
    let name = "second.ws-demo.svc.cluster.local";
    assert_eq!(status(&envoy, &format!("{name}:80")), 404);
    envoy.set_workspaces(&[first, (name, &second.address)]);
    all_echo("another workspace came");
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

    envoy.set_workspaces(&[first, (name, &nowhere())]);
    all_echo("another workspace changed");
    envoy.set_workspaces(&[first]);
    all_echo("another workspace went");
    envoy.set_workspaces(&[]);
    all_echo("their own workspace left the list");
    assert_eq!(
        status(&envoy, &format!("{WORKSPACE}:80")),
        404,
        "new ones are refused"
    );
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
    let xds = bootstrap
        .split_once("watched_directory: {path: ")
        .expect("watched_directory")
        .1;
    let xds = xds.split_once('}').expect("a closing brace").0;
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
    fs::write(Path::new(xds).join("lds.yaml"), listener).expect("lds.yaml");
    let source = format!(
        "  lds_config:\n    resource_api_version: V3\n    path_config_source: {{path: {xds}/lds.yaml}}\n"
    );
    replace(rest, "static_resources:\n", &source)
}
