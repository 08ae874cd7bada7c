//! How a service starts: a pool, the schema brought up to date, then work.
//!
//! Run it against the local cluster:
//!
//! ```text
//! DATABASE_URL=$(optiinfra-dbctl local url) cargo run --example service_startup
//! ```

use std::error::Error;

use diesel::prelude::*;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::migrate::{self, StartupPolicy};
use optiinfra_db::models::Agent;
use optiinfra_db::schema::agents;

fn main() -> Result<(), Box<dyn Error>> {
    let target = Target::parse(&std::env::var("DATABASE_URL")?)?;
    let pool = connection::pool(&target, 8, "service_startup")?;

    // Of twenty replicas that get here at once, one applies what is pending and the others wait for it.
    let mut conn = pool.get()?;
    let report = migrate::ensure_current(&mut conn, &StartupPolicy::default())?;
    say(&format!("{} migrations applied, the newest is {:?}", report.steps.len(), report.head));

    for agent in Agent::query().order(agents::name).load(&mut conn)? {
        say(&format!("{} agent {} is {}", agent.type_, agent.name, agent.status));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn say(line: &str) {
    println!("{line}");
}
