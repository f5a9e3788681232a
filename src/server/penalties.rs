//! Sources that only fail are left alone for a while (sshd's PerSourcePenalties, with its figures).
//!
//! Only for sources that a trusted proxy has named: the address of a gateway is everybody's, and
//! nobody is locked out for what another did behind it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a source did without logging in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offence {
    /// Came and tried no key: a scanner, a probe.
    NoTry,
    /// No key of its was good.
    Refused,
    /// Stayed until it was put out.
    TooSlow,
}

/// Below this much a source is served: a mistake or two are nobody's attack.
const LEAST: Duration = Duration::from_secs(15);
/// It never grows beyond this.
const MOST: Duration = Duration::from_secs(600);
/// Sources remembered; the one forgiven soonest is forgotten first.
const SOURCES: usize = 4096;

impl Offence {
    fn penalty(self) -> Duration {
        Duration::from_secs(match self {
            Self::NoTry => 1,
            Self::Refused => 5,
            Self::TooSlow => 10,
        })
    }
}

/// When each source is forgiven.
#[derive(Debug, Default)]
pub(super) struct Penalties(Mutex<HashMap<IpAddr, Instant>>);

impl Penalties {
    /// How long `source` is still to be refused at `now`, if it is.
    pub(super) fn refuses(&self, source: IpAddr, now: Instant) -> Option<Duration> {
        let forgiven = *self.lock().get(&network(source))?;
        Some(forgiven.saturating_duration_since(now)).filter(|left| *left >= LEAST)
    }

    /// `source` has done this.
    pub(super) fn add(&self, source: IpAddr, offence: Offence, now: Instant) {
        let mut sources = self.lock();
        let source = network(source);
        if sources.len() >= SOURCES && !sources.contains_key(&source) {
            sources.retain(|_, forgiven| *forgiven > now);
            let soonest = sources.iter().min_by_key(|(_, forgiven)| **forgiven);
            let soonest = soonest.map(|(source, _)| *source);
            if let Some(soonest) = soonest.filter(|_| sources.len() >= SOURCES) {
                sources.remove(&soonest);
            }
        }
        let forgiven = sources.entry(source).or_insert(now);
        *forgiven = ((*forgiven).max(now) + offence.penalty()).min(now + MOST);
    }

    /// Somebody has logged in from `source`: it is a user's.
    pub(super) fn forget(&self, source: IpAddr) {
        self.lock().remove(&network(source));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One customer of an IPv6 provider has at least a /64 of addresses.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_source_that_goes_on_failing_is_refused_for_a_while_and_forgiven() {
        let (penalties, now) = (Penalties::default(), Instant::now());
        let [source, other]: [IpAddr; 2] = ["192.0.2.7", "192.0.2.8"].map(|ip| ip.parse().unwrap());
        for _ in 0..2 {
            penalties.add(source, Offence::Refused, now);
        }
        assert_eq!(penalties.refuses(source, now), None, "a mistake or two");
        penalties.add(source, Offence::TooSlow, now);
        assert_eq!(penalties.refuses(source, now), Some(20 * SECOND));
        assert_eq!(penalties.refuses(source, now + 6 * SECOND), None);
        assert_eq!(penalties.refuses(other, now), None);
        for _ in 0..1000 {
            penalties.add(source, Offence::Refused, now);
        }
        assert_eq!(penalties.refuses(source, now), Some(MOST));
        penalties.forget(source);
        assert_eq!(penalties.refuses(source, now), None, "a login forgives");
    }

    #[test]
    fn addresses_of_one_customer_count_as_one_and_all_are_bounded() {
        let (penalties, now) = (Penalties::default(), Instant::now());
        for number in 0..10_000_u32 {
            let one = IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(number)).to_be_bytes());
            penalties.add(one, Offence::TooSlow, now);
            penalties.add(IpAddr::from(number.to_be_bytes()), Offence::NoTry, now);
        }
        assert!(
            penalties
                .refuses("2001:db8::7".parse().unwrap(), now)
                .is_some()
        );
        assert!(penalties.lock().len() <= SOURCES);
    }
}
