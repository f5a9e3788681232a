//! Address lists: `from=` of authorized_keys (PATTERNS of ssh_config(5), CIDR, negation) and the
//! certificate option `source-address` (CIDR only).
//!
//! Never asks the DNS: as with sshd's default `UseDNS no`, a host name pattern is compared with the
//! address. A *negated* host name could therefore never protect anybody and is refused.

use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses a key may be used from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    negated: bool,
    matcher: Matcher,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Matcher {
    Net(IpNet),
    Pattern(String),
}

impl Addresses {
    /// Parse the value of `from=`.
    pub(super) fn parse_patterns(list: &str) -> Result<Self, String> {
        list.split(',')
            .map(Rule::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Parse the value of `source-address`.
    pub(super) fn parse_cidrs(list: &str) -> Result<Self, String> {
        let rule = |item: &str| match parse_net(item)? {
            Some(net) => Ok(Rule {
                negated: false,
                matcher: Matcher::Net(net),
            }),
            None => Err(format!("\"{item}\" is not an address or CIDR range")),
        };
        list.split(',')
            .map(rule)
            .collect::<Result<_, String>>()
            .map(Self)
    }

    /// Whether `peer` is on the list. A negated match wins wherever it stands.
    pub(super) fn allow(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let matches = |rule: &&Rule| rule.matcher.matches(peer);
        let mut matching = self.0.iter().filter(matches).peekable();
        matching.peek().is_some() && matching.all(|rule| !rule.negated)
    }
}

impl Rule {
    fn parse(item: &str) -> Result<Self, String> {
        let (negated, item) = item
            .strip_prefix('!')
            .map_or((false, item), |rest| (true, rest));
        if item.is_empty() {
            return Err("an empty address pattern".to_owned());
        }
        if let Some(net) = parse_net(item)? {
            return Ok(Self {
                negated,
                matcher: Matcher::Net(net),
            });
        }
        let address_like = |byte: u8| byte.is_ascii_hexdigit() || b".:*?".contains(&byte);
        if negated && !item.bytes().all(address_like) {
            return Err(format!(
                "\"!{item}\" is a negated host name, and names are not looked up"
            ));
        }
        Ok(Self {
            negated,
            matcher: Matcher::Pattern(item.to_ascii_lowercase()),
        })
    }
}

impl Matcher {
    fn matches(&self, peer: IpAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&peer),
            Self::Pattern(pattern) => wildcard(pattern.as_bytes(), peer.to_string().as_bytes()),
        }
    }
}

/// A CIDR range or one address; `None` for what can only be a pattern.
fn parse_net(item: &str) -> Result<Option<IpNet>, String> {
    if let Ok(address) = item.parse::<IpAddr>() {
        return Ok(Some(IpNet::from(address)));
    }
    if !item.contains('/') {
        return Ok(None);
    }
    let net: IpNet = item
        .parse()
        .map_err(|_| format!("\"{item}\" is not a CIDR range"))?;
    if net.addr() != net.network() {
        return Err(format!(
            "\"{item}\" has bits set behind its mask; write {}",
            net.trunc()
        ));
    }
    Ok(Some(net))
}

/// PATTERNS of ssh_config(5): `*` any run, `?` any one byte.
pub(super) fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: behind the last star, one byte further in the text.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            (None, None) => return true,
            (Some(want), Some(byte)) if *want == b'?' || want == byte => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) if from < text.len() => {
                    retry = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_lists_decide_as_sshd_does() {
        for (list, peer, allowed) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/8,!10.1.0.0/16", "10.1.2.3", false),
            ("!10.1.0.0/16,10.0.0.0/8", "10.2.2.3", true),
            ("!10.1.0.0/16", "10.2.2.3", false),
            ("10.0.0.?", "10.0.0.7", true),
            ("10.0.0.?", "10.0.0.17", false),
            ("*", "2001:db8::1", true),
            ("192.168.*.4,fe80::*", "192.168.99.4", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:DB8:0:0::1", "2001:db8::1", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("0.0.0.0/0", "::1", false),
            ("*.example.com", "10.0.0.1", false),
        ] {
            let addresses = Addresses::parse_patterns(list).unwrap();
            assert_eq!(
                addresses.allow(peer.parse().unwrap()),
                allowed,
                "{list} {peer}"
            );
        }
    }

    #[test]
    fn lists_that_cannot_be_honoured_are_refused() {
        for list in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "a,,b",
            "!",
            "!*.example.com,*",
            "x/8",
        ] {
            assert!(Addresses::parse_patterns(list).is_err(), "{list}");
        }
        for list in ["", "10.0.0.*", "!10.0.0.1", "host"] {
            assert!(Addresses::parse_cidrs(list).is_err(), "{list}");
        }
        assert!(Addresses::parse_cidrs("10.0.0.1,2001:db8::/32").is_ok());
    }

    #[test]
    fn wildcards_backtrack_without_blowing_up() {
        let text = vec![b'a'; 4000];
        assert!(!wildcard("*a*a*a*a*a*a*a*a*b".as_bytes(), &text));
        assert!(wildcard(b"*a*a*a*", &text));
        assert!(wildcard(b"", b"") && !wildcard(b"", b"a") && !wildcard(b"?", b""));
    }
}
