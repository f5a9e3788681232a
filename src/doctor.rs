//! What is wrong with the surroundings of a workspace, each fault with its fix.
//!
//! [`Surroundings`] describes them; each family of checks below looks at a description and at the
//! files under its root, changes nothing, and yields a [`Finding`] for every thing it looked at.

mod clock;
mod finding;
mod home;
mod kernel;
mod keys;
mod libraries;
mod network;
mod places;
mod resources;
mod settings;
mod surroundings;
mod tools;

pub use self::clock::date_of;
pub use self::finding::{Finding, Severity};
pub use self::settings::Settings;
pub use self::surroundings::{Surroundings, Volume};

/// Every finding, in the order in which a reader would ask.
pub fn examine(surroundings: &Surroundings) -> Vec<Finding> {
    let families = [
        home::examine,
        keys::examine,
        places::examine,
        tools::examine,
        libraries::examine,
        kernel::examine,
        resources::examine,
        network::examine,
        clock::examine,
    ];
    families
        .iter()
        .flat_map(|family| family(surroundings))
        .collect()
}
