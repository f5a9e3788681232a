//! The route objects of kinds that are not Kubernetes' own, applied and removed where the kinds exist.
//!
//! The kinds are stand-ins that take any field: what the gateways make of the routes is shown beside, with
//! their own control planes.

use serde_json::{Value, json};

use crate::cli::Cli;
use crate::control_plane::ControlPlane;
use crate::harness::process::eventually;

/// A kind with any fields.
fn kind(group: &str, version: &str, kind: &str, plural: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            // Groups of *.k8s.io want a word on who agreed to it.
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in"}
        },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true
                }}
            }]
        }
    })
}

#[test]
fn routes_of_envoy_gateway_and_istio_are_applied_and_removed() {
    let plane = ControlPlane::start();
    for namespace in ["ws-routes", "ssh-gateway"] {
        plane.must(&["create", "namespace", namespace]);
    }
    plane.apply(&kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes").to_string());
    plane.apply(
        &kind(
            "networking.istio.io",
            "v1alpha3",
            "EnvoyFilter",
            "envoyfilters",
        )
        .to_string(),
    );
    let cli = Cli::of(&plane);
    for (gateway, namespace, plural, name) in [
        ("envoy-gateway", "ws-routes", "httproutes", "svc-a"),
        (
            "istio-per-workspace",
            "ssh-gateway",
            "envoyfilters",
            "ssh-svc-a.ws-routes",
        ),
    ] {
        let up = [
            "up",
            "svc-a",
            "-n",
            "ws-routes",
            "--timeout",
            "1s",
            "--gateway",
            gateway,
        ];
        // No controller runs here, so no pod comes: everything is applied, and the wait ends.
        let sentence = eventually("the kind is served", crate::control_plane::PATIENCE, || {
            let (sentence, _) = cli.fails(&up);
            (!sentence.contains("does not know this kind")).then_some(sentence)
        });
        assert!(
            sentence.contains("not ready after 1s, still creating the pod"),
            "{sentence}"
        );
        let route = plane.get(namespace, plural, name);
        assert!(
            route["spec"]
                .to_string()
                .contains("svc-a.ws-routes.svc.cluster.local"),
            "{route}"
        );
    }
    let said = cli.must(&["down", "svc-a", "-n", "ws-routes"]);
    assert!(said.contains("HTTPRoute svc-a deleted"), "{said}");
    assert!(
        said.contains("EnvoyFilter ssh-svc-a.ws-routes deleted"),
        "{said}"
    );
}
