//! The `podssh` binary: parse, run, exit code.

#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
mod name_service;

use std::process::ExitCode;

use podssh::cli::{Cli, Command};
use podssh::commands;

fn main() -> ExitCode {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    name_service::use_files_and_dns();
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
            Command::Doctor(args) => commands::doctor::run(*args),
            Command::Install(args) => commands::install::run(&args),
        },
    };
    ExitCode::from(code)
}
