//! Objects as YAML, the way people write it: what a field does not say is left out.

use serde::Serialize;

/// One document, without a separator.
pub fn to_yaml(value: &impl Serialize) -> String {
    // Everything written here is made of strings, numbers and maps with string keys.
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// Documents, separated.
pub(super) fn documents(values: &[impl Serialize]) -> String {
    let texts: Vec<_> = values.iter().map(to_yaml).collect();
    texts.join("---\n")
}
