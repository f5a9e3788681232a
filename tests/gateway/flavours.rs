//! Every flavour of the route on a real Envoy that follows files as it follows a control plane: clusters and
//! route tables come and change, the listener stays.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::envoy::{Envoy, WORKSPACE};
use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, eventually};
use crate::istio;

/// Which of manifests/gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flavour {
    Plain,
    IstioStatic,
    IstioPerWorkspace,
    EnvoyGateway,
}

pub(crate) const FLAVOURS: [Flavour; 4] = [
    Flavour::Plain,
    Flavour::IstioStatic,
    Flavour::IstioPerWorkspace,
    Flavour::EnvoyGateway,
];

/// The name of Envoy Gateway's route table.
const EG_TABLE: &str = "ssh-gateway/ssh/http";

/// One flavour's Envoy.
pub(crate) struct Gateway {
    flavour: Flavour,
    pub(crate) envoy: Envoy,
}

impl Gateway {
    /// In front of one daemon.
    #[track_caller]
    pub(crate) fn before(flavour: Flavour, daemon: &Daemon) -> Self {
        Self::start(flavour, &[(WORKSPACE, &daemon.address)])
    }

    /// With `workspaces` (name, address).
    #[track_caller]
    pub(crate) fn start(flavour: Flavour, workspaces: &[(&str, &str)]) -> Self {
        if flavour == Flavour::Plain {
            let envoy = Envoy::start(workspaces, str::to_owned, &[]);
            return Self { flavour, envoy };
        }
        let bootstrap = |shipped: &str| {
            let xds = xds_of(shipped);
            put(&xds, "clusters", &flavour.clusters(workspaces));
            put(&xds, "routes", &flavour.routes(workspaces));
            flavour.bootstrap(&xds).to_string()
        };
        let envoy = Envoy::start(&[], bootstrap, &[]);
        Self { flavour, envoy }
    }

    /// Replaces the workspaces as this flavour's control plane does, and waits until Envoy has taken them.
    #[track_caller]
    pub(crate) fn set(&self, workspaces: &[(&str, &str)]) {
        if self.flavour == Flavour::Plain {
            return self.envoy.set_workspaces(workspaces);
        }
        let xds = self.envoy.xds();
        let clusters = self.flavour.clusters(workspaces);
        self.taken("cluster_manager.cds.update_success", || {
            put(&xds, "clusters", &clusters);
        });
        let table = self.flavour.table();
        if self.flavour != Flavour::IstioStatic {
            let routes = self.flavour.routes(workspaces);
            self.taken(&format!("http.gateway.rds.{table}.update_success"), || {
                put(&xds, "routes", &routes);
            });
        }
    }

    #[track_caller]
    fn taken(&self, counter: &str, change: impl FnOnce()) {
        let before = self.envoy.stat(counter);
        change();
        eventually(counter, PATIENCE, || {
            (self.envoy.stat(counter) > before).then_some(())
        });
    }
}

impl Flavour {
    fn table(self) -> &'static str {
        if self == Self::EnvoyGateway {
            EG_TABLE
        } else {
            istio::TABLE
        }
    }

    /// What the control plane calls a workspace's cluster.
    fn cluster(self, name: &str) -> String {
        match self {
            Self::Plain => format!("{name}:80"),
            Self::IstioStatic | Self::IstioPerWorkspace => format!("outbound|80||{name}"),
            Self::EnvoyGateway => format!("httproute/ws-demo/{name}/rule/0"),
        }
    }

    fn clusters(self, workspaces: &[(&str, &str)]) -> Value {
        let cluster = |(name, address): &(&str, &str)| {
            let (host, port) = address.rsplit_once(':').expect("HOST:PORT");
            let port: u16 = port.parse().expect("a port");
            let name = self.cluster(name);
            json!({
                "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
                "name": name, "type": "STATIC", "connect_timeout": "5s",
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{
                    "endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}
                }]}]}
            })
        };
        json!({"resources": workspaces.iter().map(cluster).collect::<Vec<_>>()})
    }

    fn routes(self, workspaces: &[(&str, &str)]) -> Value {
        let names: Vec<&str> = workspaces.iter().map(|(name, _)| *name).collect();
        let mut table = match self {
            Self::Plain | Self::EnvoyGateway => eg_table(&names),
            Self::IstioStatic => istio::by_static_filter().1,
            Self::IstioPerWorkspace => istio::by_filter_per_workspace(&names).1,
        };
        table["@type"] = json!("type.googleapis.com/envoy.config.route.v3.RouteConfiguration");
        json!({"resources": [table]})
    }

    fn bootstrap(self, xds: &Path) -> Value {
        let mut manager = match self {
            Self::Plain | Self::EnvoyGateway => eg_manager(),
            Self::IstioStatic => istio::by_static_filter().0,
            Self::IstioPerWorkspace => istio::by_filter_per_workspace(&[]).0,
        };
        let follow = |file: &str| {
            let path = xds.join(format!("{file}.json"));
            json!({"resource_api_version": "V3", "path_config_source": {"path": path, "watched_directory": {"path": xds}}})
        };
        manager["rds"] =
            json!({"route_config_name": self.table(), "config_source": follow("routes")});
        let local = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
        json!({
            "node": {"id": "gateway", "cluster": "gateway"},
            "admin": {"address": local},
            "dynamic_resources": {"cds_config": follow("clusters")},
            "static_resources": {"listeners": [{
                "name": "ssh_connect", "address": local,
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager", "typed_config": manager
                }]}]
            }]}
        })
    }
}

/// The connection manager that Envoy Gateway 1.9.1 makes (its own `http-connect-terminate` case), with what
/// our ClientTrafficPolicy adds.
fn eg_manager() -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "http_protocol_options": {"accept_http_10": true},
        "http2_protocol_options": {
            "initial_connection_window_size": 1_048_576, "initial_stream_window_size": 65536, "max_concurrent_streams": 100
        },
        "stream_idle_timeout": "0s",
        "merge_slashes": true,
        "normalize_path": true,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": true,
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": true
            }
        }]
    })
}

/// Its route table, with what our BackendTrafficPolicy makes of one HTTPRoute a workspace.
fn eg_table(workspaces: &[&str]) -> Value {
    let host = |name: &&str| {
        json!({
            "name": format!("{EG_TABLE}/{}", name.replace('.', "_")),
            "domains": [name],
            "routes": [{
                "match": {"connect_matcher": {}},
                "route": {
                    "cluster": Flavour::EnvoyGateway.cluster(name),
                    "idle_timeout": "0s",
                    "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]
                }
            }]
        })
    };
    json!({
        "name": EG_TABLE,
        "ignore_port_in_host_matching": true,
        "virtual_hosts": workspaces.iter().map(host).collect::<Vec<_>>()
    })
}

/// Where the shipped bootstrap of this run looks for its workspaces.
pub(crate) fn xds_of(bootstrap: &str) -> PathBuf {
    let rest = bootstrap
        .split_once("watched_directory: {path: ")
        .expect("watched_directory")
        .1;
    rest.split_once('}').expect("a closing brace").0.into()
}

/// Envoy notices a rename, not a write.
fn put(xds: &Path, file: &str, resources: &Value) {
    let new = xds.join(format!("{file}.new"));
    fs::write(&new, resources.to_string()).expect("a file");
    fs::rename(&new, xds.join(format!("{file}.json"))).expect("a file");
}
