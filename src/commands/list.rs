//! `podssh list`: the workspaces of a namespace, one a line.

use super::{Failed, place};
use crate::cli::ListArgs;
use crate::cluster::Listed;

/// Run it.
pub fn run(args: &ListArgs) -> u8 {
    place::run(list(args))
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let connection = place::connect(&args.place).await?;
    let found = connection.workspaces(args.all_namespaces).await?;
    let rows = found.iter().map(
        |Listed {
             namespace,
             name,
             state,
             image,
         }| {
            let host = format!("{name}.{namespace}.svc.cluster.local:80");
            [
                name.clone(),
                namespace.clone(),
                (*state).to_owned(),
                host,
                image.clone(),
            ]
        },
    );
    let head = ["NAME", "NAMESPACE", "STATE", "HOST", "IMAGE"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(String::len).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..5).map(width).collect();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        place::say(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
