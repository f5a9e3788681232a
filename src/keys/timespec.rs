//! `expiry-time=`: `YYYYMMDD` or `YYYYMMDDHHMM[SS]`, in local time unless it ends in `Z` or `UTC`
//! (sshd(8), AUTHORIZED_KEYS FILE FORMAT). The only place that names the time zone library.

use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Parse an `expiry-time` value.
pub(super) fn parse(text: &str) -> Result<SystemTime, String> {
    let bad = || format!("invalid expiry time \"{text}\"");
    let (digits, zone) = match text
        .strip_suffix(['Z', 'z'])
        .or_else(|| text.strip_suffix("UTC"))
    {
        Some(digits) => (digits, TimeZone::UTC),
        None => (text, TimeZone::system()),
    };
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let part = |from: usize, to: usize| -> i16 {
        digits
            .get(from..to)
            .and_then(|part| part.parse().ok())
            .unwrap_or(0)
    };
    let small = |from: usize| part(from, from + 2) as i8;
    let civil = DateTime::new(
        part(0, 4),
        small(4),
        small(6),
        small(8),
        small(10),
        small(12),
        0,
    )
    .map_err(|_| bad())?;
    let time = civil.to_zoned(zone).map_err(|_| bad())?.timestamp();
    // sshd keeps seconds since 1970 and takes 0 for "never".
    if time.as_second() <= 0 {
        return Err(bad());
    }
    Ok(SystemTime::from(time))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_in_utc() {
        for (text, seconds) in [
            ("19700102Z", 86_400),
            ("20380119Z", 2_147_472_000),
            ("203801190314Z", 2_147_483_640),
            ("20380119031407Z", 2_147_483_647),
            ("20380119031407z", 2_147_483_647),
            ("20380119031407UTC", 2_147_483_647),
        ] {
            assert_eq!(
                parse(text),
                Ok(UNIX_EPOCH + Duration::from_secs(seconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn local_times_are_within_a_day_of_utc() {
        let utc = parse("203006151200Z").unwrap();
        let local = parse("203006151200").unwrap();
        let apart = utc
            .duration_since(local)
            .or_else(|_| local.duration_since(utc))
            .unwrap();
        assert!(apart <= Duration::from_secs(14 * 3600));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "Z",
            "2030",
            "20301301",
            "20300230",
            "2030060112",
            "203006011260",
            "2030-06-01",
            "tomorrow",
            "20300601\u{664}\u{664}",
            "19700101Z",
            "00000000",
            "+2030060",
            "2030 601",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
