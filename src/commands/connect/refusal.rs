//! Why there is no tunnel: one sentence that names who refused, how, and what to do next.

use crate::exit_code;

/// Why one try failed.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The sentence, without a full stop.
    pub(super) message: String,
    /// What to exit with.
    pub(super) code: u8,
    /// Whether another try may end better: the workspace or the gateway may be starting.
    pub(super) passing: bool,
}

impl Refusal {
    /// The answer will be the same next time.
    pub(super) fn lasting(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: exit_code::UNAVAILABLE,
            passing: false,
        }
    }

    /// Worth another try.
    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self {
            passing: true,
            ..Self::lasting(message)
        }
    }

    /// A right is missing; trying again does not give it.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self {
            code: exit_code::NO_PERMISSION,
            ..Self::lasting(message)
        }
    }
}

/// What a gateway's answer other than 2xx means. `credentials` says whether we sent any, `said` is the
/// first line of its body, `location` where it redirects to.
pub(super) fn status(
    status: u16,
    workspace: &str,
    gateway: &str,
    credentials: bool,
    said: &str,
    location: &str,
) -> Refusal {
    let words = if said.is_empty() {
        status.to_string()
    } else {
        format!("{status}: {said}")
    };
    match status {
        404 => Refusal::lasting(format!(
            "the gateway {gateway} knows no workspace {workspace} ({status}): check its name and namespace"
        )),
        403 if credentials => Refusal::forbidden(format!(
            "the gateway {gateway} does not let you through to {workspace} ({words}): either the name is outside what it routes to, or your credentials do not cover it"
        )),
        403 => Refusal::forbidden(format!(
            "the gateway {gateway} does not route to {workspace} ({words}): check the name, its namespace and port, or ask whether the gateway wants --gateway-token-file or --gateway-cert"
        )),
        401 | 407 if credentials => Refusal::forbidden(format!(
            "the gateway {gateway} does not accept your credentials for {workspace} ({words}): renew the token, or check the header"
        )),
        401 | 407 => Refusal::forbidden(format!(
            "the gateway {gateway} asks for credentials of its own ({words}): give --gateway-token-file or --gateway-header"
        )),
        503 => Refusal::passing(format!(
            "the workspace {workspace} is stopped or starting, says the gateway {gateway} (503){}",
            look(workspace)
        )),
        502 | 504 => Refusal::passing(format!(
            "the gateway {gateway} cannot reach the workspace {workspace} ({status}){}",
            look(workspace)
        )),
        429 => Refusal::passing(format!(
            "the gateway {gateway} limits how often one may connect ({status}): wait a little"
        )),
        500 => Refusal::passing(format!(
            "the gateway {gateway} has a fault of its own ({status}): tell its owner"
        )),
        426 | 505 => Refusal::lasting(format!(
            "the gateway {gateway} does not take HTTP/1.1 ({status}): its owner must allow it"
        )),
        300..=399 if !location.is_empty() => Refusal::lasting(format!(
            "{gateway} answers CONNECT with a redirection to {location} ({status}): give that, if it is a gateway, as --gateway"
        )),
        400 | 405 | 501 => Refusal::lasting(format!(
            "{gateway} does not take CONNECT ({status}): is it the gateway, and is CONNECT enabled for {workspace}?"
        )),
        status => Refusal::lasting(format!(
            "{gateway} answered CONNECT {workspace} with {status}: is it the gateway, and is CONNECT enabled?"
        )),
    }
}

/// The command that shows what a workspace is doing, for a name as Services have them.
fn look(workspace: &str) -> String {
    let mut labels = workspace.split('.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some(_), Some(namespace), Some("svc")) => {
            format!(": see kubectl get pods -n {namespace}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "svc-a.ws-demo.svc.cluster.local:80";

    #[test]
    fn every_status_names_gateway_status_and_next_step() {
        for (code, passing, exit, step) in [
            (404, false, 69, "check its name"),
            (403, false, 77, "--gateway-token-file"),
            (401, false, 77, "--gateway-token-file"),
            (407, false, 77, "--gateway-header"),
            (503, true, 69, "kubectl get pods -n ws-demo"),
            (502, true, 69, "kubectl get pods -n ws-demo"),
            (504, true, 69, "kubectl"),
            (429, true, 69, "wait"),
            (426, false, 69, "owner"),
            (405, false, 69, "CONNECT enabled"),
            (204, false, 69, "is it the gateway"),
            (500, true, 69, "owner"),
        ] {
            let refusal = status(code, WORKSPACE, "gw:80", false, "", "");
            assert_eq!((refusal.passing, refusal.code), (passing, exit), "{code}");
            for part in ["gw:80", &code.to_string(), step] {
                assert!(refusal.message.contains(part), "{}", refusal.message);
            }
        }
    }

    #[test]
    fn who_showed_credentials_is_told_about_them() {
        let refusal = status(401, WORKSPACE, "gw:443", true, "Jwt is expired", "");
        assert!(
            refusal.message.contains("(401: Jwt is expired)"),
            "{refusal:?}"
        );
        assert!(refusal.message.contains("renew"), "{refusal:?}");
        let refusal = status(403, WORKSPACE, "gw:443", true, "", "");
        assert!(refusal.message.contains("do not cover it"), "{refusal:?}");
    }

    #[test]
    fn a_redirection_names_its_goal() {
        let refusal = status(301, WORKSPACE, "gw:80", false, "", "https://gw/");
        assert!(refusal.message.contains("https://gw/"), "{refusal:?}");
    }

    #[test]
    fn only_a_services_name_has_a_namespace_to_look_at() {
        assert_eq!(look("host.example.com:22"), "");
        assert_eq!(look("host:22"), "");
        assert!(look(WORKSPACE).contains("ws-demo"));
    }
}
