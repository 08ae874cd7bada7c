//! What to do about an error: the next command to type, or the setting to change. One function for each module that has
//! errors.

use std::fmt::{self, Display};

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use optiinfra_db::connection::{Malformed, Refusal, SSL_MODES, Target};
use optiinfra_db::migrate::{self, Direction};
use optiinfra_db::sqlstate::{
    DUPLICATE_OBJECT, DUPLICATE_TABLE, FOREIGN_KEY_VIOLATION, INSUFFICIENT_PRIVILEGE, UNIQUE_VIOLATION, sqlstate,
};
use optiinfra_db::transfer::{Compression, Missing, OtherJson};
use optiinfra_db::{Error, connection, fleet, ingest, layer, local, roles, seed, stats, transfer, verify};

/// An error of the binary's own with the next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hinted {
    pub message: String,
    pub hint: String,
}

impl Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// The next thing to do about an error of a command.
pub fn of(error: &anyhow::Error) -> Option<String> {
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        return Some(hinted.hint.clone());
    }
    let connection = error.downcast_ref().and_then(connection);
    connection.or_else(|| error.downcast_ref().and_then(local)).or_else(|| error.downcast_ref().and_then(of_library))
}

/// The next thing to do about an error of the library.
pub fn of_library(error: &Error) -> Option<String> {
    match error {
        Error::Connection(error) => return connection(error),
        Error::Local(error) => return local(error),
        _ => {}
    }
    let modules = [migrate, partitions, seed, fleet, stats, transfer, ingest, verify, query];
    modules.into_iter().find_map(|hint| hint(error))
}

/// The command of ours for a word of other migration tools.
pub fn of_other_tools(word: &str, arguments: &[impl AsRef<str>]) -> Option<&'static str> {
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

fn connection(error: &connection::Error) -> Option<String> {
    use connection::Error;
    Some(match error {
        Error::Malformed(why) => malformed(*why).to_owned(),
        Error::NoDatabaseName { .. } => {
            "name it: postgresql://USER@HOST/NAME in the URL, dbname=NAME in the key=value \
             form or the service file, or PGDATABASE=NAME"
                .to_owned()
        }
        Error::UnknownSslMode { .. } => format!("write sslmode=verify-full, or another of {}", SSL_MODES.join(", ")),
        Error::Unprotected(_) => "write sslmode=verify-full, and where the CA is the company's own sslrootcert=FILE \
             (docs/security.md)"
            .to_owned(),
        Error::Connect { target, refusal, source } => refused(target, *refusal, &source.0),
        Error::NoSchema { .. } => {
            "set search_path to a schema that exists (options=-csearch_path%3DNAME in the URL), or \
             create it: CREATE SCHEMA"
                .to_owned()
        }
        Error::Session { source, .. } => return statement(source).map(ToOwned::to_owned),
        _ => return None,
    })
}

fn malformed(why: Malformed) -> &'static str {
    match why {
        Malformed::Empty => {
            "set DATABASE_URL=postgresql://USER@HOST/NAME, or pass --local for a private one on this machine"
        }
        Malformed::Quoted => "write it without the quotes, which a shell takes away and nothing else does",
        Malformed::Jdbc => "write postgresql://USER@HOST:PORT/NAME: without jdbc:, and with the user before the host",
        Malformed::PasswordCharacters => "in a password write %40 for @ and %2F for /",
        Malformed::AtBehindQuestionMark => "in a password write %3F for ?, and in an option %40 for @",
        Malformed::Option => "write ?OPTION=VALUE&OPTION=VALUE with libpq's options",
        Malformed::Port => "in a password write %3A for : and %2F for /; an IPv6 address stands in brackets",
        Malformed::Percent => "write %25 for a % itself",
        Malformed::NoValue | Malformed::Key | Malformed::KeyTwice | Malformed::OpenQuote => {
            "put a value that holds spaces in single quotes: password='A B'"
        }
        _ => "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded",
    }
}

/// What to do about a refused connection.
fn refused(target: &Target, refusal: Refusal, message: &str) -> String {
    let parameter =
        |key: &str, or: &str| target.parameter(key).filter(|value| !value.is_empty()).unwrap_or(or.to_owned());
    let (user, database) = (parameter("user", "USER"), parameter("dbname", "NAME"));
    let server = || {
        let options = [("host", "-h"), ("port", "-p"), ("user", "-U")];
        let given = options.into_iter().filter_map(|(key, flag)| Some(format!(" {flag} {}", target.parameter(key)?)));
        given.collect::<String>()
    };
    // Sharper where the message is in English: libpq's own always is, the server's where it speaks English.
    if let Some((_, hint)) = REFUSED_HINTS.iter().find(|(words, _)| words.iter().any(|word| message.contains(word))) {
        return hint.replace("USER", &user);
    }
    match refusal {
        Refusal::NoHbaEntry { could_encrypt: true } => {
            "the server takes encrypted connections only: sslmode=verify-full".to_owned()
        }
        Refusal::NoHbaEntry { .. } => {
            "let it in with a line in the server's pg_hba.conf (`SHOW hba_file` says where it is) \
             and `SELECT pg_reload_conf()`, or connect another way: over TLS, over a Unix socket, as another user"
                .to_owned()
        }
        Refusal::NoDatabase => format!("check the name, or create the database: `createdb{} {database}`", server()),
        Refusal::DatabaseClosed => {
            format!("let connections in: `ALTER DATABASE \"{database}\" ALLOW_CONNECTIONS true`")
        }
        Refusal::NoConnectRight => {
            format!("as the database's owner: `GRANT CONNECT ON DATABASE \"{database}\" TO \"{user}\"`")
        }
        Refusal::DatabaseFull => format!(
            "end sessions of this database, or raise its limit: `ALTER DATABASE \"{database}\" CONNECTION LIMIT N`"
        ),
        Refusal::Role => format!(
            "check the user and the password: DATABASE_URL, PGPASSWORD or ~/.pgpass; `\\du {user}` in psql shows whether the \
             role exists, may log in and how many sessions it may have"
        ),
        Refusal::Server => "the server runs and takes no session now: try again when it has started, or end sessions \
             (`SELECT pid, usename, state FROM pg_stat_activity`) or raise max_connections"
            .to_owned(),
        _ => format!(
            "check that the server runs there: `pg_isready{}`; for a private one on this machine pass --local",
            server()
        ),
    }
}

fn local(error: &local::Error) -> Option<String> {
    use local::Error;
    const ANOTHER: &str = "set OPTIINFRA_LOCAL_DIR to another directory, which need not exist";
    Some(match error {
        Error::EmptyVariable(variable) => format!("give it a directory, or unset it: `unset {variable}`"),
        Error::NoHome => "set OPTIINFRA_LOCAL_DIR to a directory for the cluster".to_owned(),
        Error::PathTooLong(_) => "set OPTIINFRA_LOCAL_DIR to a shorter one".to_owned(),
        Error::PathCharacter { .. } | Error::Unreachable { .. } | Error::NotOurs(_) | Error::OtherOwner { .. } => {
            ANOTHER.to_owned()
        }
        Error::OpenToOthers(dir) => format!("close it: chmod 700 {}", dir.display()),
        Error::Busy { lock, .. } => format!("see which one: fuser {}", lock.display()),
        Error::Orphans { pids, .. } => {
            let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
            format!("end them: kill {}", pids.join(" "))
        }
        Error::NoBinariesIn(_) => "set OPTIINFRA_PG_BIN to the directory of initdb, pg_ctl and postgres \
             (`pg_config --bindir`), or unset it; Debian, Ubuntu: apt-get install postgresql"
            .to_owned(),
        Error::NoBinaries | Error::BinariesTooOld { .. } | Error::OtherBinaries { .. } => {
            "install them (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; \
             macOS: brew install postgresql@17), or set OPTIINFRA_PG_BIN to their directory"
                .to_owned()
        }
        Error::NoServerUser => {
            "install the server package, which makes that user, or run this as another user".to_owned()
        }
        Error::UnknownUser(_) => "run this as a known user".to_owned(),
        Error::NotStarted { log, .. } => format!("read {}", log.display()),
        Error::Connection(error) => return connection(error),
        _ => return None,
    })
}

fn migrate(error: &Error) -> Option<String> {
    use migrate::Error as E;
    let Error::Migrate(error) = error else { return None };
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

fn partitions(error: &Error) -> Option<String> {
    use optiinfra_db::partitions::Error as E;
    let Error::Partitions(error) = error else { return None };
    let hint = match error {
        E::UnknownTable(_) => {
            let names: Vec<_> = optiinfra_db::catalog::HOT_TABLES.iter().map(|table| table.name).collect();
            return Some(format!("name one of {}", names.join(", ")));
        }
        E::NoTable(_) => "run `optiinfra-dbctl migrate`",
        E::Partman(_) => "let pg_partman make its partitions, or take the table out of part_config first",
        E::OtherShape { .. } => "this shape is somebody's own: make the table plain by hand first",
        E::OtherPeriod { found, .. } => return Some(format!("pass --by {found}, or disable first")),
        E::Obstacles { .. } => {
            "change or drop these, and make them again afterwards; `optiinfra-dbctl verify` shows fixes"
        }
        E::FutureRows { .. } => "correct or delete these rows first: their clock was ahead",
        E::Locked { .. } => {
            "end the transaction that holds the table (`optiinfra-dbctl stats --section sessions` shows it) and run it \
             again: it goes on where it stopped"
        }
        E::Stopped { .. } => "fix the cause and run it again: it goes on where it stopped",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn seed(error: &Error) -> Option<String> {
    let Error::Seed(error) = error else { return None };
    match error {
        seed::Error::MissingPrerequisite { provided_by, .. } => {
            let layers: Vec<_> = provided_by.iter().map(|layer| layer.as_str()).collect();
            Some(format!("run `optiinfra-dbctl seed {}` first, or `optiinfra-dbctl seed --all`", layers.join(" ")))
        }
        seed::Error::InUse(_) => {
            Some("name the layers that hold these rows too, use --all, or remove the rows first".to_owned())
        }
        _ => None,
    }
}

fn fleet(error: &Error) -> Option<String> {
    let Error::Fleet(error) = error else { return None };
    let hint = match error {
        fleet::Error::OtherNumbers { rng_seed } => {
            return Some(format!(
                "give it the same numbers to complete it, remove it with `optiinfra-dbctl seed fleet --rng-seed \
                 {rng_seed} --remove`, or choose another --rng-seed"
            ));
        }
        fleet::Error::UnknownNumbers { rng_seed, .. } => {
            return Some(format!(
                "somebody edited their metadata: `seed fleet --rng-seed {rng_seed} --remove` takes these numbers too \
                 (--customers, --instances, --hours, --interval, --at); or choose another --rng-seed"
            ));
        }
        fleet::Error::InUse(_) => "remove these rows first, then the fleet",
        fleet::Error::Empty(_) => "give it more customers, instances or hours, or a shorter interval",
        fleet::Error::TooLarge { .. } => "give it fewer --customers or --instances",
        fleet::Error::OneConnection(_) => {
            "raise the limit (ALTER ROLE, ALTER DATABASE ... CONNECTION LIMIT), or connect as another role"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn stats(error: &Error) -> Option<String> {
    let Error::Stats(stats::Error::NoSuchCustomer { found, .. }) = error else { return None };
    if found.is_empty() {
        return Some("`optiinfra-dbctl stats` lists the customers".to_owned());
    }
    let ids: Vec<_> = found.iter().map(ToString::to_string).collect();
    Some(format!("name one by its id: {}", ids.join(", ")))
}

fn transfer(error: &Error) -> Option<String> {
    let Error::Transfer(error) = error else { return None };
    Some(match error {
        transfer::Error::UnknownColumn { table, meant, .. } => {
            did_you_mean(*meant, &format!("it has {}", columns(*table)))
        }
        transfer::Error::MappedTwice(_) => "name one field for it".to_owned(),
        transfer::Error::GivenTwice(_) => "give it one value, or one field".to_owned(),
        transfer::Error::Constant { names: Some(rows), .. } => format!("`optiinfra-dbctl stats` lists the {rows}"),
        transfer::Error::Constant { .. } => "it would be the same in every row".to_owned(),
        transfer::Error::FieldTwice(_) => "rename one of them".to_owned(),
        transfer::Error::TwoFields { column, .. } => format!("choose one: --map {column}=FIELD"),
        transfer::Error::MissingFields { missing, unused, fields } => missing_fields(missing, unused, fields),
        transfer::Error::UnknownField { table, meant, .. } => did_you_mean(
            meant.as_deref(),
            &format!(
                "the columns are {}: pass --map COLUMN=FIELD, or --ignore-unknown to leave such fields out",
                columns(*table)
            ),
        ),
        transfer::Error::Header(_) => {
            "name the fields with --no-header --columns A,B,... if the file has no header".to_owned()
        }
        transfer::Error::HeaderEncoding(_) => {
            "write the file in UTF-8: `iconv -f ENCODING -t UTF-8 FILE | optiinfra-dbctl import TABLE -`".to_owned()
        }
        transfer::Error::Delimiter { found: b'\t', .. } => "pass --delimiter tab".to_owned(),
        transfer::Error::Delimiter { found, .. } => format!("pass --delimiter '{}'", char::from(*found)),
        transfer::Error::NotOneObjectALine(json) => {
            let filter = if *json == OtherJson::Array { "'.[]'" } else { "." };
            format!("write one object a line, for example with `jq -c {filter}`")
        }
        transfer::Error::Empty => {
            "an empty file of NDJSON has no rows and is fine: pass --input-format ndjson".to_owned()
        }
        transfer::Error::NamedFieldsOfNdjson => {
            "leave --no-header and --columns out, or pass --input-format csv".to_owned()
        }
        transfer::Error::Compressed(compression) => {
            let unpack = match compression {
                Compression::Zstd => "zstd -dc",
                Compression::Bzip2 => "bzip2 -dc",
                Compression::Xz => "xz -dc",
                _ => "unzip -p",
            };
            format!("unpack it on the way: `{unpack} FILE | optiinfra-dbctl import TABLE -`")
        }
        transfer::Error::NoCustomerColumn(_) => {
            "leave --customer out: these rows belong to agents, which work for every customer".to_owned()
        }
        transfer::Error::NoVisibleCustomer(_) => {
            "name the customer whose rows they are, with options=-capp.customer_id%3DUUID in the URL; for the rows of \
             several, connect as the owner or as a member of optiinfra_operator"
                .to_owned()
        }
        transfer::Error::Input { written: 0, .. } => "fix or replace the file, and import it again".to_owned(),
        transfer::Error::Input { .. } => RETRY.to_owned(),
        transfer::Error::Rejects { written, .. } if *written > 0 => RETRY.to_owned(),
        _ => return None,
    })
}

fn columns(table: transfer::Table) -> String {
    let names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
    names.join(", ")
}

fn did_you_mean(meant: Option<&str>, rest: &str) -> String {
    meant.map(|meant| format!("did you mean {meant}? {rest}")).unwrap_or_else(|| rest.to_owned())
}

/// One line to paste, with the field that is likely where there is one.
fn missing_fields(missing: &[Missing], unused: &[String], fields: &[String]) -> String {
    let flags = missing.iter().map(|missing| {
        let field = missing.meant.as_deref().unwrap_or("FIELD");
        let quote = if field.contains(|character: char| !(character.is_alphanumeric() || "_-.".contains(character))) {
            "'"
        } else {
            ""
        };
        format!("--map {quote}{}={field}{quote}", missing.column)
    });
    let flags = flags.collect::<Vec<_>>().join(" ");
    let quoted = |fields: &[String]| fields.iter().map(|field| format!("'{field}'")).collect::<Vec<_>>().join(", ");
    let has = if unused.is_empty() {
        format!("the file has {}", quoted(fields))
    } else {
        format!("no column takes {}", quoted(unused))
    };
    format!("pass `{flags}`, or --set COLUMN=VALUE for the same in every row; {has}")
}

const RETRY: &str = "fix the cause and write the same rows again, skipping those that are there: `import` does so with \
                     --on-conflict skip, `seed fleet` always";

fn ingest(error: &Error) -> Option<String> {
    let Error::Ingest(error) = error else { return None };
    match error {
        ingest::Error::RowRefused { source, .. } => Some(row(source).to_owned()),
        ingest::Error::ChunkFailed { source, .. } => of_library(source).or_else(|| Some(RETRY.to_owned())),
        ingest::Error::Cancelled { .. } => Some(RETRY.to_owned()),
        _ => None,
    }
}

fn verify(error: &Error) -> Option<String> {
    matches!(error, Error::Verify(verify::Error::ReadOnlySession)).then(|| {
        "verify without probes, or connect to the primary as a role without default_transaction_read_only".to_owned()
    })
}

fn query(error: &Error) -> Option<String> {
    match error {
        Error::Query { source, .. } | Error::Diesel(source) | Error::Roles(roles::Error::Refused { source, .. }) => {
            statement(source).map(ToOwned::to_owned)
        }
        _ => None,
    }
}

/// What libpq, OpenSSL and a server that speaks English say of a refused connection, and what to do. They do not tell an
/// expired certificate from one of another CA.
const REFUSED_HINTS: [(&[&str], &str); 12] = [
    (
        &["certificate verify failed", "SSL error: EVP lib"],
        "the server's certificate has expired, or no CA in sslrootcert has signed it: \
         `openssl s_client -starttls postgres -connect HOST:PORT -CAfile FILE` says which",
    ),
    (
        &["does not match host name"],
        "connect by a name that is in the server's certificate; hostaddr=ADDRESS beside host=NAME says where it is",
    ),
    (
        &["root certificate file"],
        "name the CA that signs the server's certificate: sslrootcert=FILE, or sslrootcert=system with libpq 16 or newer",
    ),
    (&["host name must be specified"], "add host=NAME to hostaddr: the server's certificate is checked for that name"),
    (
        &["does not support SSL"],
        "switch TLS on in the server (`ssl = on`, ssl_cert_file, ssl_key_file), or reach it through a Unix socket",
    ),
    (&["group or world access"], "close the key: chmod 600 FILE"),
    (
        &[
            "valid client certificate",
            "certificate authentication failed",
            "alert certificate",
            "alert unknown ca",
            "alert bad certificate",
            "alert decrypt error",
            "could not read certificate file",
            "could not load private key file",
        ],
        "give a client certificate that is valid, that the server's ssl_ca_file has signed, and that names this user: \
         sslcert=FILE sslkey=FILE",
    ),
    (
        &["password authentication failed", "no password supplied"],
        "check the user and the password: DATABASE_URL, PGPASSWORD or ~/.pgpass",
    ),
    (&["could not translate host name"], "check the host name in the database URL"),
    (
        &["too many connections for role"],
        "end a session of the role, or raise its limit: `ALTER ROLE \"USER\" CONNECTION LIMIT N`",
    ),
    (&["is not permitted to log in"], "let the role log in: `ALTER ROLE \"USER\" LOGIN`"),
    (&["role \""], "check the user's name, or create the role: `createuser \"USER\"`"),
];

fn migration(source: &DieselError) -> &'static str {
    match sqlstate(source) {
        Some(INSUFFICIENT_PRIVILEGE) => "connect as a role that owns the tables and may CREATE in the schema",
        Some(DUPLICATE_OBJECT | DUPLICATE_TABLE) => {
            "an object of that name is not ours: use an empty database or schema, or rename it"
        }
        _ => "nothing of it remains: fix the cause and run `optiinfra-dbctl migrate` again",
    }
}

fn row(source: &DieselError) -> &'static str {
    match sqlstate(source) {
        Some(FOREIGN_KEY_VIOLATION) => {
            "the row names a customer or an agent that is not there: add that first, or fix the row"
        }
        Some(UNIQUE_VIOLATION) => {
            "the row, or one with its key, is there already: leave it out, or skip rows that are there"
        }
        _ => "fix the row; a session that works for one customer may write that customer's rows only",
    }
}

/// By the SQLSTATE where it is known. Else by what no language changes: an error in the text of a statement has a place
/// in it, because a table or column is not there, and one about a right or row security names the table.
fn statement(source: &DieselError) -> Option<&'static str> {
    let DieselError::DatabaseError(kind, information) = source else { return None };
    let names_table = || layer::tables().any(|(_, table)| information.message().contains(table));
    Some(match sqlstate(source) {
        Some(FOREIGN_KEY_VIOLATION) => {
            "`optiinfra-dbctl migrate status` shows the schema's version; `optiinfra-dbctl seed --all` provides the rows"
        }
        Some(UNIQUE_VIOLATION) => "another row holds this value: change or remove that one",
        Some(INSUFFICIENT_PRIVILEGE) => {
            "connect as a role that has this right, such as the owner of the object or a superuser"
        }
        None if *kind != DatabaseErrorKind::Unknown => return None,
        None if information.statement_position().is_some() => {
            "run `optiinfra-dbctl migrate`, then `optiinfra-dbctl verify`"
        }
        None if names_table() => {
            "connect as a role that has this right on all rows, such as the owner or a member of optiinfra_operator; \
             where row security shows this role the rows of one customer, `export --customer NAME` takes those"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use optiinfra_db::layer::Layer;

    use super::*;

    #[test]
    fn a_missing_prerequisite_names_the_command_that_provides_it() {
        let error = seed::Error::MissingPrerequisite {
            layer: Layer::Application,
            what: "customers".to_owned(),
            provided_by: vec![Layer::Core, Layer::Resource],
        };
        assert_eq!(
            of_library(&error.into()).unwrap(),
            "run `optiinfra-dbctl seed core resource` first, or `optiinfra-dbctl seed --all`"
        );
    }

    #[test]
    fn the_customers_of_one_name_are_told_apart_by_their_ids() {
        let ids = [uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2)];
        let error = Error::Stats(stats::Error::NoSuchCustomer { wanted: "x".to_owned(), found: ids.to_vec() });
        let hint = of_library(&error).unwrap();
        assert!(ids.iter().all(|id| hint.contains(&id.to_string())), "{hint}");
    }
}
