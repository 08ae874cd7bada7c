//! The properties that the targets try to break; the tests call the same ones.

#[path = "../../tests/properties/mod.rs"]
pub mod properties;
