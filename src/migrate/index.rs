//! `CREATE INDEX CONCURRENTLY` and `DROP INDEX CONCURRENTLY` as they have to be run on what is there: over an index that an
//! interrupted run left, which is not used and which `IF NOT EXISTS` takes for done; and on a partitioned table, which takes
//! neither: partition by partition.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};

use super::sql::{texts, words};
use crate::catalog::index_on;
use crate::raw::{Sql, raw, sql, sql_query};

/// The statements that do what a statement of a migration says, in order; most often that one alone.
pub(super) fn statements(conn: &mut PgConnection, statement: &'static str) -> QueryResult<Vec<Sql>> {
    let as_it_is = || vec![Sql::from(statement)];
    match Concurrent::parse(statement) {
        Some(Concurrent::Create { unique, name, table, rest }) => {
            if relation_kind(conn, table)?.as_deref() == Some("p") {
                return by_partition(conn, unique, name, table, rest);
            }
            let drop = match is_valid(conn, name)? {
                Some(false) => Some(drop_invalid(name)),
                _ => None,
            };
            Ok(drop.into_iter().chain(as_it_is()).collect())
        }
        Some(Concurrent::Drop { name }) if relation_kind(conn, name)?.as_deref() == Some("I") => {
            Ok(vec![raw!("DROP INDEX {name}", name)])
        }
        _ => Ok(as_it_is()),
    }
}

/// On the partitioned table first, where the index becomes valid with that of the last partition.
fn by_partition(
    conn: &mut PgConnection,
    unique: bool,
    name: &'static str,
    table: &'static str,
    rest: &'static str,
) -> QueryResult<Vec<Sql>> {
    #[derive(QueryableByName)]
    struct Partition {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        table_name: String,
        #[diesel(sql_type = Text)]
        index_name: String,
    }
    let unique = if unique { "UNIQUE " } else { "" };
    let mut statements = Vec::new();
    if relation_kind(conn, name)?.is_none() {
        statements.push(raw!("CREATE {unique}INDEX {name} ON ONLY {table} {rest}", unique, name, table, rest));
    }
    let lacking = "SELECT c.relname::text AS name, t.relname::text AS table_name, (parse_ident($2))[1] AS index_name
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_class t ON t.oid = h.inhparent
        WHERE h.inhparent = to_regclass($1) AND NOT EXISTS (
            SELECT FROM pg_inherits i JOIN pg_index own ON own.indexrelid = i.inhrelid
            WHERE i.inhparent = to_regclass($2) AND own.indrelid = c.oid)
        ORDER BY c.relname";
    let lacking: Vec<Partition> = sql_query(lacking).bind::<Text, _>(table).bind::<Text, _>(name).load(conn)?;
    for partition in lacking {
        let own = Sql::identifier(&index_on(&partition.index_name, &partition.table_name, &partition.name));
        let found = is_valid(conn, own.as_str())?;
        if found == Some(false) {
            statements.push(raw!("DROP INDEX CONCURRENTLY {own}", own = &own));
        }
        if found != Some(true) {
            let on = Sql::identifier(&partition.name);
            statements.push(raw!(
                "CREATE {unique}INDEX CONCURRENTLY {own} ON {on} {rest}",
                unique,
                own = &own,
                on,
                rest
            ));
        }
        statements.push(raw!("ALTER INDEX {name} ATTACH PARTITION {own}", name, own));
    }
    Ok(statements)
}

fn drop_invalid(name: &'static str) -> Sql {
    raw!("DROP INDEX CONCURRENTLY IF EXISTS {name}", name)
}

/// What is under a name, as `relkind` says it.
fn relation_kind(conn: &mut PgConnection, name: &str) -> QueryResult<Option<String>> {
    let kind = sql::<Nullable<Text>>("(SELECT relkind::text FROM pg_class WHERE oid = to_regclass(")
        .bind::<Text, _>(name)
        .sql("))");
    diesel::select(kind).get_result(conn)
}

/// Whether an index may be used; `None` where there is none.
fn is_valid(conn: &mut PgConnection, name: &str) -> QueryResult<Option<bool>> {
    let valid = sql::<Nullable<Bool>>("(SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(")
        .bind::<Text, _>(name)
        .sql("))");
    diesel::select(valid).get_result(conn)
}

/// A statement that builds or drops an index beside readers and writers, its names as they stand.
#[derive(Debug, PartialEq, Eq)]
enum Concurrent<'a> {
    Create { unique: bool, name: &'a str, table: &'a str, rest: &'a str },
    Drop { name: &'a str },
}

impl<'a> Concurrent<'a> {
    fn parse(statement: &'a str) -> Option<Self> {
        let words = words(statement);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let texts = texts(statement);
        let (behind, unique) = match words.as_slice() {
            ["CREATE", "INDEX", "CONCURRENTLY", ..] => (3, false),
            ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..] => (4, true),
            ["DROP", "INDEX", "CONCURRENTLY", "IF", "EXISTS", _] => return Some(Self::Drop { name: texts[5] }),
            ["DROP", "INDEX", "CONCURRENTLY", _] => return Some(Self::Drop { name: texts[3] }),
            _ => return None,
        };
        let behind = if words[behind..].starts_with(&["IF", "NOT", "EXISTS"]) { behind + 3 } else { behind };
        let [name, on, table, next, ..] = texts.get(behind..)? else { return None };
        let rest = statement.get(next.as_ptr().addr().checked_sub(statement.as_ptr().addr())?..)?;
        on.eq_ignore_ascii_case("on").then_some(Self::Create { unique, name, table, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concurrent_statement_is_known_with_its_names() {
        let create = |unique, name, table, rest| Some(Concurrent::Create { unique, name, table, rest });
        for (statement, expected) in [
            ("CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON t (b)", create(false, "a", "t", "(b)")),
            ("create unique index concurrently \"A b\" on t (b)", create(true, "\"A b\"", "t", "(b)")),
            (
                "/* why */ CREATE INDEX CONCURRENTLY s ON t USING btree (b, \"c\")\n    WHERE d = 'x'",
                create(false, "s", "t", "USING btree (b, \"c\")\n    WHERE d = 'x'"),
            ),
            ("CREATE INDEX a ON t (b)", None),
            ("DROP INDEX CONCURRENTLY a", Some(Concurrent::Drop { name: "a" })),
            ("DROP INDEX CONCURRENTLY IF EXISTS a", Some(Concurrent::Drop { name: "a" })),
            ("DROP INDEX a", None),
        ] {
            assert_eq!(Concurrent::parse(statement), expected, "{statement}");
        }
    }
}
