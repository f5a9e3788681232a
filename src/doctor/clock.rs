//! The clock. Certificates, `expiry-time=` in keys, TLS and make go wrong with a wrong one.
//!
//! There is no second clock in a container, so these stand in: no time before this program was
//! written is right; a file that another clock dated (a network home, a Secret) is not from the
//! future; and, only when asked to, a web server's `Date`.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::{Finding, Surroundings};

/// 2026-11-01, when this was written.
const WRITTEN: Duration = Duration::from_secs(1_793_491_200);
/// File servers may be a little ahead.
const LEEWAY: Duration = Duration::from_secs(60);
/// Beyond the first, logs mislead; beyond the second, short-lived certificates fail.
const NOTABLE: Duration = Duration::from_secs(10);
const HARMFUL: Duration = Duration::from_secs(120);

/// Everything about the clock.
pub(super) fn examine(s: &Surroundings) -> Vec<Finding> {
    let mut findings = vec![plausible(s), future(s)];
    findings.extend(
        s.reference
            .iter()
            .map(|(whose, time)| skew(s.now, whose, *time)),
    );
    findings
}

fn shown(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or("a time out of bounds".to_owned(), |time| {
        time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    })
}

const NODE: &str =
    "have the node's clock synchronised (chrony, systemd-timesyncd); a container cannot set it";

fn plausible(s: &Surroundings) -> Finding {
    let check = "clock.plausible";
    if s.now >= SystemTime::UNIX_EPOCH + WRITTEN {
        return Finding::ok(check, format!("the clock says {}", shown(s.now)));
    }
    let found = format!("the clock says {}, before podssh was written", shown(s.now));
    Finding::fault(check, found, NODE)
}

/// Files that a clock other than ours may have dated.
fn dated(s: &Surroundings) -> Vec<PathBuf> {
    let home = s.user.home.as_path();
    let state = home.join(".local/state/podssh");
    let mut paths = vec![home.to_owned(), home.join(".ssh/authorized_keys")];
    paths.extend(s.key_sources());
    paths.extend(s.settings.host_keys.clone());
    for directory in [
        state.clone(),
        state.join("host_keys"),
        "/etc/podssh/host_keys".into(),
    ] {
        let entries = std::fs::read_dir(s.at(&directory))
            .into_iter()
            .flatten()
            .flatten();
        paths.extend(
            entries
                .take(100)
                .map(|entry| directory.join(entry.file_name())),
        );
        paths.push(directory);
    }
    paths
}

fn future(s: &Surroundings) -> Finding {
    let check = "clock.files";
    let times = dated(s).into_iter().filter_map(|path| {
        let seconds = u64::try_from(std::fs::metadata(s.at(&path)).ok()?.mtime()).ok()?;
        Some((SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), path))
    });
    match times.max() {
        Some((time, path)) if time > s.now + LEEWAY => {
            let found = format!(
                "{} is dated {}, in the future: the clock is behind, or that of the file server ahead",
                path.display(),
                shown(time)
            );
            let fix = format!("{NODE}; if the clock is right: touch {}", path.display());
            Finding::warning(check, found, fix)
        }
        _ => Finding::ok(check, "no key or state file is from the future"),
    }
}

fn skew(now: SystemTime, whose: &str, reference: SystemTime) -> Finding {
    let check = "clock.skew";
    let (gap, direction) = match now.duration_since(reference) {
        Ok(gap) => (gap, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let found = format!(
        "the clock is {} s {direction} that of {whose}",
        gap.as_secs()
    );
    if gap > HARMFUL {
        Finding::fault(check, found, NODE)
    } else if gap > NOTABLE {
        Finding::warning(check, found, NODE)
    } else {
        Finding::ok(check, found)
    }
}

/// What the head of an HTTP answer says the time is (RFC 9110, section 6.6.1).
pub fn date_of(head: &str) -> Result<SystemTime, String> {
    let date = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| value.trim())
    });
    let date = date.ok_or("its answer has no Date")?;
    let parser = rfc2822::DateTimeParser::new();
    let time = parser
        .parse_timestamp(date)
        .map_err(|error| format!("its Date {date:?} cannot be read: {error}"))?;
    Ok(time.into())
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn the_gap_to_another_clock_is_judged_by_its_size_either_way() {
        let now = SystemTime::UNIX_EPOCH + WRITTEN;
        let verdict = |reference| skew(now, "x", reference).severity;
        assert_eq!(verdict(now), Severity::Ok);
        assert_eq!(verdict(now + Duration::from_secs(30)), Severity::Warning);
        assert_eq!(verdict(now - Duration::from_secs(300)), Severity::Fault);
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let head =
            "HTTP/1.1 204 No Content\r\nServer: x\r\ndate: Sun, 01 Nov 2026 00:00:00 GMT\r\n\r\n";
        assert_eq!(date_of(head), Ok(SystemTime::UNIX_EPOCH + WRITTEN));
        assert!(
            date_of("HTTP/1.1 200 OK\r\n\r\n")
                .unwrap_err()
                .contains("no Date")
        );
        assert!(date_of("HTTP/1.1 200 OK\r\nDate: soon\r\n").is_err());
    }
}
