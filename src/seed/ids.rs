//! The fixed ids of the seed: known before a row is written, the same in every database.
//!
//! | id | row |
//! | --- | --- |
//! | `00000000-0000-0000-0000-00000000000N` | a customer of the core layer |
//! | `00000000-0000-0000-0000-00000000010N` | an agent of the core layer |
//! | any of version 5 | every other row: SHA-1 of `table/key` in [`NAMESPACE`] |
//!
//! The files of the layers hold the ids as they are. A key is made of what names the row for a person and never of a
//! time, so a seed with another anchor finds the rows of an earlier one. Whoever changes a key, the namespace or an id
//! abandons the rows in databases already seeded: the seed no longer knows them as its own.

use uuid::Uuid;

/// Namespace of the version 5 ids: `optiinfra-dbctl.seed` in the DNS namespace.
pub const NAMESPACE: Uuid = Uuid::from_u128(0xde241ec9_a53a_56ae_b93a_3a1e299072a7);

/// Acme Corp, enterprise plan. (0.2a)
pub const ACME: Uuid = Uuid::from_u128(0x1);
/// StartupCo, startup plan. (0.2a)
pub const STARTUPCO: Uuid = Uuid::from_u128(0x2);
/// Demo Customer, free plan. (0.2a)
pub const DEMO: Uuid = Uuid::from_u128(0x3);

/// orchestrator-main. (0.2a)
pub const ORCHESTRATOR: Uuid = Uuid::from_u128(0x101);
/// cost-agent-1. (0.2a)
pub const COST_AGENT: Uuid = Uuid::from_u128(0x102);
/// performance-agent-1. (0.2a)
pub const PERFORMANCE_AGENT: Uuid = Uuid::from_u128(0x103);
/// resource-agent-1. (0.2a)
pub const RESOURCE_AGENT: Uuid = Uuid::from_u128(0x104);
/// application-agent-1. (0.2a)
pub const APPLICATION_AGENT: Uuid = Uuid::from_u128(0x105);

/// TechStart Inc, startup plan; arrives with the resource layer. (0.2d)
pub fn techstart() -> Uuid {
    of("customers", "TechStart Inc")
}

/// The id of a row of the seed, from its table and its key within the table.
pub fn of(table: &str, key: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{table}/{key}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_derived_from_its_name() {
        assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"optiinfra-dbctl.seed"));
    }

    #[test]
    fn ids_stay_what_they_are_in_databases_already_seeded() {
        assert_eq!(techstart().to_string(), "dac9c260-573a-5ff3-8a6b-b9f43239aee5");
        assert_eq!(
            of("events", "StartupCo performance_degradation").to_string(),
            "7beddf63-7e5c-53bf-ba8d-f310313c4945"
        );
        assert_eq!(of("quality_metrics", "gpt-4 00 00").to_string(), "e08c0b39-e353-5c99-bbce-01b2ee0566c8");
    }
}
