//! What the commands that act on a cluster have in common: which one it is, and the runtime to speak to it.

use std::future::Future;
use std::io::Write;

use tokio::runtime::Builder;

use super::{Failed, report};
use crate::cli::PlaceArgs;
use crate::cluster::{Connection, Name, Namespace, Place, Trouble};
use crate::exit_code;

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self::new(trouble.code, trouble.sentence)
    }
}

/// Run a command to its exit code.
pub(super) fn run(command: impl Future<Output = Result<(), Failed>>) -> u8 {
    let runtime = Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(Failed::new(exit_code::SOFTWARE, error)),
    };
    match result {
        Ok(()) => 0,
        Err(failed) => report(&failed),
    }
}

/// Connect to the cluster that was named.
pub(super) async fn connect(args: &PlaceArgs) -> Result<Connection, Failed> {
    let namespace = args.namespace.as_deref().filter(|name| !name.is_empty());
    let namespace = namespace.map(Namespace::parse).transpose().map_err(usage)?;
    let place = Place {
        kubeconfig: args
            .kubeconfig
            .clone()
            .filter(|path| !path.as_os_str().is_empty()),
        context: args.context.clone().filter(|context| !context.is_empty()),
        namespace,
    };
    Ok(Connection::open(&place).await?)
}

/// A workspace's name as typed.
pub(super) fn name(text: &str) -> Result<Name, Failed> {
    Name::parse(text).map_err(usage)
}

/// One line of output.
pub(super) fn say(line: &str) -> Result<(), Failed> {
    let written = writeln!(std::io::stdout().lock(), "{line}");
    written.map_err(|error| Failed::new(exit_code::SOFTWARE, error))
}

pub(super) fn usage(sentence: String) -> Failed {
    Failed::new(exit_code::USAGE, sentence)
}
