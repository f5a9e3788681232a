//! Names of workspaces and namespaces: DNS labels, checked before anything is made of them.

use std::fmt;

use serde::Serialize;

/// A StatefulSet's name becomes a label value with an 11 character hash behind it, and labels end at 63.
const LONGEST_WORKSPACE: usize = 52;
/// RFC 1123 section 2.1, RFC 1035 section 2.3.4.
const LONGEST_LABEL: usize = 63;

/// A workspace's name: lower-case letters, digits and hyphens, a letter first, at most 52.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Name(String);

/// A namespace's name: as a workspace's, but a digit may be first, and at most 63.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Namespace(String);

impl Name {
    /// Check it; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        label("workspace name", text, LONGEST_WORKSPACE)?;
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(format!(
                "the workspace name {text:?} starts with a digit, which a Service's may not; put a letter first"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// This name with `-suffix`.
    pub fn with(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.0)
    }
}

impl Namespace {
    /// Check it; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        label("namespace", text, LONGEST_LABEL)?;
        Ok(Self(text.to_owned()))
    }

    /// One of ours, known to be good.
    pub(super) fn standard(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Whether the gateways of `manifests/gateway` route to it.
    pub fn is_routed(&self) -> bool {
        self.0.starts_with("ws-")
    }
}

fn label(what: &str, text: &str, longest: usize) -> Result<(), String> {
    let allowed =
        |letter: &char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || *letter == '-';
    let rule = "use lower-case letters, digits and hyphens, with no hyphen at either end";
    if text.is_empty() {
        return Err(format!("the {what} is empty; {rule}"));
    }
    if let Some(stray) = text.chars().find(|letter| !allowed(letter)) {
        return Err(format!("the {what} {text:?} has {stray:?} in it; {rule}"));
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(format!(
            "the {what} {text:?} has a hyphen at its end; {rule}"
        ));
    }
    if text.len() > longest {
        return Err(format!(
            "the {what} {text:?} is {} characters long; the most is {longest}",
            text.len()
        ));
    }
    Ok(())
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Namespace {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_is_a_name() {
        for good in ["a", "svc-a", "team-7-gpu", &"x".repeat(52)] {
            assert_eq!(Name::parse(good).unwrap().as_ref(), good);
        }
        assert!(Namespace::parse("7days").is_ok());
        assert!(Namespace::parse(&"x".repeat(63)).is_ok());
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        let long = "x".repeat(53);
        for (bad, reason) in [
            ("", "is empty"),
            ("Svc", "'S'"),
            ("a.b", "'.'"),
            ("a_b", "'_'"),
            ("größe", "'ö'"),
            ("-a", "hyphen at its end"),
            ("a-", "hyphen at its end"),
            ("7a", "starts with a digit"),
            (&long, "53 characters"),
        ] {
            let error = Name::parse(bad).unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains('\n'));
        }
    }
}
