//! The options field of an authorized_keys line, as sshd's `sshauthopt_parse` reads it: keywords in
//! any case, commas, values in double quotes with `\"` for a quote. Pure.
//!
//! Whoever adds an option honours it somewhere; there is no arm that ignores one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::SystemTime;

use super::addresses::Addresses;
use super::options::{HostPort, Options, Permission, Permissions};
use super::timespec;

/// As sshd's `SSH_AUTHOPT_ENV_MAX` and `SSH_AUTHOPT_PERMIT_MAX`, which bound what one line can ask.
const MAX_ENVIRONMENT: usize = 1024;
const MAX_PERMITS: usize = 4096;

const PERMISSIONS: [(&str, Permission); 5] = [
    ("pty", Permission::Pty),
    ("port-forwarding", Permission::PortForwarding),
    ("agent-forwarding", Permission::AgentForwarding),
    ("x11-forwarding", Permission::X11Forwarding),
    ("user-rc", Permission::UserRc),
];

/// What a line's options say: conditions for logging in, and what is allowed afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryOptions {
    /// The key does not log in itself but signs certificates that do.
    pub(super) cert_authority: bool,
    /// Certificate principals that may log in, instead of the user's name.
    pub(super) principals: Option<Vec<String>>,
    /// Where the client must connect from.
    pub(super) from: Option<Addresses>,
    /// FIDO signatures must prove that somebody touched the authenticator.
    pub(super) touch_required: bool,
    /// FIDO signatures must prove that the authenticator checked who it was.
    pub(super) verify_required: bool,
    /// What the login may do.
    pub(super) granted: Options,
}

impl Default for EntryOptions {
    fn default() -> Self {
        Self {
            cert_authority: false,
            principals: None,
            from: None,
            touch_required: true,
            verify_required: false,
            granted: Options::unrestricted(),
        }
    }
}

impl EntryOptions {
    /// Parse the whole field.
    pub(super) fn parse(field: &[u8]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = field;
        while !rest.is_empty() {
            // Like sshd, make nothing of a comma too many.
            if let Some((b',', tail)) = rest.split_first() {
                rest = tail;
                continue;
            }
            let (option, tail) = Item::split(rest)?;
            match option.value {
                Some(value) => options.set_value(&option.name, value)?,
                None => options.set_flag(&option.name)?,
            }
            if !matches!(tail.first(), None | Some(b',')) {
                return Err(format!("text behind the value of \"{}\"", option.name));
            }
            rest = tail;
        }
        options.checked()
    }

    fn set_flag(&mut self, name: &str) -> Result<(), String> {
        let (wanted, positive) = name
            .strip_prefix("no-")
            .map_or((true, name), |rest| (false, rest));
        if let Some((_, permission)) = PERMISSIONS.iter().find(|(known, _)| *known == positive) {
            self.granted.permissions.set(*permission, wanted);
            return Ok(());
        }
        match (positive, wanted) {
            ("restrict", true) => self.granted.permissions = Permissions::NONE,
            ("cert-authority", true) => self.cert_authority = true,
            ("touch-required", _) => self.touch_required = wanted,
            ("verify-required", _) => self.verify_required = wanted,
            ("tunnel", _) => return Err("tunnel devices are not supported".to_owned()),
            (
                "command" | "environment" | "from" | "expiry-time" | "principals" | "permitopen"
                | "permitlisten",
                true,
            ) => {
                return Err(format!("option \"{name}\" needs a value in double quotes"));
            }
            _ => return Err(format!("unknown option \"{name}\"")),
        }
        Ok(())
    }

    fn set_value(&mut self, name: &str, value: Vec<u8>) -> Result<(), String> {
        match name {
            "command" => set_once(&mut self.granted.command, OsString::from_vec(value), name),
            "principals" => set_once(&mut self.principals, names(&text(value)?)?, name),
            "from" => set_once(
                &mut self.from,
                Addresses::parse_patterns(&text(value)?)?,
                name,
            ),
            "expiry-time" => {
                let time = timespec::parse(&text(value)?)?;
                let earliest = self.granted.expires.map_or(time, |other| other.min(time));
                self.granted.expires = Some(earliest);
                Ok(())
            }
            "environment" => self.add_variable(&value),
            "permitopen" => push(
                &mut self.granted.permit_open,
                host_port(&text(value)?)?,
                name,
            ),
            "permitlisten" => {
                let value = text(value)?;
                let bare = if value.contains(':') {
                    value
                } else {
                    format!("*:{value}")
                };
                push(&mut self.granted.permit_listen, host_port(&bare)?, name)
            }
            "tunnel" => Err("tunnel devices are not supported".to_owned()),
            _ => Err(format!("unknown option \"{name}\"")),
        }
    }

    fn add_variable(&mut self, value: &[u8]) -> Result<(), String> {
        let invalid = || "environment needs NAME=value, a name of letters, digits and _".to_owned();
        let equals = value
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or_else(invalid)?;
        let (name, value) = value.split_at(equals);
        let valid = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if name.is_empty() || !name.iter().all(valid) {
            return Err(invalid());
        }
        let environment = &mut self.granted.environment;
        let name = String::from_utf8_lossy(name).into_owned();
        if environment.len() >= MAX_ENVIRONMENT {
            return Err(format!("more than {MAX_ENVIRONMENT} environment options"));
        }
        if !environment.iter().any(|(known, _)| *known == name) {
            let value = value.get(1..).unwrap_or_default().to_vec();
            environment.push((name, OsString::from_vec(value)));
        }
        Ok(())
    }

    /// Options that contradict each other.
    fn checked(self) -> Result<Self, String> {
        if self.principals.is_some() && !self.cert_authority {
            return Err("principals= without cert-authority".to_owned());
        }
        Ok(self)
    }
}

/// One option as written, its name in lower case and its value without quotes.
struct Item {
    name: String,
    value: Option<Vec<u8>>,
}

impl Item {
    fn split(text: &[u8]) -> Result<(Self, &[u8]), String> {
        let end = text
            .iter()
            .position(|byte| b",=\"".contains(byte))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if name.is_empty() {
            return Err("an empty option".to_owned());
        }
        match rest.first() {
            Some(b'=') => {
                let (value, rest) = dequote(rest.get(1..).unwrap_or_default())
                    .map_err(|reason| format!("option \"{name}\": {reason}"))?;
                Ok((
                    Self {
                        name,
                        value: Some(value),
                    },
                    rest,
                ))
            }
            Some(b'"') => Err(format!("a quote behind \"{name}\"")),
            _ => Ok((Self { name, value: None }, rest)),
        }
    }
}

/// A quoted value at the start of `text`, and what follows it. A backslash escapes a quote only.
fn dequote(text: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let Some((b'"', mut rest)) = text.split_first() else {
        return Err("the value does not start with a double quote".to_owned());
    };
    let mut value = Vec::new();
    loop {
        match rest {
            [b'\\', b'"', tail @ ..] => {
                value.push(b'"');
                rest = tail;
            }
            [b'"', tail @ ..] => return Ok((value, tail)),
            [byte, tail @ ..] => {
                value.push(*byte);
                rest = tail;
            }
            [] => return Err("the value has no closing quote".to_owned()),
        }
    }
}

fn text(value: Vec<u8>) -> Result<String, String> {
    String::from_utf8(value).map_err(|_| "a value is not UTF-8".to_owned())
}

fn names(list: &str) -> Result<Vec<String>, String> {
    if list.split(',').any(str::is_empty) {
        return Err("an empty name in principals=".to_owned());
    }
    Ok(list.split(',').map(str::to_owned).collect())
}

fn set_once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("option \"{name}\" is given twice")),
    }
}

fn push(list: &mut Option<Vec<HostPort>>, item: HostPort, name: &str) -> Result<(), String> {
    let list = list.get_or_insert_default();
    if list.len() >= MAX_PERMITS {
        return Err(format!("more than {MAX_PERMITS} {name} options"));
    }
    list.push(item);
    Ok(())
}

/// `host:port` with an IPv6 address in brackets; the port may be `*`.
fn host_port(text: &str) -> Result<HostPort, String> {
    let invalid = || format!("\"{text}\" is not host:port");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or_else(invalid)?,
        None => text.split_once(':').ok_or_else(invalid)?,
    };
    let port = match port {
        "*" => None,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(
            digits
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(invalid)?,
        ),
        _ => return Err(invalid()),
    };
    if host.is_empty() || host.len() > 1024 {
        return Err(invalid());
    }
    Ok(HostPort {
        host: host.to_owned(),
        port,
    })
}

/// When something with this expiry stops being valid; sshd accepts it through its last second.
pub(super) fn has_expired(expires: Option<SystemTime>, now: SystemTime) -> bool {
    expires.is_some_and(|expires| expires < now)
}
