//! `podssh doctor`: every finding as a table or as JSON, and an exit code that says whether there is
//! a fault.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Failed, report};
use crate::cli::DoctorArgs;
use crate::doctor::{self, Finding, Settings, Severity, Surroundings};
use crate::exit_code;
use crate::user::{User, Wanted};

/// For `--time-from`.
const ANSWER: Duration = Duration::from_secs(5);
/// No head of an answer is longer.
const MAX_HEAD: u64 = 64 * 1024;
/// The version of the JSON's form: raised when a field goes or changes its meaning.
const SCHEMA: u32 = 1;

/// Run it.
pub fn run(args: DoctorArgs) -> u8 {
    let json = args.json;
    let done = surroundings(args).and_then(|surroundings| {
        let findings = doctor::examine(&surroundings);
        let text = if json {
            as_json(&findings)
        } else {
            as_table(&findings)
        };
        let printed = writeln!(io::stdout(), "{text}");
        printed.map_err(|error| Failed::new(exit_code::SOFTWARE, error))?;
        Ok(code(&findings))
    });
    done.unwrap_or_else(|failed| report(&failed))
}

fn surroundings(args: DoctorArgs) -> Result<Surroundings, Failed> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let wanted = Wanted {
        name: args.user,
        home: args.home,
        shell: args.shell,
        env_home: variable("HOME").map(PathBuf::from),
        env_shell: variable("SHELL").map(PathBuf::from),
    };
    let user = User::resolve(wanted).map_err(|error| Failed::new(exit_code::CONFIG, error))?;
    let named = |paths: Vec<PathBuf>| {
        let named = paths
            .into_iter()
            .filter(|path| !path.as_os_str().is_empty());
        named.collect()
    };
    let given = Settings {
        authorized_keys: named(args.authorized_keys),
        home_authorized_keys: args.home_authorized_keys,
        user_ca: named(args.user_ca),
        host_keys: args.host_keys,
        keys_from_secret: args.keys_from_secret,
    };
    let settings = given.or(Settings::of_daemon(Path::new("/")));
    let mut surroundings = Surroundings::here(user, settings);
    surroundings.names = args.resolve;
    if let Some(url) = args.time_from {
        let (time, now) = ask_time(&url)?;
        surroundings.now = now;
        surroundings.reference = Some((url, time));
    }
    Ok(surroundings)
}

/// What a web server says the time is, and what we say it was then.
fn ask_time(url: &str) -> Result<(SystemTime, SystemTime), Failed> {
    let usage = || {
        let message = format!("--time-from {url:?} is not http://HOST[:PORT][/PATH]");
        Failed::new(exit_code::USAGE, message)
    };
    let rest = url.strip_prefix("http://").ok_or_else(usage)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.is_empty() || rest.contains(|letter: char| letter.is_whitespace()) {
        return Err(usage());
    }
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let failed = |error: &dyn std::fmt::Display| {
        let message = format!("--time-from {url}: {error}; name a server that answers");
        Failed::new(exit_code::UNAVAILABLE, message)
    };
    let head = head_of(&address, authority, path).map_err(|error| failed(&error))?;
    let now = SystemTime::now();
    let time = doctor::date_of(&head).map_err(|error| failed(&error))?;
    Ok((time, now))
}

fn head_of(address: &str, authority: &str, path: &str) -> io::Result<String> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in address.to_socket_addrs()? {
        let mut stream = match TcpStream::connect_timeout(&address, ANSWER) {
            Ok(stream) => stream,
            Err(error) => {
                last = error;
                continue;
            }
        };
        stream.set_read_timeout(Some(ANSWER))?;
        let request =
            format!("HEAD /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MAX_HEAD).read_to_end(&mut answer)?;
        return Ok(String::from_utf8_lossy(&answer).into_owned());
    }
    Err(last)
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    let such = findings
        .iter()
        .filter(|finding| finding.severity == severity);
    such.count()
}

fn code(findings: &[Finding]) -> u8 {
    if count(findings, Severity::Fault) == 0 {
        0
    } else {
        exit_code::UNAVAILABLE
    }
}

fn as_json(findings: &[Finding]) -> String {
    let worst = findings.iter().map(|finding| finding.severity).max();
    let check = |finding: &Finding| {
        let fix = Some(&finding.fix).filter(|fix| !fix.is_empty());
        json!({
            "id": finding.check,
            "severity": finding.severity.as_label(),
            "found": finding.found,
            "fix": fix,
        })
    };
    let checks: Vec<_> = findings.iter().map(check).collect();
    let report = json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "worst": worst.unwrap_or(Severity::Ok).as_label(),
        "faults": count(findings, Severity::Fault),
        "warnings": count(findings, Severity::Warning),
        "checks": checks,
    });
    format!("{report:#}")
}

fn as_table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max();
    let width = width.unwrap_or(0);
    let mut lines = Vec::new();
    for finding in findings {
        let (label, check) = (finding.severity.as_label(), finding.check);
        lines.push(format!("{label:<7}  {check:<width$}  {}", finding.found));
        if !finding.fix.is_empty() {
            lines.push(format!("{:<7}  {:<width$}  fix: {}", "", "", finding.fix));
        }
    }
    let plural = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    let faults = plural(count(findings, Severity::Fault), "fault");
    let warnings = plural(count(findings, Severity::Warning), "warning");
    let checks = plural(findings.len(), "check");
    lines.push(format!("{faults}, {warnings}, {checks}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_changes_the_exit_code() {
        let well = Finding::ok("a.b", "well");
        let so_so = Finding::warning("c.d", "so-so", "mend it");
        let bad = Finding::fault("e.f", "bad", "cure it");
        assert_eq!(code(&[well.clone(), so_so.clone()]), 0);
        assert_eq!(code(&[well.clone(), bad.clone()]), exit_code::UNAVAILABLE);
        let table = as_table(&[well.clone(), so_so.clone(), bad.clone()]);
        let wanted = "ok       a.b  well\nwarning  c.d  so-so\n              fix: mend it\n\
                      fault    e.f  bad\n              fix: cure it\n1 fault, 1 warning, 3 checks";
        assert_eq!(table, wanted);
        let report: serde_json::Value =
            serde_json::from_str(&as_json(&[well, so_so, bad])).unwrap();
        assert_eq!(report["worst"], "fault");
        assert_eq!(report["checks"][0]["fix"], serde_json::Value::Null);
        assert_eq!(report["checks"][2]["fix"], "cure it");
    }

    #[test]
    fn a_url_that_cannot_be_asked_is_refused_as_such() {
        for url in ["https://x/", "x", "http:///y", "http://a b/"] {
            assert_eq!(ask_time(url).unwrap_err().code, exit_code::USAGE, "{url}");
        }
    }
}
