//! Places for connections that have not logged in. A place is never refused for being one too many:
//! whoever has got no further than others, and for longest, makes room.
//!
//! Each phase of a login has room of its own, so that a flood only pushes out others that are as
//! little advanced, and those oldest first: a client that goes on is past a phase before a flood
//! of this many a second for its round trips reaches it. Nobody is banned for his address here: all
//! clients may come from one gateway.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// How far a connection has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It is connected.
    Silent,
    /// It has sent its version line.
    Speaking,
    /// Keys are exchanged, which costs processor time on both sides.
    Encrypted,
    /// It has named a key that may log in, and is asked to sign: somebody may be looking for a touch.
    Known,
}

/// For each place of `--max-startups`, this many in each phase: the cheaper, the more.
const ROOM: [usize; 4] = [10, 5, 1, 1];
/// Not more in the first phases than one in so many of the descriptors there are.
const SHARE: usize = 8;
/// One source, where it is known, may have one place in so many.
const SOURCE_SHARE: usize = 4;
/// A flood is told once in this time.
const TELL: Duration = Duration::from_secs(10);

/// The places. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Startups {
    lobby: Arc<Mutex<Lobby>>,
    room: [usize; 4],
}

#[derive(Debug, Default)]
struct Lobby {
    /// By number, so the oldest is first.
    phases: [BTreeMap<u64, Guest>; 4],
    numbers: u64,
    /// Connections not logged in and not gone, those told to go among them.
    present: usize,
    dropped: u64,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Guest {
    source: Option<IpAddr>,
    evicted: CancellationToken,
}

/// A place, given back at login or when dropped.
#[derive(Debug)]
pub(super) struct Startup {
    startups: Startups,
    number: u64,
    evicted: CancellationToken,
    over: AtomicBool,
}

impl Startups {
    /// `most`: `--max-startups`; `descriptors`: how many the process may have.
    pub(super) fn new(most: usize, descriptors: usize) -> Self {
        let share = (descriptors / SHARE).max(1);
        let room = ROOM.map(|times| match times {
            1 => most,
            _ => most.saturating_mul(times).min(share.max(most)),
        });
        Self {
            lobby: Arc::default(),
            room,
        }
    }

    /// A place for one more. `None` only when those told to go do not go fast enough.
    pub(super) fn enter(&self) -> Option<Arc<Startup>> {
        let mut lobby = self.lock();
        if lobby.present > 2 * self.room.iter().sum::<usize>() {
            lobby.tell_of_one_more();
            return None;
        }
        lobby.present += 1;
        lobby.numbers += 1;
        let (number, evicted) = (lobby.numbers, CancellationToken::new());
        let guest = Guest {
            source: None,
            evicted: evicted.clone(),
        };
        lobby.seat(number, guest, Phase::Silent as usize, &self.room);
        Some(Arc::new(Startup {
            startups: self.clone(),
            number,
            evicted,
            over: AtomicBool::new(false),
        }))
    }

    /// Out of descriptors: half of those that are furthest from a login go.
    pub(super) fn make_room(&self) {
        let mut lobby = self.lock();
        for phase in [Phase::Silent as usize, Phase::Speaking as usize] {
            lobby.evict_half(phase);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lobby> {
        // A panic while holding it left plain data behind.
        self.lobby.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::indexing_slicing, reason = "there is one of each phase")]
impl Lobby {
    /// Add a guest to a phase; the oldest there goes when it is full, or when its source is.
    fn seat(&mut self, number: u64, guest: Guest, phase: usize, room: &[usize; 4]) {
        let (source, room) = (guest.source, room[phase]);
        self.phases[phase].insert(number, guest);
        if source.is_some() {
            let guests = self.phases[phase].values();
            let same = guests.filter(|guest| guest.source == source).count();
            if same > room.div_ceil(SOURCE_SHARE) {
                self.evict_first(phase, source);
            }
        }
        if self.phases[phase].len() > room {
            self.evict_first(phase, None);
        }
    }

    /// The oldest of a phase goes, or the oldest from `source`.
    fn evict_first(&mut self, phase: usize, source: Option<IpAddr>) {
        let guests = &mut self.phases[phase];
        let of_source = |guest: &Guest| source.is_none() || guest.source == source;
        let found = guests.iter().find(|(_, guest)| of_source(guest));
        let Some(number) = found.map(|(number, _)| *number) else {
            return;
        };
        if let Some(guest) = guests.remove(&number) {
            guest.evicted.cancel();
            self.tell_of_one_more();
        }
    }

    fn evict_half(&mut self, phase: usize) {
        for _ in 0..self.phases[phase].len() / 2 {
            self.evict_first(phase, None);
        }
    }

    fn take(&mut self, number: u64) -> Option<(usize, Guest)> {
        let mut phases = self.phases.iter_mut().enumerate();
        phases.find_map(|(phase, guests)| Some((phase, guests.remove(&number)?)))
    }

    fn tell_of_one_more(&mut self) {
        self.dropped += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            let dropped = std::mem::take(&mut self.dropped);
            self.told = Some(Instant::now());
            tracing::warn!(
                dropped,
                "more connections than --max-startups has room for; the oldest make room"
            );
        }
    }
}

impl Startup {
    /// The connection has got further. Never back: a phase it is past is no news.
    pub(super) fn reach(&self, phase: Phase) {
        let mut lobby = self.startups.lock();
        if let Some((before, guest)) = lobby.take(self.number) {
            let phase = before.max(phase as usize);
            lobby.seat(self.number, guest, phase, &self.startups.room);
        }
    }

    /// A trusted proxy has told where it comes from.
    pub(super) fn comes_from(&self, source: IpAddr) {
        let mut lobby = self.startups.lock();
        if let Some((_, mut guest)) = lobby.take(self.number) {
            guest.source = Some(source);
            lobby.seat(
                self.number,
                guest,
                Phase::Silent as usize,
                &self.startups.room,
            );
        }
    }

    /// Resolves when it has to make room for others.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Logged in: the place is free.
    pub(super) fn leave(&self) {
        if !self.over.swap(true, Ordering::Relaxed) {
            let mut lobby = self.startups.lock();
            lobby.take(self.number);
            lobby.present -= 1;
        }
    }

    /// Whether it has logged in.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether it has got as far as `phase`, or further.
    pub(super) fn has_reached(&self, phase: Phase) -> bool {
        let lobby = self.startups.lock();
        let before = lobby.phases.iter().take(phase as usize);
        !before
            .into_iter()
            .any(|guests| guests.contains_key(&self.number))
    }
}

impl Drop for Startup {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted(startup: &Startup) -> bool {
        startup.evicted.is_cancelled()
    }

    #[test]
    fn the_oldest_of_a_full_phase_makes_room_and_no_other() {
        let startups = Startups::new(1, 1 << 20);
        let known = startups.enter().unwrap();
        known.reach(Phase::Known);
        let silent: Vec<_> = (0..10).map(|_| startups.enter().unwrap()).collect();
        assert!(silent.iter().all(|startup| !is_evicted(startup)));
        let newest = startups.enter().unwrap();
        assert!(is_evicted(&silent[0]) && !is_evicted(&silent[1]));
        assert!(!is_evicted(&newest) && !is_evicted(&known));
    }

    #[test]
    fn who_has_got_further_is_out_of_reach_of_those_who_have_not() {
        let startups = Startups::new(1, 1 << 20);
        let user = startups.enter().unwrap();
        user.reach(Phase::Encrypted);
        user.reach(Phase::Speaking);
        assert!(user.has_reached(Phase::Encrypted), "never back");
        let flood: Vec<_> = (0..40).map(|_| startups.enter()).collect();
        assert!(!is_evicted(&user) && flood.iter().flatten().count() > 30);
        drop(flood);
        let other = startups.enter().unwrap();
        other.reach(Phase::Encrypted);
        assert!(is_evicted(&user), "but not of its equals");
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_logs_in_or_leaves() {
        let startups = Startups::new(1, 1 << 20);
        let (one, other) = (startups.enter().unwrap(), startups.enter().unwrap());
        one.leave();
        assert!(one.is_over() && startups.lock().present == 1);
        drop((one, other));
        assert_eq!(startups.lock().present, 0);
    }

    #[test]
    fn those_told_to_go_and_still_there_are_bounded() {
        let startups = Startups::new(1, 1 << 20);
        let entered = (0..1000).map(|_| startups.enter()).collect::<Vec<_>>();
        assert!(entered.iter().flatten().count() < 40);
    }

    #[test]
    fn one_source_where_it_is_known_has_a_share_only() {
        let startups = Startups::new(4, 1 << 20);
        let stranger = startups.enter().unwrap();
        let same: Vec<_> = (0..11).map(|_| startups.enter().unwrap()).collect();
        for startup in &same {
            startup.comes_from("192.0.2.7".parse().unwrap());
        }
        assert!(is_evicted(&same[0]) && !is_evicted(&same[1]) && !is_evicted(&stranger));
    }

    #[test]
    fn few_descriptors_make_few_places() {
        let startups = Startups::new(100, 256);
        assert_eq!(startups.room, [100, 100, 100, 100]);
    }
}
