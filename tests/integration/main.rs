//! The whole suite in one binary, against one real PostgreSQL that lives as long as the binary does.
//!
//! Each test has a schema of its own, so they run in parallel and in any order.

mod support;

mod agent_state;
mod application;
mod constraints;
mod core;
mod enums;
mod migrate;
mod resource;
mod workflow_history;
