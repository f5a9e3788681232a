//! Names matched by shell-like patterns: `*` and `?`, the whole name, upper and lower case distinct.

use wildmatch::WildMatch;

/// A list of patterns; matches what any of them matches.
#[derive(Clone, Debug, Default)]
pub struct Globs(Vec<WildMatch>);

impl Globs {
    /// Empty patterns, as a trailing comma leaves, match nothing.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Self {
        let given = patterns.iter().map(|pattern| pattern.as_ref().trim());
        Self(
            given
                .filter(|pattern| !pattern.is_empty())
                .map(WildMatch::new)
                .collect(),
        )
    }

    /// Whether any pattern matches the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }
}
