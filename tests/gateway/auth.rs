//! The gateway's own authentication, each way that manifests/gateway/auth shows: refused without, in words
//! that help; let through with.

use std::process::{Command, Stdio};

use crate::envoy::replace;
use crate::harness::daemon::Daemon;
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::harness::tools::python;
use crate::tls::{Door, carries_ssh};

const MTLS: &str = include_str!("../../manifests/gateway/auth/mtls/listener.yaml");
const JWT: &str = include_str!("../../manifests/gateway/auth/jwt/listener.yaml");
const EXT_AUTHZ: &str = include_str!("../../manifests/gateway/auth/ext-authz/listener.yaml");

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for words in words {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}

#[test]
fn mtls_lets_the_holder_of_a_client_certificate_through() {
    let daemon = Daemon::start(|_| ());
    let door = Door::before(&daemon, MTLS, |listener, _| listener);
    says(
        &door.refuses(""),
        &[
            "localhost:",
            "asks for a client certificate",
            "--gateway-cert",
        ],
    );
    let show = |name: &str| {
        let (cert, key) = (
            door.pki.text(&format!("{name}.crt")),
            door.pki.text(&format!("{name}.key")),
        );
        format!("--gateway-cert {cert} --gateway-key {key}")
    };
    says(
        &door.refuses(&show("stranger")),
        &["localhost:", "stranger.crt", "whom it lets in"],
    );
    carries_ssh(&door.client(&daemon, &show("alice")));

    let (cert, key, authority) = (
        door.pki.text("alice.crt"),
        door.pki.text("alice.key"),
        door.pki.text("authority.crt"),
    );
    let openssl = format!(
        r#"sh -c '{{ printf "CONNECT %h:%p HTTP/1.1\r\nHost: %h:%p\r\n\r\n"; exec cat; }} | openssl s_client -quiet -verify_return_error -CAfile {authority} -cert {cert} -key {key} -connect {} 2>/dev/null'"#,
        door.address
    );
    carries_ssh(&door.envoy.client(&daemon, &openssl));
}

#[test]
fn jwt_lets_the_holder_of_a_token_through() {
    let daemon = Daemon::start(|_| ());
    let door = Door::before(&daemon, JWT, |listener, pki| {
        replace(
            &listener,
            "/etc/envoy-jwks/jwks.json",
            &pki.text("jwks.json"),
        )
    });
    says(
        &door.refuses(""),
        &["401: Jwt is missing", "--gateway-token-file"],
    );
    let show = |name: &str| format!("--gateway-token-file {}", door.pki.text(name));
    says(
        &door.refuses(&show("token.expired")),
        &["401: Jwt is expired", "renew the token"],
    );
    says(
        &door.refuses(&show("token.forged")),
        &["401: Jwt verification fails", "does not accept"],
    );
    carries_ssh(&door.client(&daemon, &show("token")));

    let token = std::fs::read_to_string(door.pki.path("token")).expect("a token");
    let proxytunnel = format!(
        "proxytunnel -q -E -C {} -H 'Proxy-Authorization: Bearer {}' -p {} -d %h:%p",
        door.pki.text("authority.crt"),
        token.trim(),
        door.address
    );
    carries_ssh(&door.envoy.client(&daemon, &proxytunnel));
}

#[test]
fn a_grpc_service_decides_who_is_let_through() {
    let daemon = Daemon::start(|_| ());
    let directory = tempfile::tempdir().expect("a temp dir");
    let ready = directory.path().join("port");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/authz.py");
    let mut command = Command::new(python());
    command.arg(script).arg(&ready).stdin(Stdio::null());
    let service = Background::start(&mut command);
    let port = eventually("the service is up", PATIENCE, || {
        std::fs::read_to_string(&ready).ok()
    });
    let door = Door::before(&daemon, EXT_AUTHZ, |listener, _| {
        let shipped = "address: ssh-authz.ssh-gateway.svc.cluster.local, port_value: 9001";
        replace(
            &listener,
            shipped,
            &format!("address: 127.0.0.1, port_value: {port}"),
        )
    });
    says(
        &door.refuses(""),
        &["401: say who you are", "--gateway-token-file"],
    );
    let show = |name: &str| format!("--gateway-header 'Authorization: Bearer {name}'");
    says(
        &door.refuses(&show("alice")),
        &["403: alice may not enter ws-demo", "do not cover it"],
    );
    carries_ssh(&door.client(&daemon, &show("demo")));

    drop(service);
    let output = door
        .client(&daemon, &format!("--wait 1s {}", show("demo")))
        .ssh(["true"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(255), "{said}");
    says(&said, &["fault of its own (500)"]);
}
