//! The line of a directory listing that goes with each name, as `ls -l` and OpenSSH write it.
//!
//! Clients such as lftp and old `sftp`s show it or take it apart, so the columns are OpenSSH's.

use std::fmt::{self, Write as _};

use nix::libc;
use nix::sys::stat::FileStat;

use super::names::Names;
use super::zone::Zone;

/// Half a year: younger files show the time of day, others the year. Seconds.
const RECENT: i64 = 365 * 24 * 60 * 60 / 2;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Write the line for `name` at the end of `line`; `now` in seconds since 1970.
pub(super) fn write(
    line: &mut Vec<u8>,
    name: &[u8],
    stat: &FileStat,
    names: &mut Names,
    zone: &Zone,
    now: i64,
) {
    // Writing to a Vec through this adapter cannot fail.
    let mut text = Text(line);
    let _ = write_columns(&mut text, stat, names);
    let _ = write_date(&mut text, zone, stat.st_mtime, now);
    line.push(b' ');
    line.extend_from_slice(name);
}

struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn write_columns(text: &mut Text<'_>, stat: &FileStat, names: &mut Names) -> fmt::Result {
    write_mode(text, stat.st_mode)?;
    write!(text, "  {:>3} ", stat.st_nlink as u32)?;
    match names.user(stat.st_uid) {
        Some(user) => write!(text, "{user:<8} ")?,
        None => write!(text, "{:<8} ", stat.st_uid)?,
    }
    match names.group(stat.st_gid) {
        Some(group) => write!(text, "{group:<8} ")?,
        None => write!(text, "{:<8} ", stat.st_gid)?,
    }
    write!(text, "{:>8} ", stat.st_size as u64)
}

/// Ten letters, as strmode(3).
fn write_mode(text: &mut Text<'_>, mode: u32) -> fmt::Result {
    text.write_char(match mode & libc::S_IFMT {
        libc::S_IFDIR => 'd',
        libc::S_IFLNK => 'l',
        libc::S_IFREG => '-',
        libc::S_IFBLK => 'b',
        libc::S_IFCHR => 'c',
        libc::S_IFIFO => 'p',
        libc::S_IFSOCK => 's',
        _ => '?',
    })?;
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.write_char(if bits & 4 != 0 { 'r' } else { '-' })?;
        text.write_char(if bits & 2 != 0 { 'w' } else { '-' })?;
        text.write_char(match (mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, false) => letter.to_ascii_uppercase(),
            (true, true) => letter,
        })?;
    }
    Ok(())
}

fn write_date(text: &mut Text<'_>, zone: &Zone, time: i64, now: i64) -> fmt::Result {
    let local = time.saturating_add(i64::from(zone.offset(time)));
    let (year, month, day) = date(local.div_euclid(86_400));
    let month = MONTHS.get(month - 1).copied().unwrap_or_default();
    if now - RECENT < time && now >= time {
        let minutes = local.rem_euclid(86_400) / 60;
        let (hour, minute) = (minutes / 60, minutes % 60);
        write!(text, "{month} {day:>2} {hour:02}:{minute:02}")
    } else {
        write!(text, "{month} {day:>2}  {year}")
    }
}

/// Year, month (1 to 12) and day of the Gregorian calendar, `days` after 1970-01-01. Counts from
/// the first of March of year 0, so that a leap day comes last in its year.
fn date(days: i64) -> (i64, usize, i64) {
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(mode: u32) -> String {
        let mut line = Vec::new();
        write_mode(&mut Text(&mut line), mode).unwrap();
        String::from_utf8(line).unwrap()
    }

    fn stamp(time: i64, now: i64) -> String {
        let mut line = Vec::new();
        write_date(&mut Text(&mut line), &Zone::utc(), time, now).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn modes_read_as_ls_shows_them() {
        assert_eq!(mode(0o040_755), "drwxr-xr-x");
        assert_eq!(mode(0o100_644), "-rw-r--r--");
        assert_eq!(mode(0o120_777), "lrwxrwxrwx");
        assert_eq!(mode(0o104_755), "-rwsr-xr-x");
        assert_eq!(mode(0o102_644), "-rw-r-Sr--");
        assert_eq!(mode(0o041_777), "drwxrwxrwt");
        assert_eq!(mode(0o010_600), "prw-------");
    }

    #[test]
    fn recent_files_show_a_time_and_others_a_year() {
        let now = 1_700_000_000;
        assert_eq!(stamp(now - 60, now), "Nov 14 22:12");
        assert_eq!(stamp(now + 60, now), "Nov 14  2023");
        assert_eq!(stamp(0, now), "Jan  1  1970");
        assert_eq!(stamp(951_782_400, now), "Feb 29  2000");
        assert_eq!(stamp(-1, now), "Dec 31  1969");
        assert!(!stamp(i64::MAX, now).is_empty());
        assert!(!stamp(i64::MIN, now).is_empty());
    }
}
