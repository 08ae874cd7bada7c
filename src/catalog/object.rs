//! One object of a schema, of any kind.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::{
    Column, ColumnOrder, Comment, Constraint, Enum, Function, Index, OtherType, Partition, Policy, Table, Trigger,
};

/// What kind of object something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A table, view or sequence, and whether row security is on.
    Table,
    /// The names of a table's columns, in their order.
    ColumnOrder,
    /// A column: type, collation, nullability, default.
    Column,
    /// A constraint, and whether it is enforced and validated.
    Constraint,
    /// An index, and whether it is valid.
    Index,
    /// A trigger, and whether it is enabled.
    Trigger,
    /// A row security policy.
    Policy,
    /// An enum type: its labels in order.
    Enum,
    /// A domain, range or composite type.
    Type,
    /// A function with its body.
    Function,
    /// What `COMMENT ON` says of a table, column or type.
    Comment,
    /// A partition of a table. The contract has none: see [`super::Catalog::in_shape_of`].
    Partition,
}

impl Kind {
    /// Every kind, in the order of `catalog.txt`.
    pub const ALL: [Self; 12] = [
        Self::Table,
        Self::ColumnOrder,
        Self::Column,
        Self::Constraint,
        Self::Index,
        Self::Trigger,
        Self::Policy,
        Self::Enum,
        Self::Type,
        Self::Function,
        Self::Comment,
        Self::Partition,
    ];

    /// The word for it in messages, in `catalog.sql` and in `catalog.txt`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::ColumnOrder => "column order",
            Self::Column => "column",
            Self::Constraint => "constraint",
            Self::Index => "index",
            Self::Trigger => "trigger",
            Self::Policy => "policy",
            Self::Enum => "enum",
            Self::Type => "type",
            Self::Function => "function",
            Self::Comment => "comment",
            Self::Partition => "partition",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An object of a schema with its parts. Its `Display` is the definition that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is named as its type")]
pub enum Object {
    Table(Table),
    #[serde(rename = "column order")]
    ColumnOrder(ColumnOrder),
    Column(Column),
    Constraint(Constraint),
    Index(Index),
    Trigger(Trigger),
    Policy(Policy),
    Enum(Enum),
    Type(OtherType),
    Function(Function),
    Comment(Comment),
    #[serde(skip_serializing)]
    Partition(Box<Partition>),
}

impl Object {
    /// What kind of object it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Table(_) => Kind::Table,
            Self::ColumnOrder(_) => Kind::ColumnOrder,
            Self::Column(_) => Kind::Column,
            Self::Constraint(_) => Kind::Constraint,
            Self::Index(_) => Kind::Index,
            Self::Trigger(_) => Kind::Trigger,
            Self::Policy(_) => Kind::Policy,
            Self::Enum(_) => Kind::Enum,
            Self::Type(_) => Kind::Type,
            Self::Function(_) => Kind::Function,
            Self::Comment(_) => Kind::Comment,
            Self::Partition(_) => Kind::Partition,
        }
    }

    /// The table that it belongs to; `None` for what belongs to none.
    pub fn table(&self) -> Option<&str> {
        match self {
            Self::Table(it) => Some(&it.name),
            Self::ColumnOrder(it) => Some(&it.table),
            Self::Column(it) => Some(&it.table),
            Self::Constraint(it) => Some(&it.table),
            Self::Index(it) => Some(&it.table),
            Self::Trigger(it) => Some(&it.table),
            Self::Policy(it) => Some(&it.table),
            Self::Partition(it) => Some(&it.table),
            Self::Comment(it) => it.column.as_ref().map(|_| it.of.as_str()),
            Self::Enum(_) | Self::Type(_) | Self::Function(_) => None,
        }
    }

    /// Its name in messages and in `catalog.txt`; `table.name` for what belongs to a table.
    pub fn name(&self) -> String {
        match self {
            Self::Table(it) => it.name.clone(),
            Self::ColumnOrder(it) => it.table.clone(),
            Self::Column(it) => format!("{}.{}", it.table, it.name),
            Self::Constraint(it) => format!("{}.{}", it.table, it.name),
            Self::Index(it) => format!("{}.{}", it.table, it.name),
            Self::Trigger(it) => format!("{}.{}", it.table, it.name),
            Self::Policy(it) => format!("{}.{}", it.table, it.name),
            Self::Partition(it) => format!("{}.{}", it.table, it.name),
            Self::Enum(it) => it.name.clone(),
            Self::Type(it) => it.name.clone(),
            Self::Function(it) => it.signature.clone(),
            Self::Comment(it) => match &it.column {
                Some(column) => format!("{}.{column}", it.of),
                None => it.of.clone(),
            },
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(it) => it.fmt(f),
            Self::ColumnOrder(it) => it.fmt(f),
            Self::Column(it) => it.fmt(f),
            Self::Constraint(it) => it.fmt(f),
            Self::Index(it) => it.fmt(f),
            Self::Trigger(it) => it.fmt(f),
            Self::Policy(it) => it.fmt(f),
            Self::Enum(it) => it.fmt(f),
            Self::Type(it) => it.fmt(f),
            Self::Function(it) => it.fmt(f),
            Self::Comment(it) => it.fmt(f),
            Self::Partition(it) => it.fmt(f),
        }
    }
}
