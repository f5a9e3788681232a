//! How far a workspace has come, and in the cluster's own words what holds it up. Pure: objects in, a
//! [`Stage`] out.

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it is doing, as `scheduling`.
    pub doing: Doing,
    /// What the cluster says holds it up, if it says so.
    pub reason: Option<String>,
}

/// The stages, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// No pod yet.
    Creating,
    /// No node yet.
    Scheduling,
    /// Its volumes are being attached.
    Mounting,
    /// Its image is being fetched.
    Pulling,
    /// Its program runs, or ran, and is not ready.
    Starting,
    /// It answers.
    Ready,
}

impl Doing {
    /// The stage for people.
    pub fn as_words(self) -> &'static str {
        match self {
            Self::Creating => "creating the pod",
            Self::Scheduling => "finding a node",
            Self::Mounting => "attaching the volumes",
            Self::Pulling => "pulling the image",
            Self::Starting => "starting",
            Self::Ready => "ready",
        }
    }

    /// What to do when it stays there.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::Creating => "correct what the reason names and run podssh up again",
            Self::Scheduling => {
                "free or add nodes, ask for less (--cpu, --memory, --gpus), or choose another --storage-class"
            }
            Self::Mounting => {
                "check the volume with kubectl describe pvc, or choose another --storage-class"
            }
            Self::Pulling => "check --image, and whether the nodes may pull it",
            Self::Starting => {
                "see kubectl logs, correct the image, and delete the pod to try again"
            }
            Self::Ready => "nothing",
        }
    }
}

/// What the pod and the events about it, its claim and its StatefulSet say.
pub(super) fn stage(pod: Option<&Pod>, events: &[Event]) -> Stage {
    let Some(status) = pod.and_then(|pod| pod.status.as_ref()) else {
        return Stage {
            doing: Doing::Creating,
            reason: warning(events, "StatefulSet", &[]),
        };
    };
    let conditions = status.conditions.iter().flatten();
    let condition = |kind: &str| conditions.clone().find(|condition| condition.type_ == kind);
    if condition("Ready").is_some_and(|ready| ready.status == "True") {
        return Stage {
            doing: Doing::Ready,
            reason: None,
        };
    }
    if let Some(scheduled) =
        condition("PodScheduled").filter(|scheduled| scheduled.status == "False")
    {
        // The scheduler says that a claim is unbound; why, the claim's own events say.
        let message = scheduled.message.as_ref();
        let unbound = message.is_some_and(|message| message.contains("PersistentVolumeClaim"));
        let claim = unbound.then(|| warning(events, "PersistentVolumeClaim", &[]));
        return Stage {
            doing: Doing::Scheduling,
            reason: claim.flatten().or_else(|| message.cloned()),
        };
    }
    let containers = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    if let Some(stage) = containers.clone().find_map(held_up) {
        return stage;
    }
    let started = containers.clone().any(|container| {
        container
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    });
    if started {
        let reason = warning(events, "Pod", &["Unhealthy", "BackOff"]);
        return Stage {
            doing: Doing::Starting,
            reason,
        };
    }
    match warning(events, "Pod", &["FailedMount", "FailedAttachVolume"]) {
        Some(reason) => Stage {
            doing: Doing::Mounting,
            reason: Some(reason),
        },
        None if condition("PodScheduled").is_none() => Stage {
            doing: Doing::Scheduling,
            reason: None,
        },
        None => Stage {
            doing: Doing::Pulling,
            reason: None,
        },
    }
}

/// A container that waits for a reason that will not go away by itself.
fn held_up(container: &ContainerStatus) -> Option<Stage> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let why = waiting.reason.as_deref()?;
    let doing = match why {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            Doing::Pulling
        }
        "CrashLoopBackOff"
        | "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError" => Doing::Starting,
        // ContainerCreating, PodInitializing: on its way.
        _ => return None,
    };
    let ended = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let ended = ended.map(|ended| {
        let message = ended
            .message
            .as_deref()
            .map(|message| format!(": {}", message.trim()));
        format!(
            "its program ended with {}{}",
            ended.exit_code,
            message.unwrap_or_default()
        )
    });
    let message = ended.or_else(|| waiting.message.clone());
    let reason = message.map_or_else(|| why.to_owned(), |message| format!("{why}: {message}"));
    Some(Stage {
        doing,
        reason: Some(reason),
    })
}

/// The latest warning about an object of that kind, for one of these reasons where some are given.
fn warning(events: &[Event], kind: &str, reasons: &[&str]) -> Option<String> {
    let about = |event: &&Event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        event.involved_object.kind.as_deref() == Some(kind)
            // FailedBinding, that no volume fits, is said in passing.
            && (event.type_.as_deref() == Some("Warning") || reason == "FailedBinding")
            && (reasons.is_empty() || reasons.contains(&reason))
    };
    let when = |event: &&Event| {
        let series = event
            .series
            .as_ref()
            .and_then(|series| series.last_observed_time.as_ref());
        let micro = series.or(event.event_time.as_ref()).map(|time| time.0);
        event.last_timestamp.as_ref().map(|time| time.0).max(micro)
    };
    let latest = events.iter().filter(about).max_by_key(when)?;
    latest
        .message
        .as_ref()
        .map(|message| message.trim().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "a-0"}, "status": status})).unwrap()
    }

    fn event(kind: &str, reason: &str, message: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": "e"}, "type": "Warning", "reason": reason, "message": message,
            "involvedObject": {"kind": kind}
        }))
        .unwrap()
    }

    fn waiting(reason: &str, message: &str) -> Pod {
        pod(&json!({
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{
                "name": "workspace", "ready": false, "restartCount": 3, "image": "", "imageID": "",
                "state": {"waiting": {"reason": reason, "message": message}}
            }]
        }))
    }

    #[test]
    fn without_a_pod_the_stateful_sets_own_events_tell_why() {
        let quota = event(
            "StatefulSet",
            "FailedCreate",
            "pods \"a-0\" is forbidden: exceeded quota",
        );
        let stage = stage(None, &[quota]);
        assert_eq!(stage.doing, Doing::Creating);
        assert!(stage.reason.unwrap().contains("exceeded quota"));
    }

    #[test]
    fn the_scheduler_and_the_claim_say_why_there_is_no_node() {
        let pod = |message: &str| {
            pod(&json!({"conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": message
            }]}))
        };
        let found = stage(Some(&pod("1 Insufficient memory.")), &[]);
        assert_eq!(found.doing, Doing::Scheduling);
        assert!(found.reason.unwrap().contains("Insufficient memory"));
        let claim = event(
            "PersistentVolumeClaim",
            "ProvisioningFailed",
            "storageclass \"fast\" not found",
        );
        assert!(
            stage(Some(&pod("unbound PersistentVolumeClaims")), &[claim])
                .reason
                .unwrap()
                .contains("\"fast\" not found")
        );
    }

    #[test]
    fn an_image_that_cannot_be_pulled_and_a_program_that_crashes_say_so() {
        let found = stage(Some(&waiting("ImagePullBackOff", "not found")), &[]);
        assert_eq!(found.doing, Doing::Pulling);
        assert_eq!(found.reason.unwrap(), "ImagePullBackOff: not found");
        let mut pod = waiting("CrashLoopBackOff", "back-off 40s");
        let statuses = pod
            .status
            .as_mut()
            .unwrap()
            .container_statuses
            .as_mut()
            .unwrap();
        statuses[0].last_state = serde_json::from_value(json!({
            "terminated": {"exitCode": 78, "message": "--user: nobody is called so"}
        }))
        .unwrap();
        let found = stage(Some(&pod), &[]);
        assert_eq!(found.doing, Doing::Starting);
        assert!(found.reason.unwrap().contains("ended with 78: --user"));
    }

    #[test]
    fn a_pod_on_its_way_has_a_stage_and_no_reason() {
        let found = stage(Some(&waiting("ContainerCreating", "")), &[]);
        assert_eq!((found.doing, found.reason), (Doing::Pulling, None));
        let mount = event("Pod", "FailedMount", "timed out waiting");
        let found = stage(Some(&waiting("ContainerCreating", "")), &[mount]);
        assert_eq!(found.doing, Doing::Mounting);
        let ready = pod(&json!({"conditions": [{"type": "Ready", "status": "True"}]}));
        assert_eq!(stage(Some(&ready), &[]).doing, Doing::Ready);
    }
}
