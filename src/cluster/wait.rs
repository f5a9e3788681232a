//! Waiting for a workspace to be ready, and hearing meanwhile what the cluster says.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::core::ResourceExt;

use super::connection::Connection;
use super::name::Name;
use super::stage::{Doing, Stage, stage};
use super::stateful_set::HOME;
use super::trouble::Trouble;
use crate::exit_code;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(700);

/// A workspace that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its pod was made from an older template, and stays until somebody deletes it.
    pub outdated: bool,
}

impl Connection {
    /// Until the pod is ready, or `patience` is over; `seen` hears of every look.
    pub async fn wait_until_ready(
        &self,
        name: &Name,
        patience: Duration,
        mut seen: impl FnMut(&Stage),
    ) -> Result<Ready, Trouble> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let (stage, outdated) = self.look(name).await?;
            seen(&stage);
            if stage.doing == Doing::Ready {
                return Ok(Ready { outdated });
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(too_late(name, patience, &stage));
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn look(&self, name: &Name) -> Result<(Stage, bool), Trouble> {
        let doing = format!("watch workspace {name} start");
        let pod_name = name.with("0");
        let pod = self
            .typed::<Pod>()
            .get_opt(&pod_name)
            .await
            .map_err(self.trouble(&doing))?;
        let set = self.typed::<StatefulSet>().get_opt(name.as_ref()).await;
        let set = set.map_err(self.trouble(&doing))?;
        if set.as_ref().and_then(|set| set.spec.as_ref()?.replicas) == Some(0) {
            let sentence = format!(
                "workspace {name} is stopped (replicas is 0); start it with kubectl scale statefulset {name} --replicas=1"
            );
            return Err(Trouble::new(exit_code::UNAVAILABLE, sentence));
        }
        let newest = set.and_then(|set| set.status?.update_revision);
        let running = pod
            .as_ref()
            .and_then(|pod| pod.labels().get("controller-revision-hash").cloned());
        let outdated = newest.is_some() && running.is_some() && newest != running;
        let events = self.events_about(name, &pod_name).await;
        Ok((stage(pod.as_ref(), &events), outdated))
    }

    /// What the cluster says about the pod, its claim and its StatefulSet. Who may not read events hears
    /// no reasons; the rest works.
    async fn events_about(&self, name: &Name, pod: &str) -> Vec<Event> {
        let claim = format!("{HOME}-{pod}");
        let about = [
            ("Pod", pod),
            ("PersistentVolumeClaim", &claim),
            ("StatefulSet", name.as_ref()),
        ];
        let mut events = Vec::new();
        for (kind, object) in about {
            let fields = format!("involvedObject.kind={kind},involvedObject.name={object}");
            let found = self
                .typed::<Event>()
                .list(&ListParams::default().fields(&fields))
                .await;
            events.extend(found.map(|found| found.items).unwrap_or_default());
        }
        events
    }
}

fn too_late(name: &Name, patience: Duration, stage: &Stage) -> Trouble {
    let after = humantime::format_duration(patience);
    let reason = stage
        .reason
        .as_deref()
        .unwrap_or("the cluster gives no reason");
    let sentence = format!(
        "workspace {name} is not ready after {after}, still {}: {}; {}",
        stage.doing.as_words(),
        reason.trim_end_matches('.'),
        stage.doing.next_step()
    );
    Trouble::new(exit_code::UNAVAILABLE, sentence)
}
