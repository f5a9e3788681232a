//! Whether a text is a list of keys, for whoever is about to publish it as one.

use ssh_key::HashAlg;

use super::entry::Entry;

/// How many keys the lines of `text` name, in authorized_keys format; or the first bad line, counted
/// from 1, and why it is bad.
pub fn count_entries(text: &[u8]) -> Result<usize, (usize, String)> {
    let mut count = 0;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let entry = Entry::parse(line).map_err(|reason| (index + 1, reason))?;
        count += usize::from(entry.is_some());
    }
    Ok(count)
}

/// A line a key, as `ssh-keygen -l` tells keys apart; a bad line says what is wrong with it.
pub fn fingerprints(text: &[u8]) -> Vec<String> {
    let lines = text.split(|byte| *byte == b'\n');
    let shown = lines.filter_map(|line| match Entry::parse(line) {
        Ok(entry) => entry.map(|entry| {
            let key = entry.key;
            format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
        }),
        Err(reason) => Some(format!("unusable: {reason}")),
    });
    shown.collect()
}
