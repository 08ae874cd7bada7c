//! A small service: it brings the schema up to date when it starts, and then answers over HTTP.
//!
//! ```text
//! DATABASE_URL=$(optiinfra-dbctl local url) cargo run --example service_startup
//! curl localhost:8080/healthz     # 200 while the process lives
//! curl localhost:8080/readyz      # 200 while the database has what this build needs, else 503
//! curl localhost:8080/agents      # the agents as JSON
//! ```
//!
//! `/healthz` does not ask the database: to restart a service because its database is away helps nobody. `/readyz`
//! does, with two SELECTs, and stays 200 on this replica while a newer one migrates.

use std::error::Error;
use std::io::Write;

use diesel::prelude::*;
use optiinfra_db::connection::{self, Pool, Target};
use optiinfra_db::migrate::{self, StartupPolicy};
use optiinfra_db::models::Agent;
use optiinfra_db::schema::agents;
use tiny_http::{Header, Response, Server};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Answer = Response<std::io::Cursor<Vec<u8>>>;

fn main() -> Result<()> {
    let target = Target::parse(&std::env::var("DATABASE_URL")?)?;
    let pool = start(&target)?;
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let server = Server::http(&address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
    writeln!(std::io::stdout(), "listening on {}", server.server_addr())?;
    serve(&server, &pool)
}

/// A pool on a database that has what this build needs.
///
/// Of twenty replicas that get here at once, one applies what is pending and the others wait for it. A database that is
/// ahead is accepted when its newer migrations are marked compatible, and refused when not.
fn start(target: &Target) -> Result<Pool> {
    let pool = connection::pool(target, "service_startup").max_size(8).build()?;
    let mut conn = pool.get()?;
    migrate::ensure_current(&mut conn, &StartupPolicy::default())?;
    drop(conn);
    Ok(pool)
}

/// Answers requests until the process ends.
fn serve(server: &Server, pool: &Pool) -> Result<()> {
    for request in server.incoming_requests() {
        let answer = answer(request.url(), pool);
        request.respond(answer)?;
    }
    Ok(())
}

fn answer(path: &str, pool: &Pool) -> Answer {
    match path {
        "/healthz" => text(200, "alive"),
        "/readyz" => match is_ready(pool) {
            Ok(true) => text(200, "ready"),
            Ok(false) => text(503, "migrations are pending"),
            Err(_) => text(503, "the database does not answer"),
        },
        "/agents" => match agents(pool) {
            Ok(json) => text(200, &json).with_header(json_header()),
            Err(_) => text(503, "the database does not answer"),
        },
        _ => text(404, "there are /healthz, /readyz and /agents"),
    }
}

fn is_ready(pool: &Pool) -> Result<bool> {
    let mut conn = pool.get()?;
    Ok(migrate::is_ready(&mut conn)?)
}

fn agents(pool: &Pool) -> Result<String> {
    let mut conn = pool.get()?;
    let agents: Vec<Agent> = Agent::query().order((agents::type_, agents::name)).load(&mut conn)?;
    Ok(serde_json::to_string(&agents)?)
}

fn text(status: u16, body: &str) -> Answer {
    Response::from_string(body).with_status_code(status)
}

#[expect(clippy::expect_used, reason = "the header is a constant")]
fn json_header() -> Header {
    Header::from_bytes("Content-Type", "application/json").expect("a header")
}
