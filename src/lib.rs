pub mod connection;
pub mod enums;
pub mod layer;
pub mod local;
pub mod migrate;
pub mod models;
#[rustfmt::skip]
pub mod schema;
pub mod stats;
pub mod verify;
pub mod error;
pub use error::{Error, Result};
