//! How long the key watch waits between two tries: twice as long each time, and never less than the API
//! server asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::{Response, header::RETRY_AFTER};
use kube::runtime::utils::Backoff;

/// The longest pause of our own is how late a revocation may be once the API is back, so it is short.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// A server that has too much to do asks for half a minute at most. Whoever asks for more is asked again
/// after this: until then nobody's key can be taken away.
const LONGEST_TOLD: Duration = Duration::from_secs(60);

/// Doubling up to the longest, each by chance up to a half shorter, so that a thousand workspaces do not come
/// back in step.
pub(super) struct Pauses {
    next: Duration,
    told: RetryAfter,
}

impl Pauses {
    /// Beginning with the shortest, and heeding what `told` hears.
    pub(super) fn new(told: RetryAfter) -> Self {
        Self { next: FIRST, told }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let own = self.next.mul_f64(rand::random_range(0.5..1.0));
        self.next = (self.next * 2).min(LONGEST);
        // All are told the same, so by chance a quarter more.
        let told = self.told.take().min(LONGEST_TOLD);
        Some(own.max(told.mul_f64(rand::random_range(1.0..1.25))))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.next = FIRST;
    }
}

/// What the last answer said in `Retry-After`, until it is heeded. Seconds; the other form, a date, is
/// nothing an API server sends.
#[derive(Clone, Default)]
pub(super) struct RetryAfter(Arc<AtomicU64>);

impl RetryAfter {
    /// Looks at an answer and hands it on.
    pub(super) fn hear<B>(&self, answer: Response<B>) -> Response<B> {
        let said = answer.headers().get(RETRY_AFTER);
        let seconds = said.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        self.0.store(seconds.unwrap_or(0), Ordering::Relaxed);
        answer
    }

    fn take(&self) -> Duration {
        Duration::from_secs(self.0.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(told: &RetryAfter, said: &str) {
        told.hear(
            Response::builder()
                .header(RETRY_AFTER, said)
                .body(())
                .unwrap(),
        );
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_reset() {
        let mut pauses = Pauses::new(RetryAfter::default());
        let all: Vec<_> = pauses.by_ref().take(20).collect();
        for (pause, most) in all.iter().zip([200, 400, 800, 1600, 3200, 5000]) {
            let most = Duration::from_millis(most);
            assert!(
                *pause >= most / 2 && *pause <= most,
                "{pause:?} of {most:?}"
            );
        }
        assert!(all.iter().all(|pause| *pause <= LONGEST), "{all:?}");
        pauses.reset();
        assert!(pauses.next().unwrap() <= FIRST);
    }

    #[test]
    fn what_the_server_asks_for_is_waited_for_once_and_within_reason() {
        let told = RetryAfter::default();
        let mut pauses = Pauses::new(told.clone());
        after(&told, "7");
        let pause = pauses.next().unwrap();
        assert!(
            pause >= Duration::from_secs(7) && pause < Duration::from_secs(9),
            "{pause:?}"
        );
        assert!(pauses.next().unwrap() <= Duration::from_millis(400));

        after(&told, "86400");
        let pause = pauses.next().unwrap();
        assert!(
            pause >= LONGEST_TOLD && pause < LONGEST_TOLD * 5 / 4,
            "{pause:?}"
        );

        for nonsense in ["", "-1", "soon", "Fri, 31 Dec 1999 23:59:59 GMT"] {
            after(&told, nonsense);
            assert!(pauses.next().unwrap() <= LONGEST, "{nonsense}");
        }
        after(&told, "7");
        told.hear(Response::new(()));
        assert!(
            pauses.next().unwrap() <= LONGEST,
            "a later answer asks for nothing"
        );
    }
}
