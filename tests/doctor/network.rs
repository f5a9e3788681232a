//! Names.

use std::io;

use podssh::doctor::Severity::{Fault, Warning};

use crate::workspace::{Workspace, complaints, spoilt};

#[test]
fn a_resolver_without_a_server() {
    let fix = "dnsPolicy";
    let empty = |w: &mut Workspace| w.write("etc/resolv.conf", "search x.example\n");
    spoilt(empty, "network.dns", Fault, "no nameserver", fix);
    spoilt(
        |w| w.remove("etc/resolv.conf"),
        "network.dns",
        Fault,
        "no nameserver",
        fix,
    );
}

#[test]
fn a_cluster_whose_own_name_is_not_found() {
    let dead = |w: &mut Workspace| {
        w.surroundings.look_up = |name| {
            assert_eq!(name, "kubernetes.default.svc.cluster.local.");
            Err(io::Error::other("no answer"))
        };
    };
    spoilt(
        dead,
        "network.cluster",
        Fault,
        "not found: no answer",
        "port 53",
    );
    let mut outside = Workspace::healthy();
    outside.write("etc/resolv.conf", "nameserver 192.0.2.1\n");
    outside.surroundings.look_up = |name| panic!("asked for {name}");
    assert_eq!(complaints(&outside), []);
}

#[test]
fn a_name_that_was_asked_for() {
    let typo = |w: &mut Workspace| {
        w.surroundings.names = vec!["good.example".to_owned(), "bad.example".to_owned()];
        w.surroundings.look_up = |name| match name {
            "bad.example" => Err(io::Error::other("no such name")),
            _ => Ok(()),
        };
    };
    spoilt(
        typo,
        "network.name",
        Fault,
        "bad.example is not found",
        "correct the name",
    );
}

#[test]
fn a_machine_that_does_not_know_localhost() {
    let ipv6_only =
        |w: &mut Workspace| w.write("etc/hosts", "# 127.0.0.1 localhost\n::1 localhost\n");
    spoilt(
        ipv6_only,
        "network.localhost",
        Warning,
        "localhost",
        "127.0.0.1 localhost",
    );
}
