//! `serve`: the metrics and the report over HTTP.

mod collector;
mod figures;
mod http;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, bail};

use self::figures::Figures;
use self::http::Server;
use crate::args::Global;
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::Output;
use crate::{interrupt, parse, target};

/// Serve the metrics and the report over HTTP until Ctrl-C or SIGTERM.
///
/// /metrics is what `stats --format prometheus` prints, and / the page of `stats --format html`, which refreshes itself.
/// /healthz answers while the process runs, /readyz while there are figures. The database is only read; a role with
/// pg_monitor is enough, and sees more with SELECT on the tables.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The address to listen on, and the port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9187")]
    pub listen: SocketAddr,

    /// For how long figures are shown before the database is asked again, however many want them: such as 5s or 1m.
    #[arg(long, value_name = "DURATION", default_value = "15s", allow_negative_numbers = true, value_parser = parse::interval)]
    pub interval: Duration,

    /// How long the database may take for them. A session that takes longer is given up, and the next one is new.
    #[arg(long, value_name = "DURATION", default_value = "1m", allow_negative_numbers = true, value_parser = parse::interval)]
    pub timeout: Duration,

    /// Listen where other machines can connect. Whoever does reads the report: there is no password.
    #[arg(long)]
    pub allow_remote: bool,
}

/// Serves until a signal comes.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let address = args.listen;
    if !address.ip().is_loopback() && !args.allow_remote {
        bail!(Hinted::new(
            format!("other machines can connect to {address}, and the pages have no password"),
            "listen on 127.0.0.1, or pass --allow-remote where a firewall or a proxy keeps strangers out",
        ));
    }
    let target = target::find(global, out)?;
    let listener = TcpListener::bind(address).map_err(|error| {
        Hinted::new(format!("cannot listen on {address}: {error}"), "pass another --listen ADDRESS:PORT")
    })?;
    let address = listener.local_addr().context("cannot tell the address")?;
    // From here on a signal is waited for below.
    interrupt::cancellable();
    let server = Server::start(listener, Figures::of(target, args.interval, args.timeout)?, args.allow_remote)?;
    out.note(&format!("serving http://{address}/ and http://{address}/metrics"))?;
    let exit = interrupt::pause(Duration::MAX);
    server.stop();
    Ok(exit.unwrap_or(Exit::Done))
}
