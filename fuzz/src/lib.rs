//! The properties that the targets try to break; the tests call the same ones.

#[path = "../../tests/integration/properties.rs"]
pub mod properties;
