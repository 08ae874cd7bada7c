//! Why the server does not take a row that the file has nothing wrong with.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

use crate::text::without_controls;

/// The column that the server means, and what it says.
pub(super) fn refusal(source: &Diesel) -> (Option<String>, String) {
    let Diesel::DatabaseError(kind, info) = source else { return (None, source.to_string()) };
    let detail = without_controls(info.details().unwrap_or_default());
    let column = info.column_name().map(str::to_owned).or_else(|| column_of(&detail));
    let reason = match kind {
        DatabaseErrorKind::UniqueViolation => {
            format!("is there already, in the table or earlier in the file: {detail}")
        }
        DatabaseErrorKind::ForeignKeyViolation => detail,
        // The detail of the others is the row.
        _ => without_controls(info.message()),
    };
    (column, reason)
}

/// The column in `Key (column)=(value) already exists.`, in whatever language that is. A key of a partitioned table has the
/// time behind it.
fn column_of(detail: &str) -> Option<String> {
    let (columns, _) = detail.split_once('(')?.1.split_once(")=")?;
    columns.split(", ").next().map(str::to_owned)
}
