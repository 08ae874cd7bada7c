//! Does the database do what its catalogue says? Proven by doing it, in a transaction that is always rolled back.
//!
//! The rows are made from the contract: each column that has to have a value gets one of its type, and each reference
//! a new row to refer to. So no list of tables stands here, and a table that comes later is probed too. Only rows of
//! our own are touched, no sequence is used, and nothing remains but a transaction id and dead rows for vacuum.

use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Bool, Text};
use serde_json::json;
use uuid::Uuid;

use super::{Check, Finding, row_access};
use crate::catalog::{Column, Constraint, DataType, ForeignKey, HotTable, OnDelete, Trigger, contract};
use crate::error::{Doing, Error, Result};
use crate::layer;
use crate::raw::{RunSql, Sql, raw, sql, sql_query};
use crate::sqlstate;

/// A way to behave.
struct Probe {
    /// Last part of the check's id.
    word: &'static str,
    title: &'static str,
    source: &'static str,
    /// Whether a distributed table is tried too: its references are no foreign keys, and a worker has a clock of its own.
    of_distributed: bool,
    /// The objects that it is about.
    cases: fn() -> Vec<Case>,
}

/// One object, and how to see that it works: an error of the server or a text means that it does not.
struct Case {
    object: String,
    run: Box<Run>,
}

/// Does something with rows of its own.
type Run = dyn Fn(&mut PgConnection) -> QueryResult<Outcome>;

/// What a case came to; an error is what is wrong.
type Outcome = std::result::Result<(), String>;

const PROBES: [Probe; 8] = [
    Probe {
        word: "cascades",
        title: "a row goes with the row that it belongs to",
        source: "0.2a, 0.2b, 0.2c, 0.2d part 1, 0.2e part 2",
        of_distributed: true,
        cases: || {
            deletions(OnDelete::Cascade, |key, child| {
                raw!("NOT EXISTS (SELECT 1 FROM {table} WHERE id = {child})", table = key.table, child)
            })
        },
    },
    Probe {
        word: "set_null",
        title: "a row loses its reference with the row that it refers to, and stays",
        source: "0.2a, 0.2b, 0.2c, 0.2d part 1, 0.2e part 2",
        of_distributed: true,
        cases: || {
            deletions(OnDelete::SetNull, |key, child| {
                let (table, column) = (key.table, key.column);
                raw!("EXISTS (SELECT 1 FROM {table} WHERE id = {child} AND {column} IS NULL)", table, child, column)
            })
        },
    },
    Probe {
        word: "references",
        title: "a reference to a row that is not there is refused",
        source: "deployed schema 005",
        of_distributed: false,
        cases: dangling_references,
    },
    Probe {
        word: "uniques",
        title: "a second row with the same values is refused",
        source: "deployed schema 005",
        of_distributed: false,
        cases: uniques,
    },
    Probe {
        word: "checks",
        title: "a value out of its range is refused",
        source: "deployed schema 005",
        of_distributed: true,
        cases: out_of_range,
    },
    Probe {
        word: "enums",
        title: "a column of an enum type takes its labels and no other word",
        source: "0.2a, 0.2b, 0.2c, 0.2d part 1, 0.2e part 2",
        of_distributed: true,
        cases: enum_columns,
    },
    Probe {
        word: "defaults",
        title: "a new row has the defaults in the columns that were left out",
        source: "deployed schema 005",
        of_distributed: false,
        cases: defaults,
    },
    Probe {
        word: "updated_at",
        title: "updated_at moves when a row is changed, and only then",
        source: "0.2a",
        of_distributed: true,
        cases: updates,
    },
];

/// The values that the CHECK constraints must refuse: table, column, value.
const OUT_OF_RANGE: [(&str, &str, &str); 4] = [
    ("optimizations", "progress", "-1"),
    ("optimizations", "progress", "101"),
    ("recommendations", "confidence_score", "-0.1"),
    ("recommendations", "confidence_score", "1.1"),
];

/// The same checks where none can be made.
pub(super) fn skipped(reason: &str) -> Vec<Check> {
    PROBES.iter().map(|probe| probe.empty_check().skipped(reason)).collect()
}

/// Refuses a session that cannot write: on a hot standby, or read-only by its settings.
///
/// # Errors
///
/// [`super::Error::ReadOnlySession`] when it cannot.
pub(super) fn refuse_read_only(conn: &mut PgConnection) -> Result<()> {
    let read_only = "pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean";
    if diesel::select(sql::<Bool>(read_only)).get_result(conn).doing("read whether the session may write")? {
        return Err(super::Error::ReadOnlySession.into());
    }
    Ok(())
}

/// Runs the probes in a transaction of their own and rolls it back.
///
/// # Errors
///
/// Only when the transaction cannot go on.
pub(super) fn run(conn: &mut PgConnection, limit: Duration, is_distributed: bool) -> Result<Vec<Check>> {
    let mut checks = None;
    let rolled_back = conn.build_transaction().read_write().run::<(), Error, _>(|conn| {
        row_access::limit_statements(conn, limit)?;
        checks = Some(PROBES.iter().map(|probe| probe.check(conn, is_distributed)).collect::<Result<Vec<_>>>()?);
        Err(Error::Diesel(DieselError::RollbackTransaction))
    });
    match (checks, rolled_back) {
        (Some(checks), Err(Error::Diesel(DieselError::RollbackTransaction))) => Ok(checks),
        (_, Err(error)) => Err(error),
        (_, Ok(())) => Err(Error::Diesel(DieselError::RollbackTransaction)),
    }
}

impl Probe {
    fn empty_check(&self) -> Check {
        Check::new(format!("probe.{}", self.word), None, self.source, self.title.to_owned())
    }

    fn check(&self, conn: &mut PgConnection, is_distributed: bool) -> Result<Check> {
        let mut cases = (self.cases)();
        cases.retain(|case| self.of_distributed || !is_distributed || !case.is_of_hot_table());
        let mut findings = Vec::new();
        for case in &cases {
            if let Err(problem) = case.outcome(conn)? {
                findings.push(Finding::new(&case.object, problem));
            }
        }
        let worked = cases.len() - findings.len();
        Ok(self.empty_check().figures(json!(cases.len()), json!(worked)).findings(findings))
    }
}

impl Case {
    fn is_of_hot_table(&self) -> bool {
        self.object.split([' ', '.']).any(|word| HotTable::named(word).is_some())
    }

    fn new(object: String, run: impl Fn(&mut PgConnection) -> QueryResult<Outcome> + 'static) -> Self {
        Self { object, run: Box::new(run) }
    }

    /// Runs in a savepoint that is rolled back, so that no case sees the rows of another.
    fn outcome(&self, conn: &mut PgConnection) -> Result<Outcome> {
        let mut outcome = Ok(());
        let rolled_back = conn.transaction::<(), _, _>(|conn| {
            outcome = (self.run)(conn)?;
            Err(DieselError::RollbackTransaction)
        });
        match rolled_back {
            Ok(()) | Err(DieselError::RollbackTransaction) => Ok(outcome),
            Err(error) => match sqlstate::refusal(&error) {
                Some(refusal) => Ok(Err(format!("cannot be tried: {}", refusal.message()))),
                None => Err(error).doing(format!("probe {}", self.object)),
            },
        }
    }
}

/// A foreign key of one column.
#[derive(Debug, Clone, Copy)]
struct Reference {
    name: &'static str,
    table: &'static str,
    column: &'static str,
    references: &'static str,
    on_delete: OnDelete,
}

impl Reference {
    fn new((constraint, key): (&'static Constraint, &'static ForeignKey)) -> Option<Self> {
        let [column] = key.columns.as_slice() else { return None };
        Some(Self {
            name: &constraint.name,
            table: &constraint.table,
            column,
            references: &key.references,
            on_delete: key.on_delete,
        })
    }

    fn all() -> impl Iterator<Item = Self> {
        contract().foreign_keys().filter_map(Self::new)
    }

    fn object(&self) -> String {
        format!("constraint {}.{}", self.table, self.name)
    }
}

/// A value that fits a column, and that no other row has where the type allows it.
fn some_value(column: &'static Column) -> Sql {
    if let Some(known) = contract().enum_of(column) {
        return raw!("'{label}'", label = known.labels.first().map_or("", String::as_str));
    }
    match column.data_type {
        DataType::Jsonb => "'{}'".into(),
        DataType::Integer | DataType::BigInt => "1".into(),
        DataType::Double => "0.5".into(),
        DataType::Boolean => "false".into(),
        DataType::TimestampWithZone => "now()".into(),
        _ => Uuid::new_v4().into(),
    }
}

/// Inserts a row with nothing but what it has to have, and the rows that it has to refer to.
fn insert(conn: &mut PgConnection, table: &'static str, and: &[(&'static str, Sql)]) -> QueryResult<Uuid> {
    let id = Uuid::new_v4();
    let mut values = vec![("id", Sql::from(id))];
    for column in contract().columns_of(table).filter(|column| column.is_required()) {
        if and.iter().any(|(name, _)| *name == column.name) {
            continue;
        }
        let value = match contract().reference(table, &column.name) {
            Some(key) => insert(conn, &key.references, &[])?.into(),
            None => some_value(column),
        };
        values.push((column.name.as_str(), value));
    }
    values.extend_from_slice(and);
    let (names, values): (Vec<_>, Vec<_>) =
        values.into_iter().map(|(name, value)| (Sql::identifier(name), value)).unzip();
    let (names, values) = (Sql::join(names, ", "), Sql::join(values, ", "));
    let insert = raw!("INSERT INTO {table} ({names}) VALUES ({values})", table, names, values);
    sql_query(insert).execute(conn).map(|_| id)
}

fn holds(conn: &mut PgConnection, condition: Sql) -> QueryResult<bool> {
    diesel::select(sql::<Bool>(condition)).get_result(conn)
}

/// Whether the server refuses a statement for this reason.
fn refused(conn: &mut PgConnection, statement: Sql, is: fn(&DatabaseErrorKind) -> bool) -> QueryResult<Outcome> {
    let result = conn.transaction(|conn| sql_query(statement).execute(conn));
    Ok(match result {
        Err(DieselError::DatabaseError(kind, _)) if is(&kind) => Ok(()),
        Err(DieselError::DatabaseError(_, info)) => Err(format!("refused for another reason: {}", info.message())),
        Err(error) => return Err(error),
        Ok(_) => Err("was not refused".to_owned()),
    })
}

fn deletions(action: OnDelete, expected: fn(&Reference, Uuid) -> Sql) -> Vec<Case> {
    let case = move |key: Reference| {
        Case::new(key.object(), move |conn| {
            let parent = insert(conn, key.references, &[])?;
            let child = insert(conn, key.table, &[(key.column, parent.into())])?;
            let delete = raw!("DELETE FROM {table} WHERE id = {parent}", table = key.references, parent);
            if let Err(DieselError::DatabaseError(_, info)) = conn.transaction(|conn| conn.batch(delete)) {
                return Ok(Err(format!("the row in {} cannot be deleted: {}", key.references, info.message())));
            }
            let problem =
                || format!("deleting the row in {} did something else to the row in {}", key.references, key.table);
            Ok(if holds(conn, expected(&key, child))? { Ok(()) } else { Err(problem()) })
        })
    };
    Reference::all().filter(|key| key.on_delete == action).map(case).collect()
}

fn dangling_references() -> Vec<Case> {
    let case = |key: Reference| {
        Case::new(key.object(), move |conn| {
            let child = insert(conn, key.table, &[])?;
            let (table, column, nobody) = (key.table, key.column, Uuid::new_v4());
            let update =
                raw!("UPDATE {table} SET {column} = {nobody} WHERE id = {child}", table, column, nobody, child);
            refused(conn, update, |kind| matches!(kind, DatabaseErrorKind::ForeignKeyViolation))
        })
    };
    Reference::all().map(case).collect()
}

fn uniques() -> Vec<Case> {
    let case = |constraint: &'static Constraint| {
        let columns = Sql::identifiers(constraint.unique_columns()?);
        let table = constraint.table.as_str();
        let object = format!("constraint {table}.{}", constraint.name);
        Some(Case::new(object, move |conn| {
            let (first, second) = (insert(conn, table, &[])?, insert(conn, table, &[])?);
            let update = raw!(
                "UPDATE {table} SET ({columns}) = (SELECT {columns} FROM {table} WHERE id = {first}) WHERE id = {second}",
                table,
                columns = &columns,
                first,
                second
            );
            refused(conn, update, |kind| matches!(kind, DatabaseErrorKind::UniqueViolation))
        }))
    };
    contract().constraints().filter_map(case).collect()
}

fn out_of_range() -> Vec<Case> {
    let case = |(table, column, value): (&'static str, &'static str, &'static str)| {
        Case::new(format!("column {table}.{column} = {value}"), move |conn| {
            let row = insert(conn, table, &[])?;
            let update = raw!("UPDATE {table} SET {column} = {value} WHERE id = {row}", table, column, value, row);
            refused(conn, update, |kind| matches!(kind, DatabaseErrorKind::CheckViolation))
        })
    };
    OUT_OF_RANGE.into_iter().map(case).collect()
}

fn enum_columns() -> Vec<Case> {
    let mut cases = Vec::new();
    for (_, table) in layer::tables() {
        for column in contract().columns_of(table) {
            let Some(known) = contract().enum_of(column) else { continue };
            cases.push(Case::new(format!("column {table}.{}", column.name), move |conn| {
                let row = insert(conn, table, &[])?;
                let name = column.name.as_str();
                let update = |label: &'static str| {
                    raw!("UPDATE {table} SET {name} = '{label}' WHERE id = {row}", table, name, label, row)
                };
                for label in &known.labels {
                    conn.batch(update(label))?;
                }
                // The server has no kind of its own for this; that the labels were taken tells it from the rest.
                refused(conn, update("no such label"), |kind| matches!(kind, DatabaseErrorKind::Unknown))
            }));
        }
    }
    cases
}

fn defaults() -> Vec<Case> {
    let case = |(_, table): (_, &'static str)| {
        Case::new(format!("table {table}"), move |conn| {
            let row = insert(conn, table, &[])?;
            let differs = |column: &'static Column| {
                let default = column.default().filter(|default| *default != "gen_random_uuid()")?;
                let name = column.name.as_str();
                Some(raw!("CASE WHEN \"{name}\" IS DISTINCT FROM {default} THEN '{name}' END", name, default))
            };
            let names = Sql::join(contract().columns_of(table).filter_map(differs), ", ");
            let list = raw!("(SELECT concat_ws(', ', NULL, {names}) FROM {table} WHERE id = {row})", names, table, row);
            let wrong: String = diesel::select(sql::<Text>(list)).get_result(conn)?;
            Ok(if wrong.is_empty() { Ok(()) } else { Err(format!("no default in {wrong}")) })
        })
    };
    let with_defaults = |(_, table): &(_, &str)| contract().columns_of(table).any(|column| column.default().is_some());
    layer::tables().filter(with_defaults).map(case).collect()
}

fn updates() -> Vec<Case> {
    let case = |trigger: &'static Trigger| {
        let table = trigger.table.as_str();
        Case::new(format!("trigger {table}.{}", trigger.name), move |conn| {
            let long_ago = "'2000-01-01 00:00:00+00'";
            let row = insert(conn, table, &[("updated_at", long_ago.into())])?;
            conn.batch(raw!("UPDATE {table} SET id = id WHERE id = {row}", table, row))?;
            let stands = |time: &'static str| {
                raw!("(SELECT updated_at = {time} FROM {table} WHERE id = {row})", time, table, row)
            };
            if !holds(conn, stands(long_ago))? {
                return Ok(Err("updated_at moved although nothing was changed".to_owned()));
            }
            conn.batch(raw!("UPDATE {table} SET created_at = {long_ago} WHERE id = {row}", table, long_ago, row))?;
            let moved = holds(conn, stands("now()"))?;
            Ok(if moved { Ok(()) } else { Err("updated_at did not move when the row was changed".to_owned()) })
        })
    };
    contract().triggers().filter(|trigger| trigger.name == "set_updated_at").map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constraint_of_the_contract_is_tried() {
        let number = |begin: &str| contract().constraints().filter(|it| it.definition.starts_with(begin)).count();
        let tried = |word: &str| (PROBES.iter().find(|probe| probe.word == word).unwrap().cases)().len();
        assert_eq!(tried("references"), number("FOREIGN KEY"));
        assert_eq!(tried("cascades") + tried("set_null"), number("FOREIGN KEY"));
        assert_eq!(tried("uniques"), number("UNIQUE"));
        assert_eq!(tried("checks"), 2 * number("CHECK"));
        assert_eq!(tried("updated_at"), contract().triggers().count());
        assert_eq!(tried("defaults"), layer::tables().count());
    }
}
