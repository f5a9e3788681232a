//! What went wrong with a cluster, as one sentence: the object, the reason, what to do next.

use std::error::Error as _;
use std::fmt;

use kube::core::Status;
use kube::core::response::StatusCause;

use crate::exit_code;

/// What is wrong with one field is said in full up to this many bytes.
const LONGEST_FAULT: usize = 200;

/// A sentence, and the exit code that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// From `exit_code`.
    pub code: u8,
    /// For the user.
    pub sentence: String,
}

impl Trouble {
    pub(super) fn new(code: u8, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Self { code, sentence }
    }

    /// Of a request. `doing` says what was to be done, to which object: `apply Service svc-a`.
    pub(super) fn of(error: kube::Error, doing: &str, server: &str) -> Self {
        match error {
            kube::Error::Api(status) => of_status(&status, doing),
            other => {
                let sentence = format!(
                    "cannot {doing}: the API server at {server} cannot be reached: {}; check the context (kubectl config current-context) and the network, then run the same command again",
                    innermost(&other)
                );
                Self::new(exit_code::UNAVAILABLE, sentence)
            }
        }
    }
}

fn of_status(status: &Status, doing: &str) -> Trouble {
    let message = status.message.trim();
    let (code, reason, next) = match status.code {
        401 => (
            exit_code::NO_PERMISSION,
            "the API server does not accept these credentials".to_owned(),
            "log in to the cluster again, as for kubectl",
        ),
        403 if message.contains("exceeded quota") => (
            exit_code::UNAVAILABLE,
            format!(
                "the namespace's quota is used up ({})",
                after(message, "forbidden: ")
            ),
            "remove something there, ask for less, or ask for more quota",
        ),
        403 if message.contains("being terminated") => (
            exit_code::UNAVAILABLE,
            "its namespace is being deleted".to_owned(),
            "wait until it has gone and create it again, or choose another with --namespace",
        ),
        403 => (
            exit_code::NO_PERMISSION,
            format!("a right is missing ({message})"),
            "ask whoever administers the cluster for it, or choose another --namespace or --context",
        ),
        404 if message.starts_with("namespaces ") => (
            exit_code::UNAVAILABLE,
            format!("the namespace is not there ({message})"),
            "create it (kubectl create namespace), or choose another --namespace or --context",
        ),
        // No name in it: not the object is missing but its kind.
        404 if message.contains("the server could not find the requested resource")
            || message == "404 page not found" =>
        {
            (
                exit_code::UNAVAILABLE,
                "the cluster does not know this kind of object".to_owned(),
                "install what defines it (Istio, or Envoy Gateway with the Gateway API), or choose another --gateway or --context",
            )
        }
        404 => (
            exit_code::UNAVAILABLE,
            format!("it is not there ({message})"),
            "check the name, the namespace and the context",
        ),
        409 => return conflict(status, doing),
        400 | 422 => (
            exit_code::CONFIG,
            format!("the cluster refuses it ({})", faults(status)),
            "change what the message names and run the same command again",
        ),
        429 => (
            exit_code::UNAVAILABLE,
            "the API server has too much to do".to_owned(),
            "run the same command again in a minute",
        ),
        _ => (
            exit_code::UNAVAILABLE,
            format!("the API server answered {} ({message})", status.code),
            "run the same command again; if it stays so, ask whoever administers the cluster",
        ),
    };
    Trouble::new(code, format!("cannot {doing}: {reason}; {next}"))
}

/// Each field with what is wrong with it; without the value, which may be pages long.
fn faults(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fault = |cause: &StatusCause| {
        let text = cause.message.trim();
        let end = text.rsplit(": ").next().unwrap_or(text);
        let brief = if text.len() > LONGEST_FAULT {
            end
        } else {
            text
        };
        format!("{}: {brief}", cause.field)
    };
    let faults: Vec<_> = causes.map(fault).collect();
    if faults.is_empty() {
        status.message.trim().to_owned()
    } else {
        faults.join(", ")
    }
}

/// Somebody else set the fields that are to be set: who, and which.
fn conflict(status: &Status, doing: &str) -> Trouble {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut owners: Vec<String> = causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| {
            let owner = cause.message.split('"').nth(1).unwrap_or("somebody else");
            format!("{} is set by {owner}", cause.field)
        })
        .collect();
    owners.dedup();
    let sentence = if owners.is_empty() {
        format!(
            "cannot {doing}: somebody else changed it at the same moment ({}); run the same command again",
            status.message.trim()
        )
    } else {
        format!(
            "cannot {doing}: {}; let them take it back, or run again with --force-conflicts to take it over",
            owners.join(", ")
        )
    };
    Trouble::new(exit_code::UNAVAILABLE, sentence)
}

/// What follows `mark`; everything where it is not there.
fn after<'a>(message: &'a str, mark: &str) -> &'a str {
    message.split_once(mark).map_or(message, |(_, rest)| rest)
}

/// The last cause: the outer ones only say that a request failed.
fn innermost(error: &kube::Error) -> String {
    let mut source = error.source();
    let mut text = error.to_string();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl std::error::Error for Trouble {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(code: u16, message: &str) -> String {
        let status = Status::failure(message, "").with_code(code);
        of_status(&status, "apply Service svc-a").sentence
    }

    #[test]
    fn every_answer_is_one_sentence_with_the_object_the_reason_and_the_next_step() {
        for (code, message, reason) in [
            (401, "Unauthorized", "credentials"),
            (
                403,
                "services is forbidden: User \"bob\" cannot patch",
                "\"bob\" cannot patch",
            ),
            (
                403,
                "pods \"a\" is forbidden: exceeded quota: small, requested: x",
                "(exceeded quota: small",
            ),
            (
                404,
                "namespaces \"ws-x\" not found",
                "namespace is not there",
            ),
            (
                404,
                "the server could not find the requested resource",
                "this kind",
            ),
            (404, "services \"svc-a\" not found", "it is not there"),
            (422, "Service is invalid: spec.ports", "spec.ports"),
            (429, "too many requests", "too much to do"),
            (500, "etcdserver: no leader", "no leader"),
        ] {
            let sentence = sentence(code, message);
            assert!(
                sentence.starts_with("cannot apply Service svc-a: "),
                "{sentence}"
            );
            assert!(sentence.contains(reason), "{sentence}");
            assert!(
                sentence.contains("; ") && !sentence.contains('\n'),
                "{sentence}"
            );
        }
    }

    #[test]
    fn a_conflict_names_field_and_owner() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "code": 409, "reason": "Conflict", "message": "Apply failed",
            "details": {"causes": [{
                "reason": "FieldManagerConflict", "field": ".spec.replicas",
                "message": "conflict with \"kubectl-edit\" using apps/v1"
            }]}
        }))
        .unwrap();
        let sentence = of_status(&status, "apply StatefulSet svc-a").sentence;
        assert!(
            sentence.contains(".spec.replicas is set by kubectl-edit"),
            "{sentence}"
        );
        assert!(sentence.contains("--force-conflicts"));
    }
}
