//! The `podssh` binary: parse, run, exit code.

use std::process::ExitCode;

use podssh::cli::{Cli, Command};
use podssh::commands;

fn main() -> ExitCode {
    let code = match Cli::parse_args() {
        Err(code) => code,
        Ok(cli) => match cli.command {
            Command::Serve(args) => commands::serve::run(*args),
            Command::Connect(args) => commands::connect::run(&args),
            Command::HostKeys(args) => commands::host_keys::run(args),
            Command::Status(args) => commands::status::run(&args),
            Command::Render(args) => commands::render::run(&args),
            Command::Up(args) => commands::up::run(&args),
            Command::Down(args) => commands::down::run(&args),
            Command::List(args) => commands::list::run(&args),
            Command::Keys(args) => commands::keys::run(&args),
            Command::SshConfig(args) => commands::ssh_config::run(&args),
        },
    };
    ExitCode::from(code)
}
