//! podssh behind a real Envoy, with the configuration the manifests ship.

#[path = "../harness/mod.rs"]
mod harness;

#[test]
fn x() {
    let daemon = harness::daemon::Daemon::start(|_| ());
    let output = daemon.ssh(["exit 42"]);
    assert_eq!(output.status.code(), Some(42));
}
