//! The whole suite in one binary, against one real PostgreSQL that lives as long as the binary does.
//!
//! Each test has a schema of its own, so they run in parallel and in any order.

mod support;

mod migrate;
mod verify;
