//! The binary: parses, calls the library, prints, and chooses the exit code.

mod args;
mod cli;
mod cluster;
mod completions;
mod database;
mod doctor;
mod dotenv;
mod dump;
mod exit;
mod export;
mod hints;
mod import;
mod interrupt;
mod junit;
mod local;
mod migrate;
mod output;
mod parse;
mod partitions;
mod report;
mod retention;
mod roles;
mod schema;
mod seed;
mod serve;
mod stats;
mod target;
mod test_server;
mod unfinished;
mod verify;
mod wait;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output::Output;

fn main() -> ExitCode {
    output::catch_panics(output::wants_json(std::env::args_os()));
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error, std::env::args_os()).into(),
    };
    let mut out = Output::new(&cli.global, cli.command.is_json());
    match interrupt::finish(run(&cli, &mut out)) {
        Ok(exit) => exit.into(),
        Err(error) if exit::is_broken_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            let exit = Exit::of(&error);
            out.error(&error, exit);
            exit.into()
        }
    }
}

fn run(cli: &Cli, out: &mut Output) -> anyhow::Result<Exit> {
    target::refuse_stray_password(std::env::args_os())?;
    interrupt::listen().context("cannot listen for signals")?;
    cli.command.run(&cli.global, out)
}
