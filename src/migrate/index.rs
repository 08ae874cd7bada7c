//! Indexes that an interrupted `CREATE INDEX CONCURRENTLY` left: not used, and taken for done by `IF NOT EXISTS`.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::sql::{texts, words};
use crate::raw::{Sql, raw, sql_query};

/// The statement that removes the invalid index of the same name; `None` where there is none.
pub(super) fn drop_invalid(conn: &mut PgConnection, statement: &str) -> QueryResult<Option<Sql>> {
    let Some(name) = concurrent_index(statement) else { return Ok(None) };
    let query = "SELECT relname::text AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
                 WHERE NOT indisvalid AND indexrelid = to_regclass($1)";
    #[derive(QueryableByName)]
    struct Invalid {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let invalid: Option<Invalid> = sql_query(query).bind::<Text, _>(&name).get_result(conn).optional()?;
    Ok(invalid
        .map(|Invalid { name }| raw!("DROP INDEX CONCURRENTLY IF EXISTS {index}", index = Sql::identifier(&name))))
}

/// The name of the index that a statement builds concurrently.
fn concurrent_index(statement: &str) -> Option<String> {
    let words = words(statement);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let behind = match words.as_slice() {
        ["CREATE", "INDEX", "CONCURRENTLY", ..] => 3,
        ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..] => 4,
        _ => return None,
    };
    let exists = words[behind..].starts_with(&["IF", "NOT", "EXISTS"]);
    texts(statement).get(if exists { behind + 3 } else { behind }).map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_concurrent_build_is_named() {
        for (statement, name) in [
            ("CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON t (b)", Some("a")),
            ("create unique index concurrently \"A b\" on t (b)", Some("\"A b\"")),
            ("/* why */ CREATE INDEX CONCURRENTLY s ON t (b)", Some("s")),
            ("CREATE INDEX a ON t (b)", None),
            ("DROP INDEX CONCURRENTLY a", None),
        ] {
            assert_eq!(concurrent_index(statement).as_deref(), name, "{statement}");
        }
    }
}
