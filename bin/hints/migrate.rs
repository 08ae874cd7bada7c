//! What to do about migrations.

use diesel::result::Error as DieselError;
use optiinfra_db::migrate::{Direction, Error as E};
use optiinfra_db::sqlstate::{DUPLICATE_OBJECT, DUPLICATE_TABLE, INSUFFICIENT_PRIVILEGE, sqlstate};

pub fn hint(error: &E) -> Option<String> {
    let hint = match error {
        E::Locked { .. } => "wait for the other run to end, or raise --lock-wait",
        E::Failed { source, .. } => migration(source),
        E::Stopped { direction: Direction::Apply, .. } => {
            "fix the cause and run `optiinfra-dbctl migrate` again: it goes on at that statement; or take back what is done \
             with `optiinfra-dbctl migrate revert --steps 1`"
        }
        E::Stopped { direction: Direction::Revert, .. } => {
            "fix the cause and run `optiinfra-dbctl migrate revert --steps 1` to finish it, or `optiinfra-dbctl migrate` to \
             apply the migration again"
        }
        E::ResumedTextChanged { .. } => "give these statements their old text back; add what is new behind them",
        E::TableLocked { .. } => {
            "end the session that holds the table (`SELECT * FROM pg_stat_activity WHERE state <> 'idle'`), or raise \
             --lock-wait"
        }
        E::Header { .. } => {
            "write `-- optiinfra: lock_timeout = 2s`, `-- optiinfra: statement_timeout = 10min` or \
             `-- optiinfra: compatible`"
        }
        E::Edited { .. } => {
            "give the file its old text back and write a new migration; if the edit is right, \
             `optiinfra-dbctl migrate repair --reason TEXT` records it"
        }
        E::Pooler => "give the URL of the server itself, or of a pooler in session mode",
        E::NoSecondConnection { .. } => {
            "allow the role and the database two connections (ALTER ROLE NAME CONNECTION LIMIT 2), or end a session of theirs"
        }
        E::UnknownVersion(_) | E::TooFewApplied { .. } => "`optiinfra-dbctl migrate status` lists the versions",
        E::Ahead { .. } => "run a newer optiinfra-dbctl, or revert with the one that applied them",
        E::Worker => "give the URL of the coordinator",
        E::Distributed { .. } => "bring the tables back to one server first: `optiinfra-dbctl cluster disable`",
        E::Behind { .. } => "run `optiinfra-dbctl migrate`",
        E::InstalledElsewhere { current, found } => {
            return Some(format!(
                "name the schema in the URL: options=-csearch_path%3D{found} for the tables that are there, \
                 options=-csearch_path%3D{current} for new ones"
            ));
        }
        E::Occupied { by_alembic: true, .. } => {
            "take the database over from Alembic: `optiinfra-dbctl migrate adopt --dry-run`, then without"
        }
        E::Occupied { .. } => {
            "use an empty database or schema; `optiinfra-dbctl verify` shows how these tables differ from ours"
        }
        E::NotAdoptable(_) => {
            "`optiinfra-dbctl migrate status` shows the history; `alembic current` and `alembic heads` show Alembic's"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn migration(source: &DieselError) -> &'static str {
    match sqlstate(source) {
        Some(INSUFFICIENT_PRIVILEGE) => "connect as a role that owns the tables and may CREATE in the schema",
        Some(DUPLICATE_OBJECT | DUPLICATE_TABLE) => {
            "an object of that name is not ours: use an empty database or schema, or rename it"
        }
        _ => "nothing of it remains: fix the cause and run `optiinfra-dbctl migrate` again",
    }
}
