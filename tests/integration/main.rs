//! The whole suite in one binary, against one real PostgreSQL that lives as long as the binary does.
//!
//! Each test has a schema of its own, so they run in parallel and in any order.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends where its world is not as expected"
)]
#![expect(clippy::disallowed_methods, reason = "a test asks the database as it likes")]
#![expect(clippy::print_stderr, reason = "what cannot be cleaned up is told to whoever runs the tests")]

mod support;

mod adopt;
mod agent_state;
mod any_input;
mod application;
mod cli;
mod cluster;
mod concurrency;
mod connection;
mod constraints;
mod core;
mod database;
mod dependencies;
mod deploy;
mod doctor;
mod dump;
mod encodings;
mod enums;
mod fleet;
mod html;
mod ingest;
mod ingest_faults;
mod interruption;
mod json_schema;
mod leaks;
mod load;
mod local;
mod locks;
mod migrate;
mod online;
mod partitions;
mod plan_scripts;
mod portable;
mod probes;
mod properties;
mod proposal;
mod raw;
mod resource;
mod retention;
mod roles;
mod rules;
mod runbook;
mod schema_rules;
mod seed;
mod serve;
mod service;
mod settings;
mod sqlstate;
mod standby;
mod stats;
mod stats_formats;
mod structure;
mod tenancy;
mod testing;
mod tls;
mod tools;
mod transfer;
mod verify;
mod verify_faults;
mod verify_formats;
mod verify_seed;
mod workflow_history;
