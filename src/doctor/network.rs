//! Names: the resolver's settings, this machine's own name for itself, and look-ups that must work.

use super::{Finding, Surroundings};

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Everything about names.
pub(super) fn examine(s: &Surroundings) -> Vec<Finding> {
    let mut findings = vec![localhost(s)];
    let settings = s.read(RESOLV_CONF).unwrap_or_default();
    let values = |keyword: &str| -> Vec<String> {
        let lines = settings.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(keyword)).then(|| words.map(str::to_owned).collect::<Vec<_>>())
        });
        lines.flatten().collect()
    };
    let servers = values("nameserver");
    if servers.is_empty() {
        let found = format!("{RESOLV_CONF} names no nameserver: no host name is found");
        let fix = "set the pod's dnsPolicy to ClusterFirst, or write a nameserver there";
        findings.push(Finding::fault("network.dns", found, fix));
        return findings;
    }
    findings.push(Finding::ok(
        "network.dns",
        format!("asks {}", servers.join(", ")),
    ));
    findings.push(cluster(s, &values("search")));
    findings.extend(s.names.iter().map(|name| asked(s, name)));
    findings
}

/// Editors connect to their servers by this name.
fn localhost(s: &Surroundings) -> Finding {
    let check = "network.localhost";
    let hosts = s.read("/etc/hosts").unwrap_or_default();
    let named = hosts.lines().any(|line| {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        words.next() == Some("127.0.0.1") && words.any(|name| name == "localhost")
    });
    if named {
        return Finding::ok(check, "localhost is 127.0.0.1");
    }
    let found = "/etc/hosts does not say that localhost is 127.0.0.1";
    Finding::warning(
        check,
        found,
        "add the line `127.0.0.1 localhost` to /etc/hosts",
    )
}

/// In a cluster the search list has `svc.DOMAIN`, and the API server has a name in it.
fn cluster(s: &Surroundings, search: &[String]) -> Finding {
    let check = "network.cluster";
    let Some(domain) = search.iter().find(|domain| domain.starts_with("svc.")) else {
        return Finding::ok(check, "no cluster's domain is searched, so none was asked");
    };
    // The dot at the end keeps the search list out of it.
    let name = format!("kubernetes.default.{domain}.");
    match (s.look_up)(&name) {
        Ok(()) => Finding::ok(check, format!("{name} has an address")),
        Err(error) => {
            let found = format!("{name} is not found: {error}");
            let fix = "allow egress to the cluster's DNS (port 53, UDP and TCP) in the NetworkPolicy, and see that it runs";
            Finding::fault(check, found, fix)
        }
    }
}

fn asked(s: &Surroundings, name: &str) -> Finding {
    let check = "network.name";
    match (s.look_up)(name) {
        Ok(()) => Finding::ok(check, format!("{name} has an address")),
        Err(error) => {
            let found = format!("{name} is not found: {error}");
            Finding::fault(check, found, "correct the name, or the DNS server's answer")
        }
    }
}
