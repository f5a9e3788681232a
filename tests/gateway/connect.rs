//! What `podssh connect` says when there is no tunnel, and that it never says it on standard output.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::envoy::{Envoy, WORKSPACE};
use crate::harness::daemon::{Daemon, binary};
use crate::harness::process::{PATIENCE, run};
use crate::tls::Pki;

/// A gateway that answers each connection with the next of `answers`, the last one again and again, and
/// then hangs up; yields its address, and each request's head.
fn gateway(answers: &[&[u8]]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let (sender, heads) = channel();
    let mut answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let answer = answers[0].clone();
            if answers.len() > 1 {
                answers.remove(0);
            }
            let head = read_head(&mut stream);
            stream.write_all(&answer).ok();
            if sender.send(head).is_err() {
                return;
            }
        }
    });
    (address, heads)
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head in ASCII")
}

fn connect(args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(variable);
    }
    command.arg("connect").args(args).args([WORKSPACE, "80"]);
    run(&mut command, b"", PATIENCE)
}

/// It ends with `code`, says all `words`, and standard output is empty.
#[track_caller]
fn fails(args: &[&str], code: i32, words: &[&str]) {
    let output = connect(args);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}: {:?}", output.stdout);
    for words in words {
        assert!(said.contains(words), "{args:?}: no {words:?} in {said}");
    }
}

#[test]
fn every_refusal_is_a_sentence_with_host_status_and_next_step() {
    for (answer, code, words) in [
        (
            &b"HTTP/1.1 404 Not Found\r\n\r\n"[..],
            69,
            &[WORKSPACE, "404", "check its name"][..],
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            77,
            &[WORKSPACE, "403", "does not route"],
        ),
        (
            b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nwho?",
            77,
            &["401: who?", "--gateway-token-file"],
        ),
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            77,
            &["407", "--gateway-header"],
        ),
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
            69,
            &["503", "kubectl get pods -n ws-demo"],
        ),
        (
            b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            69,
            &["502", "cannot reach the workspace"],
        ),
        (
            b"HTTP/1.1 429 Too Many Requests\r\n\r\n",
            69,
            &["429", "wait"],
        ),
        (
            b"HTTP/1.1 405 Method Not Allowed\r\n\r\n",
            69,
            &["405", "CONNECT enabled"],
        ),
        (
            b"HTTP/1.1 301 Moved\r\nLocation: https://gw.example.com/\r\n\r\n",
            69,
            &["301", "https://gw.example.com/"],
        ),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            69,
            &["SSH server", "leave --gateway out"],
        ),
        (
            b"\x1b[2J220 mail.example.com ESMTP\r\n",
            69,
            &["no HTTP gateway", "220 mail"],
        ),
        (
            b"\x15\x03\x01\x00\x02\x02\x46",
            69,
            &["speaks TLS", "https://"],
        ),
        (b"", 69, &["hung up without an answer"]),
    ] {
        let (address, _heads) = gateway(&[answer]);
        let said = [&[address.as_str()], words].concat();
        fails(
            &["--wait", "100ms", "--gateway", &format!("http://{address}")],
            code,
            &said,
        );
    }
}

#[test]
fn no_answer_no_listener_and_no_host_are_told_apart() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("bound").to_string();
    fails(
        &["--wait", "300ms", "--gateway", &address],
        69,
        &[&address, "has not answered CONNECT", "10 s"],
    );
    drop(silent);
    fails(
        &["--wait", "300ms", "--gateway", &address],
        69,
        &[&address, "refuses connections"],
    );
    let words = ["cannot look up the gateway gw.invalid:80"];
    fails(
        &["--wait", "300ms", "--gateway", "http://gw.invalid"],
        69,
        &words,
    );
    fails(
        &["--wait", "300ms"],
        69,
        &["cannot look up the workspace", "none is given by --gateway"],
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_sent() {
    let pki = Pki::new();
    let (cert, key) = (pki.text("alice.crt"), pki.text("stranger.key"));
    let no_token = pki.path("jwks.json").with_file_name("none");
    fs::write(&no_token, "\n").expect("an empty file");
    let no_token = no_token.to_str().expect("UTF-8");
    for (args, code, words) in [
        (
            &["--gateway", "ftp://gw"][..],
            64,
            &["ftp://gw", "https://HOST"][..],
        ),
        (&["--gateway", "http://gw/path"], 64, &["http://gw/path"]),
        (
            &["--gateway", "http://gw", "--gateway-token-file", &cert],
            64,
            &["--gateway-token-file needs", "https://"],
        ),
        (
            &["--gateway", "http://gw", "--gateway-header", "no colon"],
            64,
            &["--gateway-header", "NAME: VALUE"],
        ),
        (
            &["--gateway", "https://gw", "--gateway-ca", "/no/such"],
            66,
            &["--gateway-ca /no/such", "No such file"],
        ),
        (
            &["--gateway", "https://gw", "--gateway-ca", &key],
            78,
            &["stranger.key", "no certificate"],
        ),
        (
            &["--gateway", "https://gw", "--gateway-key", &key],
            64,
            &["--gateway-key needs --gateway-cert"],
        ),
        (
            &["--gateway", "https://gw", "--gateway-cert", &cert],
            78,
            &["by default the file of --gateway-cert", "no private key"],
        ),
        (
            &[
                "--gateway",
                "https://gw",
                "--gateway-cert",
                &cert,
                "--gateway-key",
                &key,
            ],
            78,
            &["is not the one of"],
        ),
        (
            &[
                "--gateway",
                "https://gw.invalid",
                "--gateway-token-file",
                "/no/such",
            ],
            66,
            &["/no/such", "No such file"],
        ),
        (
            &[
                "--gateway",
                "https://gw.invalid",
                "--gateway-token-file",
                no_token,
            ],
            66,
            &[no_token, "is empty"],
        ),
    ] {
        fails(&[&["--wait", "100ms"], args].concat(), code, words);
    }
}

/// A TLS server with one of the certificates of pki.py.
fn tls_server(pki: &Pki, name: &str) -> String {
    let certificate = CertificateDer::from_pem_file(pki.path(&format!("{name}.crt"))).expect("PEM");
    let key = PrivateKeyDer::from_pem_file(pki.path(&format!("{name}.key"))).expect("PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a state");
            let mut stream = rustls::StreamOwned::new(connection, stream);
            read_head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nthrough").ok();
            stream.conn.send_close_notify();
            // Until the client has left: to close on what it still says would reset what we said.
            io::copy(&mut stream, &mut io::sink()).ok();
        }
    });
    format!("localhost:{port}")
}

#[test]
fn tls_fails_with_a_sentence_for_each_kind() {
    let pki = Pki::new();
    let authority = pki.text("authority.crt");
    for (server, authority, words) in [
        (
            tls_server(&pki, "server"),
            pki.text("clients.crt"),
            &["signed by no authority in", "clients.crt", "--gateway-ca"][..],
        ),
        (
            tls_server(&pki, "elsewhere"),
            authority.clone(),
            &["not for the name localhost", "gw.example.com"],
        ),
        (
            tls_server(&pki, "expired"),
            authority.clone(),
            &["has expired", "renew"],
        ),
        (
            tls_server(&pki, "early"),
            authority,
            &["not valid yet", "clock"],
        ),
    ] {
        let url = format!("https://{server}");
        let words = [&[server.as_str()], words].concat();
        fails(
            &[
                "--wait",
                "100ms",
                "--gateway",
                &url,
                "--gateway-ca",
                &authority,
            ],
            69,
            &words,
        );
    }
}

#[test]
fn the_systems_authorities_vouch_unless_others_are_given() {
    let pki = Pki::new();
    let server = tls_server(&pki, "server");
    let with = |authorities: &str| {
        let mut command = Command::new(binary());
        command
            .env("SSL_CERT_FILE", pki.path(authorities))
            .env_remove("SSL_CERT_DIR");
        command.args([
            "connect",
            "--gateway",
            &format!("https://{server}"),
            WORKSPACE,
            "80",
        ]);
        run(&mut command, b"", PATIENCE)
    };
    let output = with("authority.crt");
    assert_eq!(output.stdout, b"through", "{output:?}");
    let output = with("clients.crt");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("signed by no authority in this machine's list"),
        "{said}"
    );
}

#[test]
fn tls_meets_a_gateway_without_it_and_the_other_way_round() {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let url = format!("https://{}", envoy.gateway);
    let pki = Pki::new();
    let authority = pki.text("authority.crt");
    fails(
        &[
            "--wait",
            "100ms",
            "--gateway",
            &url,
            "--gateway-ca",
            &authority,
        ],
        69,
        &["does not speak TLS", "http://"],
    );
    let server = tls_server(&pki, "server");
    fails(
        &["--wait", "100ms", "--gateway", &format!("http://{server}")],
        69,
        &[&server, "https://"],
    );
}

#[test]
fn standard_output_carries_the_tunnels_bytes_and_nothing_else() {
    let bytes = crate::clients::megabyte();
    let answer = [&b"HTTP/1.1 200 OK\r\nserver: x\r\n\r\n"[..], &bytes].concat();
    let busy = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
    let (address, _heads) = gateway(&[busy, busy, &answer]);
    let output = connect(&["--gateway", &address]);
    assert!(output.stdout == bytes, "{} bytes came", output.stdout.len());
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        said.contains("(503)") && said.contains("trying for another"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "one reason is told once: {said}");
}

#[test]
fn further_headers_go_to_the_gateway() {
    let (address, heads) = gateway(&[b"HTTP/1.1 200 OK\r\n\r\n"]);
    let mut command = Command::new(binary());
    command.env("PODSSH_GATEWAY_HEADER", "X-One: a, b\nX-Two: c");
    command.args(["connect", "--gateway", &address, WORKSPACE, "80"]);
    assert!(run(&mut command, b"", PATIENCE).status.success());
    let head = heads.recv().expect("a request");
    let wanted = format!("CONNECT {WORKSPACE}:80 HTTP/1.1\r\nHost: {WORKSPACE}:80\r\n");
    assert!(head.starts_with(&wanted), "{head}");
    assert!(head.contains("\r\nx-one: a, b\r\nx-two: c\r\n"), "{head}");
}
