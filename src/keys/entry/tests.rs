//! Tests of entry.

use std::ffi::OsStr;

use proptest::prelude::*;

use super::*;
use crate::keys::options::{HostPort, Permission};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDlGXyls41vyNkMefimxQwTTpguIIZhM2AVzKbHb2On";
const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7vbqajDhA";

fn entry(line: &str) -> Entry {
    Entry::parse(line.as_bytes()).unwrap().unwrap()
}

fn refusal(line: impl AsRef<[u8]>) -> String {
    Entry::parse(line.as_ref()).unwrap_err()
}

#[test]
fn layouts_that_name_a_key() {
    let plain = entry(KEY);
    for line in [
        format!("{KEY}\r"),
        format!("  \t{KEY} "),
        KEY.replace(' ', "\t \t"),
        format!("{KEY} a comment # with, \"everything"),
        format!("pty {KEY}"),
        format!("PTY,Cert-Authority\t {KEY}"),
    ] {
        assert_eq!(entry(&line).key.key_data(), plain.key.key_data(), "{line}");
    }
    assert_eq!(
        entry(&format!("{KEY}  alice at home\r"))
            .key
            .comment()
            .as_str_lossy(),
        "alice at home"
    );
    for line in ["", " \t", "\r", "# comment", "  # comment", "#\"unclosed"] {
        assert_eq!(Entry::parse(line.as_bytes()), Ok(None), "{line}");
    }
    assert!(
        Entry::parse(&[KEY.as_bytes(), b" \xff\xfe"].concat())
            .unwrap()
            .is_some()
    );
}

#[test]
fn every_option_is_understood() {
    let options = entry(&format!(
        "Command=\"echo \\\"a b\\\", c\\n\",environment=\"A=1\",environment=\"B=x=y z\",\
         environment=\"A=2\",from=\"10.0.0.0/8,!10.1.0.0/16\",expiry-time=\"20300101Z\",\
         expiry-time=\"20290101Z\",permitopen=\"a:1\",permitopen=\"[::1]:*\",permitlisten=\"8080\",\
         permitlisten=\"*:*\",no-pty,no-agent-forwarding,no-x11-forwarding,no-user-rc,\
         no-touch-required,no-port-forwarding,port-forwarding {KEY}"
    ))
    .options;
    let granted = &options.granted;
    assert_eq!(
        granted.command.as_deref(),
        Some(OsStr::new("echo \"a b\", c\\n"))
    );
    let wanted = [
        ("A".to_owned(), "1".into()),
        ("B".to_owned(), "x=y z".into()),
    ];
    assert_eq!(granted.environment, wanted);
    let earliest = super::super::timespec::parse("20290101Z").ok();
    assert_eq!(granted.expires, earliest);
    let place = |host: &str, port| HostPort {
        host: host.to_owned(),
        port,
    };
    assert_eq!(
        granted.permit_open,
        Some(vec![place("a", Some(1)), place("::1", None)])
    );
    assert_eq!(
        granted.permit_listen,
        Some(vec![place("*", Some(8080)), place("*", None)])
    );
    assert!(granted.permits(Permission::PortForwarding) && !granted.permits(Permission::Pty));
    assert!(!options.touch_required && options.from.is_some());
}

#[test]
fn restrict_takes_everything_and_later_options_give_back() {
    let granted = entry(&format!("restrict,pty,X11-forwarding {KEY}"))
        .options
        .granted;
    assert!(granted.permits(Permission::Pty) && granted.permits(Permission::X11Forwarding));
    assert!(!granted.permits(Permission::AgentForwarding) && !granted.permits(Permission::UserRc));
    let granted = entry(&format!("pty,restrict {KEY}")).options.granted;
    assert!(!granted.permits(Permission::Pty));
    let granted = entry(&format!(",no-pty,,no-user-rc, {KEY}"))
        .options
        .granted;
    assert!(!granted.permits(Permission::Pty) && !granted.permits(Permission::UserRc));
}

#[test]
fn lines_that_are_refused_say_why() {
    for (options, wanted) in [
        ("tunnel=\"0\"", "tunnel"),
        (
            "zos-key-ring-label=\"x\"",
            "unknown option \"zos-key-ring-label\"",
        ),
        ("frobnicate", "unknown option \"frobnicate\""),
        ("no-restrict", "unknown option"),
        ("no-command=\"x\"", "unknown option"),
        ("pty=\"yes\"", "unknown option"),
        ("command", "needs a value"),
        ("command=\"a\",command=\"a\"", "twice"),
        ("from=\"*\",from=\"*\"", "twice"),
        ("principals=\"a\"", "without cert-authority"),
        ("cert-authority,principals=\"a,,b\"", "empty name"),
        ("command=ls", "double quote"),
        ("command='ls'", "double quote"),
        ("command=\"ls\"x", "behind the value"),
        ("=\"x\"", "empty option"),
        ("environment=\"A\"", "NAME=value"),
        ("environment=\"=x\"", "NAME=value"),
        ("environment=\"A-B=x\"", "NAME=value"),
        ("from=\"10.0.0.1/8\"", "behind its mask"),
        ("from=\"\"", "empty address"),
        ("expiry-time=\"soon\"", "expiry time"),
        ("permitopen=\"8080\"", "host:port"),
        ("permitopen=\"a:0\"", "host:port"),
        ("permitopen=\"a:70000\"", "host:port"),
        ("permitopen=\"::1:80\"", "host:port"),
        ("permitlisten=\"x\"", "host:port"),
        ("verify-required", "not a FIDO key"),
        ("command=\"open", "not closed"),
    ] {
        let reason = refusal(format!("{options} {KEY}"));
        assert!(reason.contains(wanted), "{options}: {reason}");
    }
    for (line, wanted) in [
        ("ssh-ed25519", "no key data"),
        ("ssh-ed25519 !!!!", "damaged"),
        (
            "ecdsa-sha2-nistp256 AAAAC3NzaC1lZDI1NTE5AAAAIIDlGXyls41vyNkMefimxQwTTpguIIZhM2AVzKbHb2On",
            "damaged",
        ),
        ("ssh-dss AAAA", "DSA"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
        (RSA_1024, "damaged"),
        ("pty", "no key"),
        ("hello world", "not a known key type"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("ssh-ed25519 AAAA\0AAAA", "NUL"),
    ] {
        let reason = refusal(line);
        assert!(reason.contains(wanted), "{line}: {reason}");
    }
    assert!(refusal(format!("command=\"{}\" {KEY}", "x".repeat(70_000))).contains("longer"));
}

/// Options as text from parts, and the line's meaning: what is written is what is read.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\\\""))
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Entry::parse(&line);
        let _ = Entry::parse(&[&line, b" ".as_slice(), KEY.as_bytes()].concat());
    }

    #[test]
    fn no_text_of_the_grammars_own_letters_makes_it_panic(
        line in "(command|from|environment|expiry-time|permitopen|principals|no-|pty|restrict|=|\"|\\\\|,| |[0-9a:./*!\\[\\]]){0,30}",
    ) {
        let _ = Entry::parse(line.as_bytes());
        let _ = Entry::parse(format!("{line} {KEY}").as_bytes());
    }

    #[test]
    fn what_is_written_is_what_is_read(
        // A backslash before the closing quote cannot be written: sshd has no escape for it.
        command in "[^\0\r\n]{0,30}[^\0\r\n\\\\]",
        name in "[A-Za-z_][A-Za-z0-9_]{0,10}",
        value in "([^\0\r\n\\\\]{0,20})",
        host in "[a-z0-9.-]{1,20}",
        port in 1u16..,
        allow_pty in any::<bool>(),
    ) {
        // Nor can a backslash right before a quote: there it escapes.
        prop_assume!(!command.contains("\\\""));
        let pty = if allow_pty { "pty" } else { "no-pty" };
        let line = format!(
            "{pty},command={},environment={},permitopen=\"{host}:{port}\" {KEY} comment",
            quoted(&command), quoted(&format!("{name}={value}")),
        );
        let granted = entry(&line).options.granted;
        prop_assert_eq!(granted.command.as_deref(), Some(OsStr::new(&command)));
        prop_assert_eq!(granted.environment.first(), Some(&(name, value.into())));
        prop_assert_eq!(granted.permit_open.as_deref(), Some(&[HostPort { host, port: Some(port) }][..]));
        prop_assert_eq!(granted.permits(Permission::Pty), allow_pty);
    }
}
