//! `--compat`: how old a client may be.

use std::str::FromStr;

/// Which algorithms are offered beside those nothing is to be said against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compat {
    /// Nothing: key exchange that a quantum computer will not undo, which clients have since 2022.
    None,
    /// What clients of today still need: X25519.
    Current,
    /// What was safe when they were made and is not broken: the NIST curves, finite-field groups
    /// from 2048 bits, encrypt-and-MAC, an ECDSA host key. Never SHA-1, never CBC.
    Old,
}

impl FromStr for Compat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "" | "current" => Ok(Self::Current),
            "old" => Ok(Self::Old),
            _ => Err(format!("--compat {text:?} is none of none, current, old")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_offers_more_than_the_one_before() {
        let steps = ["none", "current", "old"].map(|text| text.parse::<Compat>().unwrap());
        assert!(steps.is_sorted());
        assert!("yes".parse::<Compat>().unwrap_err().contains("--compat"));
    }
}
