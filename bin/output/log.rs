//! Log lines on stderr.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::args::Global;

/// Sends log lines to stderr: warnings, more with -v, or what `RUST_LOG` says.
pub fn start(global: &Global, color: bool) {
    let default = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(color)
        .with_target(false)
        .init();
}
