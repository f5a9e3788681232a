//! `--trusted-proxy`: whose PROXY protocol header is believed.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks of proxies that tell where their connections come from. Empty: nobody is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Addresses and CIDR ranges; all that are wrong, one sentence each.
    pub fn parse(texts: &[String]) -> Result<Self, Vec<String>> {
        let given = texts.iter().filter(|text| !text.is_empty());
        let (nets, errors): (Vec<_>, Vec<_>) = given.map(|text| net(text)).partition(Result::is_ok);
        if errors.is_empty() {
            Ok(Self(nets.into_iter().flatten().collect()))
        } else {
            Err(errors.into_iter().filter_map(Result::err).collect())
        }
    }

    /// Whether `peer` begins with a PROXY header, and tells the truth in it.
    pub fn trust(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|net| net.contains(&peer))
    }
}

fn net(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| {
        format!("--trusted-proxy {text:?} is not an address or a range such as 10.1.0.0/16")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_an_address_and_a_mapped_peer_are_understood() {
        let proxies = Proxies::parse(&["10.1.0.0/16".into(), "fd00::7".into()]).unwrap();
        for (peer, trusted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00::7", true),
            ("fd00::8", false),
        ] {
            assert_eq!(proxies.trust(peer.parse().unwrap()), trusted, "{peer}");
        }
        assert!(!Proxies::default().trust("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn every_wrong_range_is_named() {
        let errors = Proxies::parse(&["here".into(), "10.0.0.0/40".into()]).unwrap_err();
        assert_eq!(errors.len(), 2);
        assert!(errors[1].contains("10.0.0.0/40"), "{errors:?}");
    }
}
