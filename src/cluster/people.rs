//! Who may log in to a workspace: a name and authorized_keys lines each, as they stand in its Secret.

use std::collections::BTreeMap;

use crate::keys;

/// What a workspace with nobody's key holds instead: a comment, which lets nobody in.
pub(super) const PLACEHOLDER: (&str, &str) = (
    "placeholder",
    "# put a public key here, e.g. the content of ~/.ssh/id_ed25519.pub\n",
);

/// A Secret's data key may be this long.
const LONGEST: usize = 253;

/// Names with their authorized_keys lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People(pub(super) BTreeMap<String, String>);

impl People {
    /// Add `keys`, one or more lines of authorized_keys, under `person`. Every line must parse.
    pub fn add(&mut self, person: &str, keys: &str) -> Result<(), String> {
        check_name(person)?;
        let mut text = keys.trim_end().to_owned();
        text.push('\n');
        match keys::count_entries(text.as_bytes()) {
            Err((line, reason)) => Err(format!(
                "the key of {person} does not parse (line {line}: {reason}); give the content of a .pub file"
            )),
            Ok(0) => Err(format!(
                "there is no key for {person}; give the content of a .pub file"
            )),
            Ok(_) => {
                self.0.insert(person.to_owned(), text);
                Ok(())
            }
        }
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Each name with the fingerprints of its keys.
    pub fn fingerprints(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        self.0
            .iter()
            .map(|(person, text)| (person.as_str(), keys::fingerprints(text.as_bytes())))
    }

    /// Whether nobody may log in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the data of a Secret: never empty, so that the Secret can be seen to be meant.
    pub(super) fn data(&self) -> BTreeMap<String, String> {
        if self.is_empty() {
            let (name, text) = PLACEHOLDER;
            return BTreeMap::from([(name.to_owned(), text.to_owned())]);
        }
        self.0.clone()
    }
}

/// A person's name is a Secret's data key.
pub fn check_name(person: &str) -> Result<(), String> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let fits = !person.is_empty() && person.len() <= LONGEST && person.chars().all(allowed);
    // Files that start with .. are the mount's own.
    if fits && !person.starts_with('.') {
        return Ok(());
    }
    Err(format!(
        "{person:?} cannot name a person here; use letters, digits, '-', '_' and '.', not '.' first"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0qLYhwhE7gyF8+wrbDi+a38aUJj6ij+Z4EVy3fmXvr a";

    #[test]
    fn a_key_is_kept_as_a_line_under_its_persons_name() {
        let mut people = People::default();
        people.add("alice", &format!("{KEY}\n\n")).unwrap();
        assert_eq!(people.data()["alice"], format!("{KEY}\n"));
    }

    #[test]
    fn what_is_no_key_or_no_name_is_refused_with_the_reason() {
        let mut people = People::default();
        for (person, key, reason) in [
            ("alice", "hello", "does not parse"),
            ("alice", "# nothing", "no key for alice"),
            ("al/ice", KEY, "cannot name a person"),
            ("..data", KEY, "cannot name a person"),
            ("", KEY, "cannot name a person"),
        ] {
            let error = people.add(person, key).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(people.is_empty());
    }

    #[test]
    fn nobody_is_a_comment_that_lets_nobody_in() {
        let data = People::default().data();
        assert!(data.values().all(|text| text.starts_with('#')));
    }
}
