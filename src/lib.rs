pub mod connection;
pub mod enums;
pub mod layer;
pub mod local;
pub mod migrate;
pub mod models;
#[rustfmt::skip]
pub mod schema;
pub mod error;
pub mod seed;
pub use error::{Error, Result};
