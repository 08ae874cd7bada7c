//! `dump`: the schema as SQL that is stable to commit.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use optiinfra_db::connection;
use optiinfra_db::local;
use optiinfra_db::raw::{Sql, sql};

use crate::args::Global;
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, write_atomically};
use crate::target;

/// Print the schema as SQL, the same whenever it is the same: to commit, and to compare.
///
/// pg_dump writes it, which has to be on this machine and as new as the server. What it says about versions, sessions, owners and
/// rights is left out. Another version of pg_dump may write the same schema differently.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to this file, whole or not at all.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

/// Prints or writes the schema.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let (mut conn, target) = target::connect_to(global, out, "dump")?;
    let schema = connection::session(&mut conn)?.schema;
    let version = sql::<Integer>("current_setting('server_version_num')::integer / 10000");
    let major: i32 = diesel::select(version).get_result(&mut conn).context("cannot ask for the server's version")?;
    let program = local::client_program("pg_dump", major.unsigned_abs())?;
    let (conninfo, password) = target.for_arguments();
    let mut command = Command::new(&program);
    command.args(["--schema-only", "--no-owner", "--no-privileges", "--lock-wait-timeout=30s"]);
    command.arg(format!("--schema={}", Sql::identifier(&schema))).arg("--dbname").arg(conninfo);
    command.envs(password.map(|password| ("PGPASSWORD", password)));
    let dumped = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    if !dumped.status.success() {
        let said = target.scrub(&String::from_utf8_lossy(&dumped.stderr));
        bail!(Hinted::new(format!("pg_dump failed: {said}"), "`optiinfra-dbctl doctor` shows what the role may read"));
    }
    let schema = normalized(&String::from_utf8(dumped.stdout).context("pg_dump did not write UTF-8")?);
    match &args.output {
        Some(path) => write_atomically(path, &schema)?,
        None => out.print_raw(&schema)?,
    }
    Ok(Exit::Done)
}

/// The statements without what differs from one run, session or version to another.
fn normalized(dump: &str) -> String {
    const FIRST: &str = "--\n-- Name: ";
    const SESSION: [&str; 2] = ["SET default_tablespace = ", "SET default_table_access_method = "];
    // Before the first object stand the settings of a session.
    let objects = dump.find(FIRST).map_or("", |first| &dump[first..]);
    let objects = objects.split("--\n-- PostgreSQL database dump complete").next().unwrap_or_default();
    let mut normalized = String::new();
    for line in objects.lines().filter(|line| !SESSION.iter().any(|setting| line.starts_with(setting))) {
        if !(line.is_empty() && normalized.ends_with("\n\n")) {
            // The schema public is in every database.
            let schema = line.strip_prefix("CREATE SCHEMA ");
            normalized += &schema.map_or_else(|| line.to_owned(), |name| format!("CREATE SCHEMA IF NOT EXISTS {name}"));
            normalized.push('\n');
        }
    }
    normalized.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let dump = "--\n-- PostgreSQL database dump\n--\n\n\\restrict aB3\n\n-- Dumped from database version 15.18\n\
                    SET statement_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\n\
                    --\n-- Name: a; Type: TYPE; Schema: public; Owner: -\n--\n\nCREATE TYPE public.a AS ENUM ();\n\n\n\
                    SET default_tablespace = '';\n\nSET default_table_access_method = heap;\n\n--\n-- Name: b\n--\n\nSELECT 1;\n\n\n\
                    --\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict aB3\n\n";
        assert_eq!(
            normalized(dump),
            "--\n-- Name: a; Type: TYPE; Schema: public; Owner: -\n--\n\nCREATE TYPE public.a AS ENUM ();\n\n\
             --\n-- Name: b\n--\n\nSELECT 1;\n"
        );
        assert_eq!(normalized("--\n-- PostgreSQL database dump\n--\n"), "\n");
    }
}
