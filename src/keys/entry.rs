//! One line of an authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT): options, key type,
//! base64 key, comment. Pure: bytes in, [`Entry`] or the reason out; never panics.
//!
//! Every option is either honoured or makes its line refuse, never silently ignored.

use ssh_key::PublicKey;

use super::entry_options::EntryOptions;
use super::key_type;

/// A command may be long, an RSA key of 16384 bits takes 2.8 KiB; sshd stops reading at 8 KiB.
const MAX_LINE: usize = 64 * 1024;

/// A line that names a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: PublicKey,
    pub(super) options: EntryOptions,
}

impl Entry {
    /// Parse a line without its newline. `Ok(None)`: blank or a comment.
    pub(super) fn parse(line: &[u8]) -> Result<Option<Self>, String> {
        let line = trim_start(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() || line.first() == Some(&b'#') {
            return Ok(None);
        }
        if line.len() > MAX_LINE {
            return Err(format!("the line is longer than {MAX_LINE} bytes"));
        }
        if line.contains(&0) {
            return Err("the line contains a NUL byte".to_owned());
        }
        if let Some(key) = parse_key(line) {
            return Ok(Some(Self {
                key: key?,
                options: EntryOptions::default(),
            }));
        }
        let (options, rest) = split_options(line)?;
        match parse_key(trim_start(rest)) {
            Some(key) => Self {
                key: key?,
                options: EntryOptions::parse(options)?,
            }
            .checked(),
            None => Err(no_key(line, rest)),
        }
    }

    /// sshd lets `verify-required` pass on keys that cannot verify anybody; we refuse the line.
    fn checked(self) -> Result<Option<Self>, String> {
        let hardware = key_type::is_hardware(self.key.key_data());
        if self.options.verify_required && !hardware && !self.options.cert_authority {
            return Err("verify-required on a key that is not a FIDO key".to_owned());
        }
        Ok(Some(self))
    }

    /// Whether `line` looks like a key line at all, well-formed or not.
    pub(super) fn names_a_key_type(line: &[u8]) -> bool {
        line.split(|byte| b" \t\r".contains(byte))
            .any(key_type::is_name)
    }
}

/// The reason why neither the first field nor the one behind the options is a key type.
fn no_key(line: &[u8], rest: &[u8]) -> String {
    let field = first_field(trim_start(rest)).0;
    if line.starts_with(b"-----BEGIN") {
        "this is a private key or PEM file, not a list of public keys".to_owned()
    } else if field.is_empty() {
        "no key on this line".to_owned()
    } else {
        format!(
            "\"{}\" is not a known key type",
            String::from_utf8_lossy(field)
        )
    }
}

/// `type base64 [comment]`; `None` when the first field is not a key type.
fn parse_key(text: &[u8]) -> Option<Result<PublicKey, String>> {
    let (name, rest) = first_field(text);
    if !key_type::is_name(name) {
        return None;
    }
    let name = String::from_utf8_lossy(name).into_owned();
    let (data, comment) = first_field(trim_start(rest));
    Some(decode_key(&name, data, trim_start(comment)))
}

fn decode_key(name: &str, data: &[u8], comment: &[u8]) -> Result<PublicKey, String> {
    key_type::check_name(name)?;
    let data = std::str::from_utf8(data).map_err(|_| "the key is not base64".to_owned())?;
    if data.is_empty() {
        return Err(format!("no key data behind \"{name}\""));
    }
    let mut key = PublicKey::from_openssh(&format!("{name} {data}"))
        .map_err(|error| format!("the {name} key is damaged: {error}"))?;
    key_type::check_key(key.key_data())?;
    key.set_comment(String::from_utf8_lossy(comment).trim_end());
    Ok(key)
}

/// The options field: up to the first blank outside quotes.
fn split_options(line: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let mut quoted = false;
    let mut previous = 0;
    for (index, byte) in line.iter().enumerate() {
        match byte {
            b'"' if previous != b'\\' => quoted = !quoted,
            b' ' | b'\t' if !quoted => return Ok(line.split_at(index)),
            _ => {}
        }
        previous = *byte;
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    Ok((line, &[]))
}

fn first_field(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| b" \t".contains(byte))
        .unwrap_or(text.len());
    text.split_at(end)
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|byte| !b" \t".contains(byte))
        .unwrap_or(text.len());
    text.split_at(start).1
}

#[cfg(test)]
mod tests;
