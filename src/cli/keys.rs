//! What `podssh keys` may be told.

use clap::{Args, Subcommand};

use super::PlaceArgs;

/// Flags of `podssh keys`.
#[derive(Args, Clone, Debug)]
pub struct KeysArgs {
    /// What to do
    #[command(subcommand)]
    pub action: KeysAction,
}

/// What can be done with the keys of a workspace.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysAction {
    /// Let somebody in, or give somebody who is in other keys
    Add {
        /// Name of the workspace
        name: String,
        /// Public key files, each under the name of its person [default: the file's name]
        #[arg(value_name = "[PERSON=]FILE", required = true)]
        keys: Vec<String>,
        /// Where
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Let somebody in no more; the sessions of that key end
    Remove {
        /// Name of the workspace
        name: String,
        /// Whose
        person: String,
        /// Where
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Print who may log in, with fingerprints
    List {
        /// Name of the workspace
        name: String,
        /// Where
        #[command(flatten)]
        place: PlaceArgs,
    },
}
