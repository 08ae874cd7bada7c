//! The objects of a schema as typed values: read from a live database, and as this code expects them.
//!
//! Both sides are a [`Catalog`]. `contract.json` is what a freshly migrated database holds, one object a line, and
//! [`contract`] reads it as [`read`] reads a live one; `catalog.txt` is the same for people. So the lists of our tables'
//! columns, types, keys and policies come from there and are written nowhere else. What is wrong with a live schema is the [`Difference`] of the two.

#[cfg(any(feature = "stats", feature = "verify"))]
mod ask;
mod column;
mod constraint;
mod difference;
mod distributed;
mod index;
mod nodes;
mod object;
mod partition;
#[cfg(any(feature = "partitions", feature = "stats"))]
mod partition_sizes;
mod policy;
mod routine;
mod table;
mod types;

use std::sync::LazyLock;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

#[cfg(feature = "verify")]
pub(crate) use self::ask::Answer;
#[cfg(feature = "stats")]
pub(crate) use self::ask::IS_DISTRIBUTED;
#[cfg(any(feature = "stats", feature = "verify"))]
pub(crate) use self::ask::ask_nodes;
pub use self::column::{Column, DataType};
pub use self::constraint::{Constraint, ForeignKey, OnDelete, Rule};
pub use self::difference::{Difference, Entry, diff};
pub use self::distributed::{Cascade, Distribution, cascades};
pub use self::index::Index;
#[cfg(feature = "verify")]
pub(crate) use self::nodes::read_nodes;
pub use self::nodes::{Node, Shard, nodes, shards};
pub use self::object::{Kind, Object};
pub(crate) use self::partition::index_on;
pub use self::partition::{Bound, Bounds, HOT_TABLES, HotTable, Partition};
#[cfg(feature = "partitions")]
pub(crate) use self::partition::{moment, with_suffix};
#[cfg(any(feature = "partitions", feature = "stats"))]
pub use self::partition_sizes::{PartitionSize, partition_sizes};
pub use self::policy::{CROSS_CUSTOMER_POLICIES, CROSS_CUSTOMER_READ, Policy};
pub use self::routine::{Enabled, Function, Trigger};
pub use self::table::{ColumnOrder, Relation, Table};
pub use self::types::{Comment, Enum, OtherType, TypeSort};
use crate::error::{Doing, Result};
use crate::layer;
use crate::raw::{raw, readable, sql_query};

const QUERY: &str = include_str!("catalog.sql");
const CONTRACT: &str = include_str!("contract.json");

/// The objects of a schema, sorted by kind and name. No schema's name is part of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    objects: Vec<Object>,
}

/// The schema that this code expects: that of a freshly migrated database.
///
/// # Panics
///
/// When a line of `contract.json` cannot be read. A test reads them all; a shorter list would weaken every check.
#[expect(clippy::panic, reason = "contract.json is a part of this program, and a test reads all of it")]
pub fn contract() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| match serde_json::from_str(CONTRACT) {
        Ok(objects) => Catalog::new(objects),
        Err(unreadable) => panic!("contract.json: {unreadable}"),
    });
    &CATALOG
}

/// Reads the current schema. Only the system catalogs are looked at, so any role may do it.
///
/// The histories of migration tools and whatever extensions own are left out.
///
/// # Errors
///
/// [`crate::Error::Query`] when the query fails.
pub fn read(conn: &mut PgConnection) -> Result<Catalog> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        object: String,
        #[diesel(sql_type = Bool)]
        has_citus: bool,
    }
    let query = raw!(
        "SELECT {object} AS object, to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS has_citus
         FROM ({QUERY}) AS found",
        object = readable("object"),
        QUERY
    );
    let rows: Vec<Row> = sql_query(query).load(conn).doing("read the catalogue")?;
    let objects = rows.iter().map(|row| serde_json::from_str(&row.object)).collect::<Result<_, _>>();
    let unreadable = |error: serde_json::Error| diesel::result::Error::DeserializationError(error.into());
    let mut catalog = Catalog::new(objects.map_err(unreadable).doing("read the catalogue")?);
    if rows.first().is_some_and(|row| row.has_citus) {
        for (name, distribution) in distributed::read(conn)? {
            catalog.distribute(&name, distribution);
        }
    }
    Ok(catalog)
}

impl Catalog {
    /// A catalog of these objects.
    pub fn new(mut objects: Vec<Object>) -> Self {
        objects.sort_by_cached_key(|object| (object.kind(), object.name()));
        Self { objects }
    }

    /// The lines of `catalog.txt`.
    pub fn to_lines(&self) -> String {
        self.entries().iter().map(|entry| entry.to_line() + "\n").collect()
    }

    /// Every object.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter()
    }

    /// The catalog without the objects for which a condition does not hold.
    pub fn retain(&mut self, is_kept: impl Fn(&Object) -> bool) {
        self.objects.retain(is_kept);
    }

    /// What is compared: every object with its definition. The policies of the roles that work across customers are
    /// left out, as grants are: `roles` compares them. One for PUBLIC would open the table to everybody, so it counts.
    pub fn entries(&self) -> Vec<Entry> {
        let is_compared = |object: &&Object| !matches!(object, Object::Policy(policy) if policy.is_of_roles());
        self.objects.iter().filter(is_compared).map(Entry::of).collect()
    }

    /// How another catalog differs from this one. What follows from another difference is left out.
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        diff(&self.entries(), &found.entries())
    }

    /// Every table, view and sequence.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.objects.iter().filter_map(|object| if let Object::Table(table) = object { Some(table) } else { None })
    }

    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables().find(|table| table.name == name)
    }

    /// The columns of all tables, by table and name.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.objects.iter().filter_map(|object| if let Object::Column(column) = object { Some(column) } else { None })
    }

    /// The columns of a table in their order; none where there is no such table.
    pub fn columns_of(&self, table: &str) -> impl Iterator<Item = &Column> {
        let order = self.objects.iter().find_map(|object| match object {
            Object::ColumnOrder(order) if order.table == table => Some(order.columns.as_slice()),
            _ => None,
        });
        order.unwrap_or_default().iter().filter_map(move |name| self.column(table, name))
    }

    /// A column of a table.
    pub fn column(&self, table: &str, name: &str) -> Option<&Column> {
        self.columns().find(|column| column.table == table && column.name == name)
    }

    /// Every constraint.
    pub fn constraints(&self) -> impl Iterator<Item = &Constraint> {
        self.objects.iter().filter_map(|object| if let Object::Constraint(it) = object { Some(it) } else { None })
    }

    /// Every foreign key, with the constraint that it is.
    pub fn foreign_keys(&self) -> impl Iterator<Item = (&Constraint, &ForeignKey)> {
        self.constraints().filter_map(|constraint| Some((constraint, constraint.foreign_key()?)))
    }

    /// What a column refers to by itself.
    pub fn reference(&self, table: &str, column: &str) -> Option<&ForeignKey> {
        let is_of_column = |it: &(&Constraint, &ForeignKey)| it.0.table == table && it.1.columns == [column];
        self.foreign_keys().find(is_of_column).map(|(_, key)| key)
    }

    /// Every index.
    pub fn indexes(&self) -> impl Iterator<Item = &Index> {
        self.objects.iter().filter_map(|object| if let Object::Index(index) = object { Some(index) } else { None })
    }

    /// Whether a table has an index of this name.
    pub fn has_index(&self, table: &str, name: &str) -> bool {
        self.indexes().any(|index| index.table == table && index.name == name)
    }

    /// Every trigger.
    pub fn triggers(&self) -> impl Iterator<Item = &Trigger> {
        self.objects.iter().filter_map(|object| if let Object::Trigger(it) = object { Some(it) } else { None })
    }

    /// Every policy, those of the roles that work across customers included.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.objects.iter().filter_map(|object| if let Object::Policy(policy) = object { Some(policy) } else { None })
    }

    /// Every enum type.
    pub fn enums(&self) -> impl Iterator<Item = &Enum> {
        self.objects.iter().filter_map(|object| if let Object::Enum(it) = object { Some(it) } else { None })
    }

    /// The enum type that a column is of; `None` for a column of any other type.
    pub fn enum_of(&self, column: &Column) -> Option<&Enum> {
        self.enums().find(|known| matches!(&column.data_type, DataType::Other(name) if *name == known.name))
    }

    /// Every function and procedure.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.objects.iter().filter_map(|object| if let Object::Function(it) = object { Some(it) } else { None })
    }

    /// What `COMMENT ON` says of an object.
    pub fn comment(&self, of: &str, column: Option<&str>) -> Option<&str> {
        self.objects.iter().find_map(|object| match object {
            Object::Comment(comment) if comment.of == of && comment.column.as_deref() == column => {
                Some(comment.text.as_str())
            }
            _ => None,
        })
    }
}

/// The tables whose rows are a customer's, by layer, each after the tables that it refers to: those under row security.
pub fn tables_of_customers() -> impl Iterator<Item = &'static str> {
    let is_secured = |table: &&str| contract().table(table).is_some_and(|known| known.row_security);
    layer::tables().map(|(_, table)| table).filter(is_secured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_that_other_modules_need_come_from_the_contract() {
        let secured: Vec<_> = tables_of_customers().collect();
        assert_eq!((secured.len(), secured[0], secured[14]), (15, "customers", "quality_regressions"));
        let events: Vec<_> = contract().columns_of("events").map(|column| column.name.as_str()).collect();
        assert_eq!(events, ["id", "customer_id", "agent_id", "event_type", "severity", "data", "created_at"]);
        let column = |table, name| contract().column(table, name).unwrap();
        assert_eq!(column("events", "event_type").length(), Some(100));
        assert!(column("events", "created_at").data_type.is_time());
        assert!(column("events", "customer_id").is_required() && !column("events", "severity").is_required());
        let severity = contract().enum_of(column("events", "severity")).unwrap();
        assert_eq!(severity.labels, ["info", "warning", "error", "critical"]);
        assert_eq!(contract().foreign_keys().count(), 33);
        assert!(contract().has_index("events", "idx_event_type") && !contract().has_index("agents", "idx_event_type"));
    }
}
