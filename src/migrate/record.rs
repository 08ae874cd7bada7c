//! The statements that change the two tables of the history. The runner executes them and a plan shows them.

use super::header::Header;
use super::set::{Direction, Migration};
use crate::raw::{Sql, raw};

/// Diesel's row: the whole of the migration is applied.
pub(super) fn insert_applied(migration: &Migration) -> Sql {
    raw!(
        "INSERT INTO __diesel_schema_migrations (version, run_on) VALUES ({version}, now() AT TIME ZONE 'UTC')",
        version = version(migration)
    )
}

/// Removes Diesel's row.
pub(super) fn delete_applied(migration: &Migration) -> Sql {
    raw!("DELETE FROM __diesel_schema_migrations WHERE version = {version}", version = version(migration))
}

/// Our row of a migration that is one transaction, in place of one that an earlier attempt or another tool left.
pub(super) fn insert_record(migration: &Migration, header: &Header) -> Sql {
    upsert(migration, header, "NULL".into(), "NULL".into())
}

/// Our row of a migration outside a transaction, of which so many statements are done.
pub(super) fn begin_apply(migration: &Migration, header: &Header, done: usize) -> Sql {
    upsert(migration, header, done.into(), "NULL".into())
}

/// From here on the migration is not applied any more, and not reverted either.
pub(super) fn begin_revert(migration: &Migration, header: &Header) -> Sql {
    raw!(
        "WITH reverted AS ({delete})\n{upsert}",
        delete = delete_applied(migration),
        upsert = upsert(migration, header, "NULL".into(), 0_usize.into())
    )
}

fn upsert(migration: &Migration, header: &Header, done: Sql, reverted: Sql) -> Sql {
    raw!(
        "INSERT INTO __optiinfra_migrations
    (version, name, tool_version, file_hash, content_hash, compatible, up_sql, statements_done, statements_reverted)
VALUES ({version}, {name}, {tool}, {file}, {content}, {compatible}, {up}, {done}, {reverted})
ON CONFLICT (version) DO UPDATE SET
    name = excluded.name, applied_at = now(), seconds = NULL, tool_version = excluded.tool_version,
    file_hash = excluded.file_hash, content_hash = excluded.content_hash, compatible = excluded.compatible,
    up_sql = excluded.up_sql, statements_done = excluded.statements_done,
    statements_reverted = excluded.statements_reverted, adopted_from = NULL, repairs = '[]'",
        version = version(migration),
        name = Sql::literal(migration.name),
        tool = Sql::literal(env!("CARGO_PKG_VERSION")),
        file = Sql::literal(&migration.file_hash()),
        content = Sql::literal(&migration.content_hash()),
        compatible = if header.compatible { "true" } else { "false" },
        up = Sql::literal(migration.up),
        done,
        reverted,
    )
}

/// So many statements are done.
pub(super) fn progress(migration: &Migration, direction: Direction, done: usize) -> Sql {
    let column = match direction {
        Direction::Apply => "statements_done",
        Direction::Revert => "statements_reverted",
    };
    raw!(
        "UPDATE __optiinfra_migrations SET {column} = {done} WHERE version = {version}",
        column,
        done,
        version = version(migration)
    )
}

/// How long the migration took, up to now.
pub(super) fn finish_record(migration: &Migration) -> Sql {
    raw!(
        "UPDATE __optiinfra_migrations
SET seconds = extract(epoch FROM clock_timestamp() - applied_at), statements_done = NULL
WHERE version = {version}",
        version = version(migration)
    )
}

/// The whole of a migration outside a transaction is applied.
pub(super) fn finish_apply(migration: &Migration) -> Sql {
    raw!("WITH applied AS ({insert})\n{finish}", insert = insert_applied(migration), finish = finish_record(migration))
}

/// Removes our row.
pub(super) fn delete_record(migration: &Migration) -> Sql {
    raw!("DELETE FROM __optiinfra_migrations WHERE version = {version}", version = version(migration))
}

/// Another tool applied it.
pub(super) fn adopted_from(migration: &Migration, revision: &str) -> Sql {
    raw!(
        "UPDATE __optiinfra_migrations SET adopted_from = {revision} WHERE version = {version}",
        revision = Sql::literal(revision),
        version = version(migration)
    )
}

fn version(migration: &Migration) -> Sql {
    Sql::literal(migration.version)
}
