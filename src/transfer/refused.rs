//! Why the server does not take a row that the file has nothing wrong with.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as Diesel};
use diesel::sql_types::{Array, Text};

use super::read::FromFile;
use crate::error::{Doing as _, Result};
use crate::raw::{Sql, raw, sql_query};
use crate::text::without_controls;

const IS_THERE: &str = "is there already, in the table or earlier in the file";

/// The column that the server means, and what it says.
pub(super) fn refusal(source: &Diesel) -> (Option<String>, String) {
    let Diesel::DatabaseError(kind, info) = source else { return (None, source.to_string()) };
    let detail = without_controls(info.details().unwrap_or_default());
    let column = info.column_name().map(str::to_owned).or_else(|| column_of(&detail));
    let reason = match kind {
        DatabaseErrorKind::UniqueViolation => format!("{IS_THERE}: {detail}"),
        DatabaseErrorKind::ForeignKeyViolation => detail,
        // The detail of the others is the row.
        _ => without_controls(info.message()),
    };
    (column, reason)
}

/// The column in `Key (column)=(value) already exists.`
fn column_of(detail: &str) -> Option<String> {
    let (column, _) = detail.split_once('(')?.1.split_once(")=")?;
    Some(column.to_owned())
}

/// As [`refusal`], of rows that are there or contradict one that is, for all of them at once: in the words of the server,
/// which would say it of one row at a time.
pub(super) fn conflicts<R: FromFile>(conn: &mut PgConnection, rows: &[&R]) -> Result<Vec<(Option<String>, String)>> {
    let ids = rows.iter().filter_map(|row| row.id()).map(|id| id.to_string()).collect();
    let ids = taken::<R>(conn, "id", "uuid", ids)?;
    let keys: Vec<_> = rows.iter().filter_map(|row| row.key()).collect();
    let column = keys.first().map(|(column, _)| *column);
    let keys = keys.into_iter().map(|(_, value)| value.to_owned()).collect();
    let keys = column.map_or(Ok(HashSet::new()), |column| taken::<R>(conn, column, "text", keys))?;
    let conflict = |row: &&R| {
        let id = row.id().map(|id| ("id", id.to_string())).filter(|(_, id)| ids.contains(id));
        let key = || row.key().map(|(column, value)| (column, value.to_owned())).filter(|(_, key)| keys.contains(key));
        match id.or_else(key) {
            Some((column, value)) => {
                let value = without_controls(&value);
                (Some(column.to_owned()), format!("{IS_THERE}: Key ({column})=({value}) already exists."))
            }
            None => (None, IS_THERE.to_owned()),
        }
    };
    Ok(rows.iter().map(conflict).collect())
}

/// Those of the values that a row of the table has.
fn taken<R: FromFile>(
    conn: &mut PgConnection,
    column: &'static str,
    kind: &'static str,
    values: Vec<String>,
) -> Result<HashSet<String>> {
    #[derive(QueryableByName)]
    struct Taken {
        #[diesel(sql_type = Text)]
        value: String,
    }
    let name = Sql::identifier(column);
    let query = raw!(
        "SELECT {name}::text AS value FROM {table} WHERE {name} = ANY($1::{kind}[])",
        name,
        table = R::TABLE,
        kind
    );
    let taken: Vec<Taken> = sql_query(query)
        .bind::<Array<Text>, _>(values)
        .load(conn)
        .doing(format!("look for the rows of {} that are there", R::TABLE))?;
    Ok(taken.into_iter().map(|taken| taken.value).collect())
}
