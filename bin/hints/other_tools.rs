//! Words of other migration tools.

/// The command of ours for a word of other migration tools.
pub fn command(word: &str, arguments: &[impl AsRef<str>]) -> Option<&'static str> {
    let first = arguments.iter().map(AsRef::as_ref).find(|argument| !argument.starts_with('-'));
    if first.is_some_and(|first| first != word && first != "migrate") {
        return None;
    }
    Some(match word {
        "up" | "upgrade" | "apply" | "deploy" | "run" | "migration" | "migrations" => {
            "`optiinfra-dbctl migrate` applies what is pending, with --to VERSION up to that one"
        }
        "down" | "downgrade" | "rollback" | "undo" => {
            "`optiinfra-dbctl migrate revert --steps 1` undoes the newest migration, --to VERSION all that are newer"
        }
        "status" => {
            "`optiinfra-dbctl migrate status` shows the migrations, `optiinfra-dbctl stats` what is in the database"
        }
        "current" | "history" | "head" | "heads" | "info" | "list" | "show" | "pending" | "version" => {
            "`optiinfra-dbctl migrate status` shows which migrations are applied and pending"
        }
        "stamp" | "baseline" => "`optiinfra-dbctl migrate adopt` takes over a database that Alembic made",
        "reset" | "drop" | "fresh" | "refresh" => {
            "`optiinfra-dbctl migrate revert --all` undoes everything, `local reset` renews the private database, `drop` and \
             `create` work on any"
        }
        "new" | "add" | "generate" | "revision" | "make" | "create" => {
            "`optiinfra-dbctl migrate new NAME` makes the folder of a new migration"
        }
        "psql" | "shell" | "dbshell" | "console" | "connect" => {
            "`optiinfra-dbctl local psql` opens the private database, `psql \"$DATABASE_URL\"` another one"
        }
        "ping" | "health" | "diagnose" | "ready" => {
            "`optiinfra-dbctl doctor` looks at the server and the role, `optiinfra-dbctl wait` waits for the server"
        }
        "sql" | "--sql" | "--dry-run" | "dry-run" => "`optiinfra-dbctl migrate plan` shows the SQL that would run",
        "check" | "validate" => "`optiinfra-dbctl verify` checks the database, `migrate status --check` the migrations",
        "schema" | "inspect" => "`optiinfra-dbctl dump` prints the schema",
        "load" | "copy" => "`optiinfra-dbctl import TABLE FILE` brings rows in",
        _ => return None,
    })
}
