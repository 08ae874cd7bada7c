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
        "current" | "history" | "heads" | "info" | "list" | "pending" | "version" => {
            "`optiinfra-dbctl migrate status` shows which migrations are applied and pending"
        }
        "stamp" | "baseline" => "`optiinfra-dbctl migrate adopt` takes over a database that Alembic made",
        "reset" | "drop" => "`optiinfra-dbctl migrate revert --all` undoes everything",
        "sql" | "--sql" | "--dry-run" | "dry-run" => "`optiinfra-dbctl migrate plan` shows the SQL that would run",
        "check" | "validate" => "`optiinfra-dbctl verify` checks the database, `migrate status --check` the migrations",
        "dump" => "`optiinfra-dbctl export TABLE` writes rows",
        "load" | "copy" => "`optiinfra-dbctl import TABLE FILE` brings rows in",
        _ => return None,
    })
}
