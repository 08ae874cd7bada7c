//! The binary: parses, calls the library, prints, and chooses the exit code.

mod charts;
mod cli;
mod csv;
mod exit;
mod export;
mod fleet;
mod hints;
mod html;
mod import;
mod interrupt;
mod junit;
mod local;
mod migrate;
mod output;
mod prometheus;
mod prometheus_label;
mod roles;
mod seed;
mod stats;
mod target;
mod verify;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use crate::cli::{Cli, Command, SeedAction};
use crate::exit::Exit;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error, std::env::args_os()).into(),
    };
    let mut out = Output::new(&cli.global);
    match interrupt::finish(run(&cli, &mut out)) {
        Ok(exit) => exit.into(),
        Err(error) if exit::is_broken_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            out.error(&error);
            Exit::of(&error).into()
        }
    }
}

fn run(cli: &Cli, out: &mut Output) -> anyhow::Result<Exit> {
    target::refuse_stray_password(std::env::args_os())?;
    interrupt::listen().context("cannot listen for signals")?;
    let global = &cli.global;
    cli.command.check_format(global.format)?;
    match &cli.command {
        Command::Migrate { apply, action } => migrate::run(apply, action.as_ref(), global, out),
        Command::Seed { action: Some(SeedAction::Fleet(args)), .. } => fleet::run(args, global, out),
        Command::Seed { layers, action: None } => {
            seed::run(layers, layers.chosen()?, &mut target::connect(global, out, "seed")?, out)
        }
        Command::Roles { action } => roles::run(action, global, out),
        Command::Local { action } => local::run(action, out),
        Command::Verify(args) => verify::run(args, global, &mut target::connect(global, out, "verify")?, out),
        Command::Stats(args) => stats::run(args, global, out),
        Command::Import(args) => import::run(args, global, out),
        Command::Export(args) => export::run(args, global, out),
    }
}
