//! Columns and their types.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Column {
    /// The table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Its collation, where that is not the type's.
    pub collation: Option<String>,
    /// Whether it refuses null.
    pub not_null: bool,
    /// `ALWAYS` or `BY DEFAULT` of an identity column.
    pub identity: Option<String>,
    /// `STORED` or `VIRTUAL` of a generated column.
    pub generated: Option<String>,
    /// What is generated, or stands in a row that leaves the column out.
    pub expression: Option<String>,
}

impl Column {
    /// The default; `None` for a generated column too.
    pub fn default(&self) -> Option<&str> {
        self.expression.as_deref().filter(|_| self.generated.is_none())
    }

    /// Whether a new row has to have a value for it.
    pub fn is_required(&self) -> bool {
        self.not_null && self.expression.is_none() && self.identity.is_none()
    }

    /// The greatest number of characters that a text may have.
    pub const fn length(&self) -> Option<u32> {
        match self.data_type {
            DataType::Varchar(length) => length,
            _ => None,
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.data_type)?;
        if let Some(collation) = &self.collation {
            write!(f, " COLLATE {collation}")?;
        }
        if self.not_null {
            f.write_str(" NOT NULL")?;
        }
        if let Some(identity) = &self.identity {
            write!(f, " GENERATED {identity} AS IDENTITY")?;
        }
        match (&self.expression, &self.generated) {
            (Some(expression), Some(generated)) => write!(f, " GENERATED ALWAYS AS {expression} {generated}"),
            (Some(default), None) => write!(f, " DEFAULT {default}"),
            (None, _) => Ok(()),
        }
    }
}

/// The type of a column, as far as this code tells types apart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "String", into = "String")]
pub enum DataType {
    /// `uuid`
    Uuid,
    /// `text`
    Text,
    /// `character varying`, with its greatest length.
    Varchar(Option<u32>),
    /// `boolean`
    Boolean,
    /// `smallint`
    SmallInt,
    /// `integer`
    Integer,
    /// `bigint`
    BigInt,
    /// `real`
    Real,
    /// `double precision`
    Double,
    /// `jsonb`
    Jsonb,
    /// `timestamp with time zone`
    TimestampWithZone,
    /// `timestamp without time zone`
    TimestampWithoutZone,
    /// Any other, such as an enum type, by its name.
    Other(String),
}

const NAMES: [(DataType, &str); 11] = [
    (DataType::Uuid, "uuid"),
    (DataType::Text, "text"),
    (DataType::Varchar(None), "character varying"),
    (DataType::Boolean, "boolean"),
    (DataType::SmallInt, "smallint"),
    (DataType::Integer, "integer"),
    (DataType::BigInt, "bigint"),
    (DataType::Real, "real"),
    (DataType::Double, "double precision"),
    (DataType::Jsonb, "jsonb"),
    (DataType::TimestampWithZone, "timestamp with time zone"),
];
const WITHOUT_ZONE: &str = "timestamp without time zone";

impl DataType {
    /// Whether it is a moment.
    pub const fn is_time(&self) -> bool {
        matches!(self, Self::TimestampWithZone | Self::TimestampWithoutZone)
    }
}

impl From<String> for DataType {
    /// From the name that `format_type` gives it.
    fn from(name: String) -> Self {
        if let Some((known, _)) = NAMES.iter().find(|(_, known)| *known == name) {
            return known.clone();
        }
        if name == WITHOUT_ZONE {
            return Self::TimestampWithoutZone;
        }
        let length = name.strip_prefix("character varying(").and_then(|rest| rest.strip_suffix(')')?.parse().ok());
        length.map_or(Self::Other(name), |length| Self::Varchar(Some(length)))
    }
}

impl From<DataType> for String {
    fn from(data_type: DataType) -> Self {
        data_type.to_string()
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Varchar(Some(length)) => write!(f, "character varying({length})"),
            Self::Other(name) => f.write_str(name),
            known => {
                let name = NAMES.iter().find(|(other, _)| other == known).map_or(WITHOUT_ZONE, |(_, name)| name);
                f.write_str(name)
            }
        }
    }
}
