//! Where the fuzzer comes in (tests/fuzz): for each thing that others write and we read, a function
//! that takes any bytes at all and panics when what should hold does not. In tests, and with the feature
//! `fuzz`, which the fuzzer is built with.

use crate::{cli, commands, keys, server, session, sftp};

/// Bytes in; a panic is a finding.
pub type Target = fn(&[u8]);

/// Every target by its name, which is its corpus's too.
pub const TARGETS: [(&str, Target); 11] = [
    ("authorized_keys", keys::fuzz::authorized_keys),
    ("certificate", keys::fuzz::certificate),
    ("channel", session::fuzz::requests),
    ("config", cli::fuzz::serve),
    ("connect", commands::connect::fuzz::answer),
    ("environment", session::fuzz::environment),
    ("hostkeys", server::fuzz::hostkeys_prove),
    ("krl", keys::fuzz::krl),
    ("options", keys::fuzz::options),
    ("proxy", server::fuzz::proxy_header),
    ("sftp", sftp::fuzz::session),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::TARGETS;

    #[test]
    fn every_input_of_the_corpus_holds() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        for (name, target) in TARGETS {
            let inputs = fs::read_dir(corpus.join(name)).expect("a corpus for each target");
            for input in inputs {
                target(&fs::read(input.expect("an entry").path()).expect("an input"));
            }
        }
    }
}
