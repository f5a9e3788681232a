//! What is counted, in Prometheus' terms. Labels are enums, so their number is in the types.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::activity::{Activity, Report};
use crate::keys::{KeyErrorKind, Keys};
use crate::shutdown::Tasks;

/// How a login went.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Login {
    Accepted,
    Refused,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LoginLabels {
    result: Login,
}

/// The daemon's figures.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Counter<u64, AtomicU64>,
    refused: Counter<u64, AtomicU64>,
    open: Gauge<i64, AtomicI64>,
    logins: Family<LoginLabels, Counter>,
    revoked: Counter<u64, AtomicU64>,
    activity: Activity,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("podssh");
        let (connections, refused, revoked) =
            (Counter::default(), Counter::default(), Counter::default());
        let open = Gauge::default();
        let logins = Family::default();
        registry.register("connections", "Connections accepted", connections.clone());
        registry.register(
            "connections_refused",
            "Connections refused by a limit",
            refused.clone(),
        );
        registry.register("connections_open", "Connections open now", open.clone());
        registry.register("logins", "Signed login attempts", logins.clone());
        registry.register(
            "revoked",
            "Connections ended because their key left",
            revoked.clone(),
        );
        Self {
            registry,
            connections,
            refused,
            open,
            logins,
            revoked,
            activity: Activity::default(),
        }
    }
}

/// How many tasks run when somebody looks: one that never ends shows here.
#[derive(Debug)]
struct Running(Tasks);

impl Collector for Running {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figure = ConstGauge::new(self.0.running() as i64);
        figure.encode(encoder.encode_descriptor(
            "tasks",
            "Tasks running",
            None,
            MetricType::Gauge,
        )?)
    }
}

/// The key sources as they are when somebody looks.
#[derive(Debug)]
struct KeySources(Arc<Keys>);

impl Collector for KeySources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (set, problems) = (self.0.current(), self.0.errors());
        for (name, help, value) in [
            (
                "keys",
                "Keys and CAs that may log somebody in",
                set.len() as u64,
            ),
            (
                "keys_generation",
                "Number of the key set in force",
                set.generation(),
            ),
            (
                "keys_stale_sources",
                "Key sources that cannot be read and stand as they last did",
                set.stale_sources() as u64,
            ),
        ] {
            let figure = ConstGauge::new(value as i64);
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            figure.encode(gauge)?;
        }
        let help = "What is wrong with the key sources now, by kind";
        let mut gauge =
            encoder.encode_descriptor("keys_problems", help, None, MetricType::Gauge)?;
        for kind in KeyErrorKind::ALL {
            let of_kind = problems.iter().filter(|problem| problem.kind == kind);
            let labels = [("kind", kind.as_label())];
            ConstGauge::new(of_kind.count() as i64).encode(gauge.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A connection counted as open until dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge<i64, AtomicI64>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// With the figures of the key sources and of the daemon's tasks.
    pub fn of(keys: Arc<Keys>, tasks: Tasks) -> Self {
        let mut metrics = Self::default();
        let registry = &mut metrics.registry;
        registry.register_collector(Box::new(KeySources(keys)));
        registry.register_collector(Box::new(Running(tasks)));
        metrics
    }

    /// A connection was accepted.
    pub fn connected(&self) -> OpenConnection {
        self.connections.inc();
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// A connection was refused by a limit.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// A signed login attempt was judged.
    pub fn login(&self, result: Login) {
        self.logins.get_or_create(&LoginLabels { result }).inc();
    }

    /// A live connection was ended because its key left.
    pub fn revoked(&self) {
        self.revoked.inc();
    }

    /// A client did something.
    pub fn active(&self) {
        self.activity.touch();
    }

    /// When a client last did something, and what is open.
    pub fn activity(&self, programs: usize) -> Report {
        self.activity.report(self.open.get(), programs)
    }

    /// Everything, in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_connections_are_counted_until_they_leave() {
        let metrics = Metrics::default();
        let open = metrics.connected();
        metrics.login(Login::Accepted);
        let text = metrics.text();
        assert!(text.contains("podssh_connections_open 1"), "{text}");
        assert!(
            text.contains("podssh_logins_total{result=\"Accepted\"} 1"),
            "{text}"
        );
        drop(open);
        assert!(metrics.text().contains("podssh_connections_open 0"));
    }
}
