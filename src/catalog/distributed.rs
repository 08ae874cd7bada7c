//! The hot tables spread over the nodes of a Citus cluster, and the contract of that shape: derived from the plain one by rule.
//!
//! All four are distributed or none. A row is where its customer's rows are, or, where it has no customer, its agent's. The
//! foreign keys of these tables go, since they would refer to tables that are on the coordinator only: a trigger on each
//! of those does what they did to deleted rows. A key holds together with the column that rows are distributed by.

use std::collections::BTreeSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::{Deserialize, Serialize};

use super::{
    Catalog, Constraint, Enabled, ForeignKey, Function, HOT_TABLES, HotTable, Index, Object, OnDelete, Rule, Trigger,
    contract,
};
use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// How Citus keeps a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Distribution {
    /// The column by whose hash rows are spread; `None` where each node has the whole table, or only one has it.
    pub by: Option<String>,
    /// Tables of the same number have rows of equal values on the same node.
    pub colocation: i64,
    /// How many parts it has.
    pub shards: i64,
}

impl HotTable {
    /// The column by which rows are distributed: whose row they are.
    pub fn distributed_by(&self) -> &'static str {
        let owner = |owner: &str| references(self).find(|key| key.references == owner);
        let key = owner("customers").or_else(|| owner("agents"));
        key.and_then(|key| key.columns.first()).map_or("customer_id", String::as_str)
    }

    /// What a key of the plain table is where the table is distributed: the column joins its own columns.
    pub fn distributed_key(&self, columns: &[String]) -> Vec<String> {
        let mut columns = columns.to_vec();
        if !columns.iter().any(|column| column == self.distributed_by()) {
            let before_time = columns.iter().position(|column| column == self.time).unwrap_or(columns.len());
            columns.insert(before_time, self.distributed_by().to_owned());
        }
        columns
    }
}

fn references(hot: &HotTable) -> impl Iterator<Item = &'static ForeignKey> {
    contract().foreign_keys().filter(|(constraint, _)| constraint.table == hot.name).map(|(_, key)| key)
}

/// A trigger that does to the rows of hot tables what their foreign keys do in the plain shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cascade {
    /// Of this table and this event.
    pub trigger: Trigger,
    /// What it calls.
    pub function: Function,
}

/// The triggers on the tables that hot tables refer to.
pub fn cascades() -> Vec<Cascade> {
    let referenced: BTreeSet<_> = HOT_TABLES.iter().flat_map(references).map(|key| key.references.as_str()).collect();
    referenced.into_iter().map(cascade).collect()
}

fn cascade(table: &str) -> Cascade {
    let action = |hot: &HotTable| {
        let own = references(hot).filter(|key| key.references == table);
        let statement = |key: &ForeignKey| {
            let column = &key.columns[0];
            let action = match key.on_delete {
                OnDelete::SetNull => format!("UPDATE %I.{} SET {column} = NULL", hot.name),
                _ => format!("DELETE FROM %I.{}", hot.name),
            };
            format!("    EXECUTE format('{action} WHERE {column} = $1', TG_TABLE_SCHEMA) USING OLD.id;\n")
        };
        own.map(statement).collect::<String>()
    };
    let name = format!("hot_rows_of_{table}");
    let function = Function {
        signature: format!("{name}()"),
        returns: Some("trigger".to_owned()),
        language: "plpgsql".to_owned(),
        volatility: None,
        strict: false,
        // As the foreign keys did, whatever the rights of who deletes.
        security_definer: true,
        settings: Some("search_path=pg_catalog, pg_temp".to_owned()),
        body: Some(format!("\nBEGIN\n{}    RETURN NULL;\nEND\n", HOT_TABLES.iter().map(action).collect::<String>())),
    };
    let definition = format!("AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()");
    Cascade { trigger: Trigger { table: table.to_owned(), name, definition, enabled: Enabled::Yes }, function }
}

impl Catalog {
    /// How Citus keeps a table; `None` for one that it does not.
    pub fn distribution(&self, table: &str) -> Option<&Distribution> {
        self.table(table)?.distribution.as_ref()
    }

    /// Whether any hot table is distributed: then all are to be.
    pub fn is_distributed(&self) -> bool {
        HOT_TABLES.iter().any(|hot| self.distribution(hot.name).is_some())
    }

    pub(super) fn distribute(&mut self, name: &str, distribution: Distribution) {
        let found = self.objects.iter_mut().find_map(|object| match object {
            Object::Table(table) if table.name == name => Some(table),
            _ => None,
        });
        if let Some(table) = found {
            table.distribution = Some(distribution);
        }
    }

    /// This catalog as if no table were distributed.
    #[cfg(feature = "cluster")]
    pub(crate) fn without_distribution(mut self) -> Self {
        for object in &mut self.objects {
            if let Object::Table(table) = object {
                table.distribution = None;
            }
        }
        self
    }

    /// This catalog of plain tables with the hot ones distributed.
    #[must_use]
    pub fn distributed(&self) -> Self {
        let objects = self.objects.iter().filter_map(|object| match object {
            Object::Policy(policy) => Some(Object::Policy(policy.clone().with_direct_setting())),
            _ => match object.table().and_then(HotTable::named) {
                Some(hot) => distributed(object.clone(), hot),
                None => Some(object.clone()),
            },
        });
        let cascades =
            cascades().into_iter().flat_map(|it| [Object::Trigger(it.trigger), Object::Function(it.function)]);
        Self::new(objects.chain(cascades).collect())
    }
}

/// The object of a distributed table; `None` for one that such a table cannot have.
fn distributed(mut object: Object, hot: &HotTable) -> Option<Object> {
    let column = hot.distributed_by();
    let widened = |definition: &str| {
        let columns = definition.strip_suffix(')').unwrap_or(definition);
        format!("{columns}, {column})")
    };
    match &mut object {
        Object::Table(table) => {
            table.distribution = Some(Distribution { by: Some(column.to_owned()), colocation: 0, shards: 0 });
        }
        Object::Constraint(Constraint { rule: Rule::ForeignKey(_), .. }) => return None,
        Object::Constraint(Constraint {
            rule: Rule::PrimaryKey(columns) | Rule::Unique(columns), definition, ..
        }) => {
            *columns = hot.distributed_key(columns);
            *definition = widened(definition);
        }
        Object::Index(Index { unique: true, definition, .. }) => *definition = widened(definition),
        _ => {}
    }
    Some(object)
}

/// How Citus keeps the tables of the current schema, by table. Only where its catalog is there.
pub(super) fn read(conn: &mut PgConnection) -> Result<Vec<(String, Distribution)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Nullable<Text>)]
        by: Option<String>,
        #[diesel(sql_type = BigInt)]
        colocation: i64,
        #[diesel(sql_type = BigInt)]
        shards: i64,
    }
    let query = "SELECT c.relname::text AS name,
             CASE WHEN d.partkey IS NOT NULL THEN column_to_column_name(d.logicalrelid, d.partkey) END AS by,
             d.colocationid::bigint AS colocation,
             (SELECT count(*) FROM pg_catalog.pg_dist_shard s WHERE s.logicalrelid = d.logicalrelid) AS shards
         FROM pg_catalog.pg_dist_partition d
         JOIN pg_class c ON c.oid = d.logicalrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = current_schema()";
    let rows: Vec<Row> = sql_query(query).load(conn).doing("read which tables are distributed")?;
    let distribution =
        |row: Row| (row.name, Distribution { by: row.by, colocation: row.colocation, shards: row.shards });
    Ok(rows.into_iter().map(distribution).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_where_their_customer_s_are_or_else_their_agent_s() {
        let columns: Vec<_> = HOT_TABLES.iter().map(|hot| (hot.name, hot.distributed_by())).collect();
        assert_eq!(
            columns,
            [
                ("resource_metrics", "customer_id"),
                ("agent_metrics", "agent_id"),
                ("events", "customer_id"),
                ("quality_metrics", "customer_id")
            ]
        );
        for (table, column) in columns {
            assert!(contract().column(table, column).unwrap().not_null, "{table}.{column}");
        }
    }

    /// The contract and what becomes of it, as lines that differ.
    fn changes(from: &Catalog, to: &Catalog) -> Vec<String> {
        let line = |difference: &super::super::Difference| {
            format!("{} {}: {difference}", difference.entry().kind(), difference.entry().name())
        };
        from.differences(to).iter().map(line).collect()
    }

    #[test]
    fn keys_are_widened_and_foreign_keys_become_triggers() {
        let distributed = contract().distributed();
        assert!(distributed.is_distributed() && !contract().is_distributed());
        let changes = changes(contract(), &distributed);
        let (policies, others): (Vec<_>, Vec<_>) = changes.into_iter().partition(|line| line.starts_with("policy "));
        // tenant_isolation, but of the tables whose rows are found by those of another.
        assert_eq!(policies.len(), 12, "{policies:#?}");
        let found = others.join("\n");
        assert_eq!(found, include_str!("distributed.txt").trim_end(), "\n{found}");
    }

    #[test]
    fn the_time_of_a_partitioned_table_is_the_last_column_of_its_keys() {
        let key = |columns: &[&str]| {
            let columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
            HotTable::RESOURCE_METRICS.distributed_key(&columns).join(", ")
        };
        assert_eq!(key(&["id"]), "id, customer_id");
        assert_eq!(key(&["id", "timestamp"]), "id, customer_id, timestamp");
        assert_eq!(key(&["id", "customer_id", "timestamp"]), "id, customer_id, timestamp");
    }

    #[test]
    fn a_partitioned_and_distributed_table_has_both_columns_in_its_keys() {
        let mut live = contract().distributed();
        for object in &mut live.objects {
            if let Object::Table(table) = object
                && table.name == "resource_metrics"
            {
                table.relation = super::super::Relation::PartitionedTable;
            }
        }
        let expected = contract().in_shape_of(&live);
        let key = expected.constraints().find(|it| it.name == "resource_metrics_pkey").unwrap();
        assert_eq!(key.definition, "PRIMARY KEY (id, customer_id, \"timestamp\")");
    }
}
