//! `wait`: until the server takes connections.

use crate::args::Global;
use crate::exit::Exit;
use crate::output::Output;
use crate::target;

/// Wait until the server takes connections, at most 60 seconds or as long as --wait says.
///
/// A refusal that does not pass by itself, such as a database that does not exist, is an error at once.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Waits.
pub fn run(global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    target::wait(global, out)?;
    Ok(Exit::Done)
}
