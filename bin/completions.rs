//! `completions` and `man`: what a package installs beside the binary.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output::Output;

/// Print a shell's completion script.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For this shell: eval \"$(optiinfra-dbctl completions bash)\". For every new one: put that line into ~/.bashrc; zsh and fish \
load completions from a folder, such as ~/.config/fish/completions.")]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Write the manual pages into a folder.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder, which is created where it is missing.
    dir: PathBuf,
}

/// Prints the completion script of a command line.
pub fn run(args: &Args, mut command: clap::Command, out: &mut Output) -> anyhow::Result<Exit> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    out.print_raw(&String::from_utf8(script)?)?;
    Ok(Exit::Done)
}

/// Writes a page for the command line and one for each of its commands.
pub fn man(args: &ManArgs, command: clap::Command) -> anyhow::Result<Exit> {
    let written = fs::create_dir_all(&args.dir).and_then(|()| clap_mangen::generate_to(command, &args.dir));
    written.with_context(|| format!("cannot write manual pages into {}", args.dir.display()))?;
    Ok(Exit::Done)
}
