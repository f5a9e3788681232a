//! `podssh render`: the Kubernetes objects of one workspace as YAML, on standard output.

use std::io::Write;

use super::{Failed, report, wanted};
use crate::cli::RenderArgs;
use crate::{cluster, exit_code};

/// Run it.
pub fn run(args: &RenderArgs) -> u8 {
    match render(args) {
        Ok(()) => 0,
        Err(failed) => report(&failed),
    }
}

fn render(args: &RenderArgs) -> Result<(), Failed> {
    let workspace = wanted::workspace(&args.workspace, args.namespace.as_deref())?;
    let text = cluster::render(&workspace).map_err(|error| Failed::new(exit_code::USAGE, error))?;
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|error| Failed::new(exit_code::SOFTWARE, error))
}
