//! What is there, as facts that can be compared with those that are wanted.

use std::collections::BTreeSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};

use super::wanted::{CROSS_CUSTOMER, CROSS_CUSTOMER_READ, all_tables};
use super::{Prefix, Role};
use crate::enums;
use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// What a fact is about, in the order in which facts have to come true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    const ALL: [(&str, Self); 20] = [
        ("role", Self::Role),
        ("attribute", Self::Attribute),
        ("membership", Self::Membership),
        ("setting", Self::Setting),
        ("other setting", Self::OtherSetting),
        ("place owner", Self::PlaceOwner),
        ("table owner", Self::TableOwner),
        ("type owner", Self::TypeOwner),
        ("function owner", Self::FunctionOwner),
        ("owner grant", Self::OwnerGrant),
        ("database grant", Self::DatabaseGrant),
        ("schema grant", Self::SchemaGrant),
        ("table grant", Self::TableGrant),
        ("column grant", Self::ColumnGrant),
        ("default grant", Self::DefaultGrant),
        ("default grant everywhere", Self::DefaultGrantEverywhere),
        ("policy", Self::Policy),
        ("column", Self::Column),
        ("view", Self::View),
        ("definer", Self::Definer),
    ];

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
    pub(super) const fn is_only_told(self) -> bool {
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

/// Reads what is there. Only the catalogue is looked at, so any role may do it.
pub(super) fn read(conn: &mut PgConnection, prefix: &Prefix) -> Result<BTreeSet<Fact>> {
    let roles: Vec<_> = Role::ALL.iter().map(|role| role.name(prefix)).collect();
    let types: Vec<_> = enums::ALL.iter().map(|known| known.name).collect();
    let rows: Vec<Row> = sql_query(include_str!("state.sql"))
        .bind::<Array<Text>, _>(roles)
        .bind::<Array<Text>, _>(all_tables().collect::<Vec<_>>())
        .bind::<Array<Text>, _>(types)
        .bind::<Array<Text>, _>(vec![CROSS_CUSTOMER, CROSS_CUSTOMER_READ])
        .load(conn)
        .doing("read the roles and their rights")?;
    let fact = |row: Row| {
        let kind = Kind::ALL.iter().find(|(word, _)| *word == row.kind).map(|(_, kind)| *kind);
        let unknown = || diesel::result::Error::DeserializationError(format!("kind '{}'", row.kind).into());
        Ok(Fact { kind: kind.ok_or_else(unknown)?, object: row.object, subject: row.subject, what: row.what })
    };
    rows.into_iter().map(fact).collect::<QueryResult<_>>().doing("read the roles and their rights")
}
