//! What is there, as facts that can be compared with those that are wanted.

use std::collections::BTreeSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::{Prefix, Role};
use crate::catalog::{self, CROSS_CUSTOMER_POLICIES, Policy};
use crate::error::{Doing, Result};
use crate::layer;
use crate::raw::sql_query;

/// What a fact is about, in the order in which facts have to come true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The role `subject` is there.
    Role,
    /// It has the attribute `what`.
    Attribute,
    /// `subject` is a member of the role `object`.
    Membership,
    /// `subject` becomes the role `what` when it logs in to this database.
    Setting,
    /// `subject` sets `what` when it logs in, which decides for whom it works.
    OtherSetting,
    /// The schema or the database, as `object` says, belongs to `subject`.
    PlaceOwner,
    /// The table `object` belongs to `subject`.
    TableOwner,
    /// The enum type does.
    TypeOwner,
    /// The function does.
    FunctionOwner,
    /// `subject`, which owns the table `object`, has the privilege `what` on it.
    OwnerGrant,
    /// `subject` has the privilege `what` on the database.
    DatabaseGrant,
    /// On the schema.
    SchemaGrant,
    /// On the table `object`.
    TableGrant,
    /// On the column `object`.
    ColumnGrant,
    /// On every table that the role `object` will create in the schema.
    DefaultGrant,
    /// On every table that it will create in any schema.
    DefaultGrantEverywhere,
    /// The table `object` has the policy `subject` with the definition `what`.
    Policy,
    /// The table `object` has the column `subject`.
    Column,
    /// The view `object` gives `subject` the rights of its owner.
    View,
    /// The function `object` does.
    Definer,
}

impl Kind {
    pub(super) const fn is_ownership(self) -> bool {
        matches!(self, Self::TableOwner | Self::TypeOwner | Self::FunctionOwner)
    }

    /// Whether one that is not wanted is a finding. What others own is theirs.
    pub(super) const fn is_compared(self) -> bool {
        !matches!(self, Self::Column) && !self.is_ownership()
    }

    pub(super) const fn is_grant(self) -> bool {
        matches!(
            self,
            Self::DatabaseGrant
                | Self::SchemaGrant
                | Self::TableGrant
                | Self::ColumnGrant
                | Self::DefaultGrant
                | Self::DefaultGrantEverywhere
        )
    }

    /// Whether one that is not wanted is somebody's decision that no statement of ours undoes.
    pub(super) const fn is_only_reported(self) -> bool {
        matches!(self, Self::OtherSetting | Self::PlaceOwner | Self::View | Self::Definer)
    }
}

/// Something that is so, or should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fact {
    pub(super) kind: Kind,
    pub(super) object: String,
    pub(super) subject: String,
    pub(super) what: String,
}

impl Fact {
    pub(super) fn new(kind: Kind, object: &str, subject: &str, what: &str) -> Self {
        Self { kind, object: object.to_owned(), subject: subject.to_owned(), what: what.to_owned() }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    object: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Text)]
    what: String,
}

/// The histories of migrations: read by whoever starts up or verifies, written by the owner.
pub(super) const HISTORIES: [&str; 2] = ["__diesel_schema_migrations", "__optiinfra_migrations"];

/// The tables whose rights are compared.
pub(super) fn all_tables() -> impl Iterator<Item = &'static str> {
    layer::tables().map(|(_, table)| table).chain(HISTORIES)
}

/// Reads what is there. Only the catalogue is looked at, so any role may do it.
pub(super) fn read(conn: &mut PgConnection, prefix: &Prefix) -> Result<BTreeSet<Fact>> {
    let roles: Vec<_> = Role::ALL.iter().map(|role| role.name(prefix)).collect();
    let types: Vec<_> = catalog::contract().enums().map(|known| known.name.as_str()).collect();
    let rows: Vec<Row> = sql_query(include_str!("state.sql"))
        .bind::<Array<Text>, _>(roles)
        .bind::<Array<Text>, _>(all_tables().collect::<Vec<_>>())
        .bind::<Array<Text>, _>(types)
        .load(conn)
        .doing("read the roles and their rights")?;
    let fact = |row: Row| {
        let kind = Kind::deserialize(row.kind.as_str().into_deserializer());
        let unknown = |error: serde::de::value::Error| diesel::result::Error::DeserializationError(error.into());
        Ok(Fact { kind: kind.map_err(unknown)?, object: row.object, subject: row.subject, what: row.what })
    };
    let mut facts: BTreeSet<_> =
        rows.into_iter().map(fact).collect::<QueryResult<_>>().doing("read the roles and their rights")?;
    let catalog = catalog::read(conn)?;
    facts.extend(catalog.policies().filter(|policy| is_ours(policy)).map(policy));
    facts.extend(catalog.columns().map(|column| Fact::new(Kind::Column, &column.table, &column.name, "")));
    Ok(facts)
}

fn is_ours(policy: &Policy) -> bool {
    CROSS_CUSTOMER_POLICIES.contains(&policy.name.as_str()) && all_tables().any(|table| table == policy.table)
}

/// In the words of CREATE POLICY, with the names of the roles in order.
fn policy(policy: &Policy) -> Fact {
    let mut sorted = policy.clone();
    sorted.roles.sort();
    let definition = sorted.to_string();
    let definition = definition.strip_prefix("AS PERMISSIVE ").unwrap_or(&definition);
    Fact::new(Kind::Policy, &policy.table, &policy.name, definition)
}
