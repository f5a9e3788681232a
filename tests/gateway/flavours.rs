//! Every flavour of the route on a real Envoy that follows files as it follows a control plane: clusters and
//! route tables come and change, the listener stays.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::eg_shape::{EG_TABLE, eg_manager, eg_table};
use crate::envoy::{Envoy, WORKSPACE};
use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, eventually};
use crate::istio_shape;

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
            istio_shape::TABLE
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
            Self::Plain | Self::EnvoyGateway => {
                eg_table(&names, |name| Self::EnvoyGateway.cluster(name))
            }
            Self::IstioStatic => istio_shape::by_static_filter().1,
            Self::IstioPerWorkspace => istio_shape::by_filter_per_workspace(&names).1,
        };
        table["@type"] = json!("type.googleapis.com/envoy.config.route.v3.RouteConfiguration");
        json!({"resources": [table]})
    }

    fn bootstrap(self, xds: &Path) -> Value {
        let mut manager = match self {
            Self::Plain | Self::EnvoyGateway => eg_manager(),
            Self::IstioStatic => istio_shape::by_static_filter().0,
            Self::IstioPerWorkspace => istio_shape::by_filter_per_workspace(&[]).0,
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
