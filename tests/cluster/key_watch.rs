//! `serve --keys-from-secret`: a real daemon with a real token, and its keys in a Secret.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, PATIENCE, whole};
use crate::harness::daemon::{Daemon, Setup};
use crate::harness::process::eventually;

const SECRET: &str = "workspace-authorized-keys";

/// The objects of a workspace that watches its keys, with nobody's key.
#[track_caller]
pub(crate) fn prepare(plane: &ControlPlane, namespace: &str) {
    plane.must(&["create", "namespace", namespace]);
    let cli = crate::cli::Cli::of(plane);
    plane.apply(&cli.must(&[
        "render",
        "workspace",
        "--namespace",
        namespace,
        "--watch-keys",
    ]));
}

/// The Secret as a whole: one person each.
#[track_caller]
pub(crate) fn set_keys(plane: &ControlPlane, namespace: &str, people: &[(&str, &str)]) {
    let keys: serde_json::Map<_, _> = people
        .iter()
        .map(|(person, key)| ((*person).to_owned(), json!(key)))
        .collect();
    let nobody = json!([{"op": "replace", "path": "/data", "value": {}}]);
    patch(plane, namespace, "json", &nobody);
    patch(plane, namespace, "merge", &json!({"stringData": keys}));
}

/// Takes one person's key away.
#[track_caller]
pub(crate) fn revoke(plane: &ControlPlane, namespace: &str, person: &str) {
    let gone = json!([{"op": "remove", "path": format!("/data/{person}")}]);
    patch(plane, namespace, "json", &gone);
}

#[track_caller]
fn patch(plane: &ControlPlane, namespace: &str, kind: &str, patch: &Value) {
    let (kind, patch) = (format!("--type={kind}"), patch.to_string());
    plane.must(&[
        "patch", "secret", SECRET, "-n", namespace, &kind, "-p", &patch,
    ]);
}

/// A daemon as the kubelet would start it: a token of the workspace's account, the CA, the namespace.
#[track_caller]
pub(crate) fn serve(plane: &ControlPlane, namespace: &str) -> (Daemon, String) {
    serve_by(
        plane,
        namespace,
        plane.server.trim_start_matches("https://"),
    )
}

/// The same, with the API server at `HOST:PORT`, and the daemon's public key.
#[track_caller]
pub(crate) fn serve_by(plane: &ControlPlane, namespace: &str, api: &str) -> (Daemon, String) {
    let token = plane.must(&["create", "token", "workspace", "-n", namespace]);
    let mut public = String::new();
    let daemon = Daemon::start(|setup| {
        public = fs::read_to_string(setup.identity().with_extension("pub")).expect("a public key");
        fs::remove_dir_all(setup.authorized_keys()).expect("the mount's stand-in");
        let credentials = setup.home().join("credentials");
        fs::create_dir(&credentials).expect("a directory");
        fs::write(credentials.join("token"), token.trim()).expect("a token");
        fs::write(credentials.join("namespace"), namespace).expect("a namespace");
        fs::copy(
            plane.path("certificates/apiserver.crt"),
            credentials.join("ca.crt"),
        )
        .expect("a CA");
        setup.args(["--keys-from-secret", SECRET, "--api-credentials"]);
        setup.args([&credentials]);
        api_at(setup, api);
    });
    (daemon, public)
}

fn api_at(setup: &mut Setup, address: &str) {
    let (host, port) = address.rsplit_once(':').expect("HOST:PORT");
    setup.env("KUBERNETES_SERVICE_HOST", host);
    setup.env("KUBERNETES_SERVICE_PORT", port);
}

/// A session that stays open until its input ends.
#[track_caller]
fn open_session(daemon: &Daemon) -> Child {
    let mut command = daemon.client.command("ssh");
    let started = command
        .args(["workspace", "echo in; cat"])
        .stdin(Stdio::piped());
    let mut child = started
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("ssh");
    let mut first = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut first)
        .expect("logged in");
    child
}

/// Until logging in works, or does not.
#[track_caller]
pub(crate) fn login_becomes(daemon: &Daemon, wanted: bool) {
    eventually("logging in has changed", PATIENCE, || {
        (daemon.ssh(["true"]).status.success() == wanted).then_some(())
    });
}

/// Until the session has ended; how long that took.
#[track_caller]
fn ended(session: &mut Child, since: Instant) -> Duration {
    eventually("the session ends", PATIENCE, || {
        session.try_wait().expect("our child")
    });
    since.elapsed()
}

#[test]
fn a_key_that_leaves_the_secret_ends_its_sessions_in_well_under_a_second() {
    let plane = whole();
    let namespace = "ws-watch";
    prepare(plane, namespace);
    let (daemon, key) = serve(plane, namespace);
    assert!(
        !daemon.ssh(["true"]).status.success(),
        "the placeholder lets nobody in"
    );
    set_keys(plane, namespace, &[("me", &key)]);
    login_becomes(&daemon, true);

    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let mut session = open_session(&daemon);
        // From before the request to the end of the client: both take their share.
        let since = Instant::now();
        revoke(plane, namespace, "me");
        quickest = quickest.min(ended(&mut session, since));
        set_keys(plane, namespace, &[("me", &key)]);
        login_becomes(&daemon, true);
    }
    eprintln!("revoked by the API in {quickest:?}, kubectl included");
    assert!(quickest < Duration::from_secs(2), "{quickest:?}");

    // A Secret that is gone means nobody.
    let mut session = open_session(&daemon);
    plane.must(&["delete", "secret", SECRET, "-n", namespace]);
    ended(&mut session, Instant::now());
    login_becomes(&daemon, false);
}

#[test]
fn an_outage_of_the_api_changes_nothing_and_what_changed_meanwhile_counts_after_it() {
    let plane = ControlPlane::start();
    let namespace = "ws-outage";
    prepare(&plane, namespace);
    let (daemon, key) = serve(&plane, namespace);
    set_keys(&plane, namespace, &[("me", &key)]);
    login_becomes(&daemon, true);
    // Other Secrets move on, so that the version the watch has seen is too old for a new API server.
    for name in ["a", "b", "c"] {
        plane.must(&["create", "secret", "generic", name, "-n", namespace]);
    }

    plane.stop_api();
    eventually("the daemon has noticed", PATIENCE, || {
        daemon.log().contains("cannot be watched").then_some(())
    });
    assert!(
        daemon.ssh(["true"]).status.success(),
        "the last good keys stay in force"
    );

    plane.start_api();
    revoke(&plane, namespace, "me");
    login_becomes(&daemon, false);
    set_keys(&plane, namespace, &[("me", &key)]);
    login_becomes(&daemon, true);
    assert!(
        daemon.log().contains("reading the Secret again"),
        "the old version was too old: {}",
        daemon.log()
    );
}

#[test]
fn a_right_that_is_missing_is_said_and_once_given_used() {
    let plane = whole();
    let namespace = "ws-unbound";
    prepare(plane, namespace);
    plane.must(&[
        "delete",
        "rolebinding",
        "workspace-watch-keys",
        "-n",
        namespace,
    ]);
    let (daemon, key) = serve(plane, namespace);
    set_keys(plane, namespace, &[("me", &key)]);
    eventually("the daemon says what is missing", PATIENCE, || {
        daemon.log().contains("is forbidden").then_some(())
    });
    prepare_binding(plane, namespace);
    login_becomes(&daemon, true);
}

fn prepare_binding(plane: &ControlPlane, namespace: &str) {
    let account = format!("--serviceaccount={namespace}:workspace");
    let role = "--role=workspace-watch-keys";
    plane.must(&[
        "create",
        "rolebinding",
        "workspace-watch-keys",
        "-n",
        namespace,
        role,
        &account,
    ]);
}

#[test]
fn without_the_flag_no_token_is_read_and_nobody_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("its address").to_string();
    let mut token = None;
    let daemon = Daemon::start(|setup| {
        let credentials = setup.home().join("credentials");
        fs::create_dir(&credentials).expect("a directory");
        // Whoever opens it to read stays there, and is seen from the other end.
        let path = credentials.join("token");
        mkfifo(&path, Mode::from_bits_truncate(0o644)).expect("a FIFO");
        token = Some(path);
        setup.args([Path::new("--api-credentials"), credentials.as_path()]);
        api_at(setup, &address);
    });
    assert!(daemon.ssh(["true"]).status.success());
    assert!(listener.accept().is_err(), "somebody asked the API");
    let writer = OpenOptions::new()
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(token.expect("set"));
    assert_eq!(
        writer.err().and_then(|error| error.raw_os_error()),
        Some(nix::libc::ENXIO)
    );
    assert!(!daemon.log().contains("KUBERNETES"));
}
