//! Import and export: what is told of bad rows, what is written, and that what goes out comes back as it was.

mod bad_rows;
mod columns;
mod conflicts;
mod exports;
mod input;
mod other_tools;
#[cfg(feature = "parquet")]
mod parquet;
mod rejects;
mod retry;
mod round_trip;
mod sessions;
mod tables_of_text;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::Signal;
use optiinfra_db::enums::AgentType;
use optiinfra_db::ingest::OnConflict;
use optiinfra_db::migrate::{EMBEDDED, Goal, Migrator};
use optiinfra_db::models::{Agent, AgentMetric, Customer, NewEvent, NewQualityMetric, NewResourceMetric};
use optiinfra_db::transfer::import::{self, REJECTS_IN_REPORT};
use optiinfra_db::transfer::read::{self, Reader};
use optiinfra_db::transfer::{DefaultValue, Format, Kind, Mapping, Names, Table, export};
use optiinfra_db::verify::{self, Outcome};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Dbctl, Run, TestDb, customer, figures, ground, ground_of, limit, number, rounds, signal, until};

/// A folder of the test's own, for the files of a run.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// What is in it.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const METRIC_HEADER: &str = "agent,customer,instance_id,resource_type,metric_name,metric_value,unit,timestamp";

/// A line of a CSV file of samples.
fn metric(agent: &Agent, customer: &Customer, instance: &str, value: &str) -> String {
    format!("{},{},{instance},gpu,utilization,{value},percent,2025-10-20T12:00:00Z", agent.id, customer.id)
}

/// Imports a file; the arguments begin with the table.
fn import(db: &TestDb, arguments: &str, file: &Path) -> Run {
    let (table, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    Dbctl::on(db).args(&["import", table, file.to_str().unwrap(), "--format", "json"]).run(rest)
}

fn rows(conn: &mut PgConnection, table: &str) -> i64 {
    number(conn, &format!("SELECT count(*) FROM {table}"))
}

fn reasons(report: &Value) -> Vec<(u64, String, String)> {
    let rejects = report["rejects"].as_array().unwrap().iter();
    rejects
        .map(|reject| {
            let column = reject["column"].as_str().unwrap_or("-").to_owned();
            (reject["line"].as_u64().unwrap(), column, reject["reason"].as_str().unwrap().to_owned())
        })
        .collect()
}

fn write_metrics(path: &Path, agent: &Agent, customer: &Customer, count: usize) {
    let mut file = std::io::BufWriter::new(File::create(path).unwrap());
    writeln!(file, "{METRIC_HEADER}").unwrap();
    for at in 0..count {
        writeln!(file, "{}", metric(agent, customer, &format!("i-{at}"), "50")).unwrap();
    }
}
