//! The endpoint of a workspace's Service, as the cluster's own controllers would write it of a ready pod.

use std::net::{IpAddr, UdpSocket};

use serde_json::{Value, json};

use crate::harness::daemon::Daemon;

/// The object; without an address that of a workspace that is stopped.
pub(crate) fn endpoint(name: &str, namespace: &str, address: Option<&str>) -> Value {
    let split = |address: &str| {
        let (host, port) = address.rsplit_once(':').expect("HOST:PORT");
        (host.to_owned(), port.parse::<u16>().expect("a port"))
    };
    let (host, port) = address.map(split).unzip();
    let ready = |host| json!({"addresses": [host], "conditions": {"ready": true}});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}
        },
        "endpoints": host.map(ready).into_iter().collect::<Vec<_>>(),
        "ports": [{"name": "tcp-ssh", "port": port.unwrap_or(2222), "protocol": "TCP"}]
    })
}

/// A daemon where an endpoint may be, and that address.
#[track_caller]
pub(crate) fn daemon() -> (Daemon, String) {
    let place = format!("{}:0", machine());
    let daemon = Daemon::start(|setup| setup.args(["--listen", &place]));
    let log = daemon.log();
    let place = format!("listen={}:", machine());
    let rest = log.split_once(&place).expect("it says where it listens").1;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (daemon, format!("{}:{port}", machine()))
}

/// An address where nobody listens.
pub(crate) fn nowhere() -> String {
    let listener = std::net::TcpListener::bind((machine(), 0)).expect("a port");
    listener.local_addr().expect("bound").to_string()
}

/// An address of this machine that is no loopback one: the API server takes none of those for an endpoint.
#[track_caller]
pub(crate) fn machine() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Nothing is sent.
    let routed = socket.connect("192.0.2.1:9");
    routed.expect("a route, for an address of this machine that is no loopback one");
    socket.local_addr().expect("bound").ip()
}
