//! Fixes of partitioned tables and of their partitions, where the statements differ from those of a plain table.

use super::sql::ident;
use crate::catalog::{Catalog, Constraint, Index, Partition, Table, index_on};

/// Makes a partition what it has to be; `None` where that takes more than catalog changes and indexes.
pub(super) fn change(expected: &Partition, found: &Partition, live: &Catalog) -> Option<String> {
    if (expected.relation, expected.unlogged) != (found.relation, found.unlogged) || found.other_owner {
        return None;
    }
    let name = ident(&found.name);
    let mut statements = Vec::new();
    if !found.row_security {
        statements.push(format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"));
    }
    statements.extend(found.granted_to.iter().map(|role| format!("REVOKE ALL ON {name} FROM {role}")));
    statements.extend(found.policies.iter().map(|policy| format!("DROP POLICY {} ON {name}", ident(policy))));
    if !found.disabled.is_empty() {
        statements.push(format!("ALTER TABLE {name} ENABLE TRIGGER ALL"));
    }
    let of_table = live.indexes().filter(|index| index.table == found.table);
    let lacking = of_table.filter(|index| found.lacks_indexes.contains(&index.name));
    statements.extend(lacking.flat_map(|index| build_on(index, &found.name)));
    Some(statements.join("; "))
}

/// Creates an index of a partitioned table partition by partition, so that nobody waits.
pub(super) fn create_index(index: &Index, live: &Catalog) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let (name, table) = (ident(&index.name), ident(&index.table));
    let first = format!("CREATE {unique}INDEX {name} ON ONLY {table} USING {}", index.definition);
    let on_partitions = live.partitions(&index.table).flat_map(|partition| build_on(index, &partition.name));
    std::iter::once(first).chain(on_partitions).collect::<Vec<_>>().join("; ")
}

fn build_on(index: &Index, partition: &str) -> [String; 2] {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let (name, partition) = (ident(&index_on(&index.name, &index.table, partition)), ident(partition));
    [
        format!("CREATE {unique}INDEX CONCURRENTLY {name} ON {partition} USING {}", index.definition),
        format!("ALTER INDEX {} ATTACH PARTITION {name}", ident(&index.name)),
    ]
}

/// A partitioned table takes no constraint that is NOT VALID, and no index for a key.
pub(super) fn create_constraint(constraint: &Constraint) -> String {
    let (table, name) = (ident(&constraint.table), ident(&constraint.name));
    format!("ALTER TABLE {table} ADD CONSTRAINT {name} {}", constraint.definition)
}

/// What to do about a table that was a partition.
pub(super) fn detached(table: &Table, live: &Catalog) -> Option<String> {
    let of = live.tables().find(|of| {
        live.is_partitioned(&of.name) && table.name.strip_prefix(&of.name).is_some_and(|rest| rest.starts_with('_'))
    })?;
    let (of, name) = (ident(&of.name), ident(&table.name));
    Some(format!(
        "it has the name of a partition of {of}, and queries of {of} do not see its rows: attach it again (ALTER TABLE \
         {of} ATTACH PARTITION {name} FOR VALUES FROM (...) TO (...)), or drop it with its rows; where retention was archiving it, `retention apply` goes on"
    ))
}
