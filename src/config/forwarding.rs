//! What may be forwarded: `--forward`, `--permit-open`, `--permit-listen`.

use std::str::FromStr;

/// One end of a forward as a policy names it: `HOST:PORT`, with `*` for any host or any port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `None` for any.
    pub host: Option<String>,
    /// `None` for any.
    pub port: Option<u16>,
}

impl FromStr for Target {
    type Err = String;

    /// `host:port`, `[v6]:port`, `*:port`, `host:*`; a port alone is any host's, as in sshd.
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("*", text));
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let port = match port {
            "*" => None,
            number => Some(number.parse().map_err(|_| {
                format!("{text:?} is not HOST:PORT, with a port from 0 to 65535 or *")
            })?),
        };
        if host.is_empty() {
            return Err(format!("{text:?} has no host; write * for any"));
        }
        Ok(Self {
            host: (host != "*").then(|| host.to_ascii_lowercase()),
            port,
        })
    }
}

impl Target {
    /// Whether it covers `host` and `port`, compared as written: names are not resolved.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        self.host
            .as_ref()
            .is_none_or(|name| name.eq_ignore_ascii_case(host))
            && self.port.is_none_or(|number| number == port)
    }
}

/// The daemon's forwarding policy; a key's options can only narrow it.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// Client to workspace (`-L`, `-D`).
    pub local: bool,
    /// Workspace to client (`-R`).
    pub remote: bool,
    open: Vec<Target>,
    listen: Vec<Target>,
}

impl Forwarding {
    /// Parse the three flags; every error names its flag.
    pub fn parse(policy: &str, open: &[String], listen: &[String]) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let (local, remote) = match policy {
            "none" => (false, false),
            "local" => (true, false),
            "remote" => (false, true),
            "all" => (true, true),
            other => {
                errors.push(format!(
                    "--forward {other:?} is none of none, local, remote, all"
                ));
                (false, false)
            }
        };
        let mut targets = |flag: &str, texts: &[String]| {
            let given = texts.iter().filter(|text| !text.is_empty());
            let parsed: Vec<_> = given
                .filter_map(|text| {
                    let target = text.parse::<Target>();
                    target
                        .map_err(|error| errors.push(format!("{flag} {error}")))
                        .ok()
                })
                .collect();
            parsed
        };
        let open = targets("--permit-open", open);
        let listen = targets("--permit-listen", listen);
        if errors.is_empty() {
            Ok(Self {
                local,
                remote,
                open,
                listen,
            })
        } else {
            Err(errors)
        }
    }

    /// Whether the client may reach `host:port` from here.
    pub fn may_open(&self, host: &str, port: u16) -> bool {
        self.local && covered(&self.open, host, port)
    }

    /// Whether the client may have us listen on `host:port`.
    pub fn may_listen(&self, host: &str, port: u16) -> bool {
        self.remote && covered(&self.listen, host, port)
    }
}

/// No list at all permits everything.
fn covered(list: &[Target], host: &str, port: u16) -> bool {
    list.is_empty() || list.iter().any(|target| target.covers(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_narrows_and_no_list_permits() {
        let all = Forwarding::parse("all", &[], &[]).unwrap();
        assert!(all.may_open("anywhere", 1) && all.may_listen("localhost", 0));
        let some = Forwarding::parse("local", &["db:5432".into(), "[::1]:*".into()], &[]).unwrap();
        assert!(some.may_open("DB", 5432) && some.may_open("::1", 9));
        assert!(!some.may_open("db", 80) && !some.may_listen("localhost", 8080));
    }

    #[test]
    fn a_port_alone_is_any_hosts() {
        let target: Target = "8080".parse().unwrap();
        assert!(target.covers("x", 8080) && !target.covers("x", 80));
    }
}
