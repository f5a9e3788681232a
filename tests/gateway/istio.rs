//! The Istio flavour, as far as it goes without Istio, on a real Envoy.

use crate::envoy::WORKSPACE;
use crate::flavours::{Flavour, Gateway};
use crate::harness::daemon::Daemon;
use crate::harness::http::request;

#[test]
fn other_hosts_of_the_port_are_as_before() {
    let daemon = Daemon::start(|_| ());
    for flavour in [Flavour::IstioStatic, Flavour::IstioPerWorkspace] {
        let gateway = Gateway::before(flavour, &daemon);
        let head = "GET / HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n";
        let web = request(&gateway.envoy.gateway, head);
        assert_eq!(web.map(|(status, _)| status), Some(204), "{flavour:?}");
    }
}

#[test]
fn a_client_cannot_name_the_cluster_itself() {
    let daemon = Daemon::start(|_| ());
    let gateway = Gateway::before(Flavour::IstioStatic, &daemon);
    let head = format!(
        "CONNECT other.default.svc.cluster.local:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         x-ws-cluster: outbound|80||{WORKSPACE}\r\n\r\n"
    );
    let answer = request(&gateway.envoy.gateway, &head);
    assert_eq!(answer.map(|(status, _)| status), Some(403));
}
