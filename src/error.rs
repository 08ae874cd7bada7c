//! What can go wrong, shaped by operation: one clause each, the cause in `source()`, the next step in [`Error::hint`].
//!
//! A message never repeats its cause and never holds a password. Printing, exit codes and the server's detail and
//! hint are the caller's.

use std::time::Duration;

use crate::layer::Layer;
use crate::tls::Weakness;

/// The result of the library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection string cannot be read. The text says why and holds nothing of the string itself.
    #[error("the database URL is not valid: {0}")]
    InvalidTarget(String),

    /// The connection would not be protected, and it was asked that it be.
    #[error("{0}")]
    Unprotected(Weakness),

    /// The server could not be reached or refused the connection.
    #[error("cannot connect to {target}")]
    Connect {
        /// The server and database, without the password.
        target: String,
        /// What libpq said, with every secret scrubbed.
        source: Message,
    },

    /// The pool had no connection within its time limit.
    #[error("no connection from the pool")]
    Pool {
        /// What the pool said.
        source: Message,
    },

    /// Somebody else holds the migration lock.
    #[error("another run holds the migration lock: gave up after {} s", .waited.as_secs())]
    Locked {
        /// How long this run waited.
        waited: Duration,
        /// Who holds the lock, as far as the server tells.
        holder: Option<String>,
    },

    /// A migration failed; its transaction was rolled back.
    #[error("migration {name} failed and was rolled back")]
    Migration {
        /// Full name of the migration.
        name: String,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A migration that is no transaction stopped half-way; what is done stays done.
    #[error("migration {name} stopped at statement {statement} of {of}; the ones before it are done and stay")]
    MigrationStopped {
        /// Full name of the migration.
        name: String,
        /// The statement that failed, counted from 1.
        statement: usize,
        /// How many statements the migration has.
        of: usize,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A migration that is no transaction cannot go on, because what it has done is not what it says now.
    #[error("migration {name} cannot go on: the {} that it has done were edited since", plural(*.done, "statement"))]
    ResumedTextChanged {
        /// Full name of the migration.
        name: String,
        /// How many statements are done.
        done: usize,
    },

    /// A table that a migration needs stayed locked; nothing of the migration was applied.
    #[error("migration {name} met a lock: gave up after {} s", .waited.as_secs())]
    TableLocked {
        /// Full name of the migration.
        name: String,
        /// How long the run could wait.
        waited: Duration,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// The head of a migration says something that nobody understands.
    #[error("the head of migration {name} cannot be read: '{line}'")]
    Header {
        /// Full name of the migration.
        name: String,
        /// The line.
        line: String,
    },

    /// Migrations that are applied have been edited since.
    #[error("{} edited since they were applied: {}", if .names.len() == 1 { "a migration was" } else { "migrations were" }, .names.join(", "))]
    Edited {
        /// Full names of the migrations.
        names: Vec<String>,
        /// What changed, as unified diffs.
        diff: String,
    },

    /// A pooler hands each transaction to another server process.
    #[error("a transaction pooler stands between this run and the server")]
    Pooler,

    /// No migration has this version.
    #[error("no migration is called '{0}'")]
    UnknownVersion(String),

    /// The database holds migrations that this binary does not know.
    #[error("the database is ahead of this binary: it does not know {}", .unknown.join(", "))]
    Ahead {
        /// The versions that this binary does not know.
        unknown: Vec<String>,
    },

    /// The database lacks migrations that this binary needs.
    #[error("the database is behind this binary: {} pending ({})", plural(.pending.len(), "migration"), span(.pending))]
    Behind {
        /// Names of the pending migrations.
        pending: Vec<String>,
    },

    /// Objects with the names of ours exist although no migration has been applied.
    #[error("the database already has {}, but no record of a migration", list(.tables, "table"))]
    Occupied {
        /// The tables.
        tables: Vec<String>,
        /// Whether Alembic's own table is there too.
        by_alembic: bool,
    },

    /// A database that Alembic made cannot be taken over.
    #[error("the database cannot be adopted: {0}")]
    NotAdoptable(String),

    /// The rows that a layer's seed builds on are not there.
    #[error("seed {layer} needs {what}")]
    MissingPrerequisite {
        /// The layer that was to be seeded.
        layer: Layer,
        /// What is missing, in words.
        what: String,
        /// The layers that provide it.
        provided_by: Vec<Layer>,
    },

    /// Rows that the seed does not own stand on rows that it would remove.
    #[error("rows that the seed does not own depend on rows that would be removed: {}", .0.join(", "))]
    SeedInUse(Vec<String>),

    /// A fleet of the same seed is there, made with other numbers.
    #[error("fleet {rng_seed} is there already, with other numbers")]
    OtherFleet {
        /// The seed of its random numbers.
        rng_seed: u64,
    },

    /// A fleet of the seed is there, and with which numbers it was made is not known any more.
    #[error(
        "fleet {rng_seed} is there, and its {} with which numbers it was made",
        if *.customers == 1 { "customer does not say".to_owned() } else { format!("{customers} customers do not say") }
    )]
    FleetOfUnknownNumbers {
        /// The seed of its random numbers.
        rng_seed: u64,
        /// How many of its customers are there.
        customers: usize,
    },

    /// Rows that a fleet does not own stand on rows that would be removed with it.
    #[error("rows that the fleet does not own depend on rows that would be removed: {}", .0.join(", "))]
    FleetInUse(Vec<String>),

    /// The numbers of a fleet make no sample.
    #[error("the fleet would be empty: {0}")]
    EmptyFleet(&'static str),

    /// No customer, or more than one, fits what was asked for.
    #[error("{} '{wanted}'", if .found.is_empty() { "no customer has the name or id" } else { "more than one customer is called" })]
    NoSuchCustomer {
        /// The name or id.
        wanted: String,
        /// Those that fit.
        found: Vec<uuid::Uuid>,
    },

    /// The work for one customer was not begun.
    #[error(transparent)]
    Tenant(#[from] crate::tenant::Error),

    /// The fields of a file cannot become the columns of a table.
    #[error("the file does not fit the table: {message}")]
    Mapping {
        /// What does not fit.
        message: String,
        /// What to do about it.
        hint: String,
    },

    /// The rows of one customer are asked for, of a table whose rows are nobody's.
    #[error("the rows of {table} do not say which customer they belong to")]
    NoCustomerColumn {
        /// The table.
        table: &'static str,
    },

    /// Rows of customers are to be written, and row security hides every customer.
    #[error("row-level security shows this session no customer, so that no row of {table} would be taken")]
    NoVisibleCustomer {
        /// The table.
        table: &'static str,
    },

    /// A file that is to be imported cannot be read, or not to its end.
    #[error("the input cannot be read; {}", committed(*.written, 0))]
    Input {
        /// How many rows were committed all the same.
        written: u64,
        /// What the system said, or in which way the file is broken.
        source: std::io::Error,
    },

    /// What is exported cannot be written.
    #[error("the output cannot be written")]
    Output {
        /// What the system said.
        source: std::io::Error,
    },

    /// A rejected row could not be told.
    #[error("the rejected rows cannot be written; {}", committed(*.written, 0))]
    Rejects {
        /// How many of the others were committed all the same.
        written: u64,
        /// What the system said.
        source: std::io::Error,
    },

    /// The probes have to write, and the session may not.
    #[error("the session is read-only, and probes write rows before they roll them back")]
    ReadOnlySession,

    /// The server refused a row of a bulk write.
    #[error("{table} refused row {row} (id {id}); {}", committed(*.written, *.in_doubt))]
    RowRefused {
        /// Name of the table.
        table: &'static str,
        /// The row's position in the input, counted from 1.
        row: u64,
        /// The row's id.
        id: uuid::Uuid,
        /// How many rows were committed all the same: the whole chunks that were committed. None where the rows
        /// were written in the caller's transaction.
        written: u64,
        /// How many rows more may be written, because another connection was lost before the server confirmed them.
        in_doubt: u64,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A chunk of a bulk write could not be written, and that is no row's fault, or not evidently.
    #[error("{table}: rows {first} to {last} could not be written; {}", committed(*.written, *.in_doubt))]
    ChunkFailed {
        /// Name of the table.
        table: &'static str,
        /// Position in the input of the chunk's first row, counted from 1.
        first: u64,
        /// Position of its last row.
        last: u64,
        /// How many rows were committed.
        written: u64,
        /// How many rows more may be written, because the connection was lost before the server confirmed them.
        in_doubt: u64,
        /// What went wrong.
        source: Box<Self>,
    },

    /// A bulk write was cancelled.
    #[error("writing to {table} was cancelled; {}", committed(*.written, *.in_doubt))]
    Cancelled {
        /// Name of the table.
        table: &'static str,
        /// How many rows were committed.
        written: u64,
        /// How many rows more may be written, because a connection was lost before the server confirmed them.
        in_doubt: u64,
    },

    /// The private local cluster could not be used.
    #[error("the local cluster cannot be used: {message}")]
    Local {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// The cause, where there is one.
        source: Option<std::io::Error>,
    },

    /// A query failed.
    #[error("could not {doing}")]
    Query {
        /// What the query was for, as an infinitive without "to".
        doing: String,
        /// What Diesel or the server said.
        source: diesel::result::Error,
    },

    /// A transaction could not be begun, committed or rolled back.
    #[error("the transaction did not complete")]
    Transaction(#[from] diesel::result::Error),
}

/// A cause of which only the text is left, because the original might hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Message(pub String);

impl Error {
    /// The next thing to do, often a command to type.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidTarget(_) => Some(
                "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded".into(),
            ),
            Self::Unprotected(_) => Some(
                "write sslmode=verify-full, and where the CA is the company's own sslrootcert=FILE (docs/security.md)"
                    .into(),
            ),
            Self::Connect { source, .. } => Some(connect_hint(&source.0).into()),
            Self::Locked { .. } => Some("wait for the other run to end, or raise --lock-wait".into()),
            Self::Migration { source, .. } => migration_hint(source),
            Self::MigrationStopped { .. } => {
                Some("fix the cause and run `optiinfra-dbctl migrate` again: it goes on at that statement".into())
            }
            Self::ResumedTextChanged { .. } => Some("give these statements their old text back; add what is new behind them".into()),
            Self::TableLocked { .. } => Some(
                "end the session that holds the table (`SELECT * FROM pg_stat_activity WHERE state <> 'idle'`), or raise --lock-wait"
                    .into(),
            ),
            Self::Header { .. } => Some(
                "write `-- optiinfra: lock_timeout = 2s`, `-- optiinfra: statement_timeout = 10min` or `-- optiinfra: compatible`"
                    .into(),
            ),
            Self::Edited { .. } => Some(
                "give the file its old text back and write a new migration; if the edit is right, \
                 `optiinfra-dbctl migrate repair --reason TEXT` records it"
                    .into(),
            ),
            Self::Pooler => Some("give the URL of the server itself, or of a pooler in session mode".into()),
            Self::UnknownVersion(_) => Some("`optiinfra-dbctl migrate status` lists the versions".into()),
            Self::Ahead { .. } => Some("run a newer optiinfra-dbctl, or revert with the one that applied them".into()),
            Self::Behind { .. } => Some("run `optiinfra-dbctl migrate`".into()),
            Self::Occupied { by_alembic: true, .. } => {
                Some("take the database over from Alembic: `optiinfra-dbctl migrate adopt --dry-run`, then without".into())
            }
            Self::NotAdoptable(_) => Some(
                "`optiinfra-dbctl migrate status` shows the history; `alembic current` and `alembic heads` show Alembic's"
                    .into(),
            ),
            Self::Occupied { .. } => Some(
                "use an empty database or schema; `optiinfra-dbctl verify` shows how these tables differ from ours"
                    .into(),
            ),
            Self::MissingPrerequisite { provided_by, .. } => Some(seed_hint(provided_by)),
            Self::SeedInUse(_) => {
                Some("name the layers that hold these rows too, use --all, or remove the rows first".into())
            }
            Self::OtherFleet { rng_seed } => Some(format!(
                "give it the same numbers to complete it, remove it with `optiinfra-dbctl seed fleet --rng-seed {rng_seed} \
                 --remove`, or choose another --rng-seed"
            )),
            Self::FleetOfUnknownNumbers { rng_seed, .. } => Some(format!(
                "somebody edited their metadata: `seed fleet --rng-seed {rng_seed} --remove` takes these numbers too \
                 (--customers, --instances, --hours, --interval, --at); or choose another --rng-seed"
            )),
            Self::FleetInUse(_) => Some("remove these rows first, then the fleet".into()),
            Self::EmptyFleet(_) => Some("give it more customers, instances or hours, or a shorter interval".into()),
            Self::NoSuchCustomer { found, .. } if found.is_empty() => {
                Some("`optiinfra-dbctl stats` lists the customers".into())
            }
            Self::NoSuchCustomer { found, .. } => {
                let ids: Vec<_> = found.iter().map(ToString::to_string).collect();
                Some(format!("name one by its id: {}", ids.join(", ")))
            }
            Self::Tenant(_) => None,
            Self::Mapping { hint, .. } => Some(hint.clone()),
            Self::NoCustomerColumn { .. } => {
                Some("leave --customer out: these rows belong to agents, which work for every customer".into())
            }
            Self::NoVisibleCustomer { .. } => Some(
                "name the customer whose rows they are, with options=-capp.customer_id%3DUUID in the URL; for the rows of \
                 several, connect as the owner or as a member of optiinfra_operator"
                    .into(),
            ),
            Self::Input { written: 0, .. } => Some("fix or replace the file, and import it again".into()),
            Self::Rejects { written: 0, .. } | Self::Output { .. } => None,
            Self::Input { .. } | Self::Rejects { .. } => Some(RETRY_HINT.into()),
            Self::ReadOnlySession => Some(
                "verify without probes, or connect to the primary as a role without default_transaction_read_only".into(),
            ),
            Self::Local { hint, .. } => hint.clone(),
            Self::RowRefused { source, .. } => row_hint(source),
            Self::ChunkFailed { source, .. } => source.hint().or_else(|| Some(RETRY_HINT.into())),
            Self::Cancelled { .. } => Some(RETRY_HINT.into()),
            Self::Query { source, .. } | Self::Transaction(source) => query_hint(source),
            Self::Pool { .. } => None,
        }
    }
}

/// Says what a query was for when it fails.
pub(crate) trait Doing<T> {
    /// Wraps the error; `what` completes "could not ...".
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T> Doing<T> for diesel::QueryResult<T> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Query { doing: what.into(), source })
    }
}

/// A few names whole, of more the first and the last.
fn span(names: &[String]) -> String {
    match names {
        [first, .., last] if names.len() > 3 => format!("{first} to {last}"),
        few => few.join(", "),
    }
}

/// A number with its noun: `1 table`, `2 tables`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// What a bulk write leaves behind when it ends before its time.
fn committed(rows: u64, in_doubt: u64) -> String {
    let rows = match rows {
        0 => "nothing was committed".to_owned(),
        1 => "1 row was committed".to_owned(),
        many => format!("{many} rows were committed"),
    };
    match in_doubt {
        0 => rows,
        _ => format!("{rows}, and the server did not say whether {in_doubt} more are"),
    }
}

const RETRY_HINT: &str = "fix the cause and write the same rows again, skipping those that are there: `import` does so with \
    --on-conflict skip, `seed fleet` always";

fn list(names: &[String], noun: &str) -> String {
    format!("the {noun}{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}

fn seed_hint(layers: &[Layer]) -> String {
    let words: Vec<_> = layers.iter().map(|layer| layer.as_str()).collect();
    format!("run `optiinfra-dbctl seed {}` first, or `optiinfra-dbctl seed --all`", words.join(" "))
}

/// What libpq and OpenSSL say when TLS is why a connection fails, and what to do. They do not tell an expired
/// certificate from one of another CA.
const TLS_HINTS: [(&[&str], &str); 8] = [
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
    (&["no encryption"], "the server takes encrypted connections only: sslmode=verify-full"),
];

/// libpq and the server tell these cases apart only in words.
fn connect_hint(message: &str) -> &'static str {
    if message.contains("password authentication failed") || message.contains("no password supplied") {
        return "check the user and the password: DATABASE_URL, PGPASSWORD or ~/.pgpass";
    }
    if let Some((_, hint)) = TLS_HINTS.iter().find(|(words, _)| words.iter().any(|word| message.contains(word))) {
        return hint;
    }
    if message.contains("database") && message.contains("does not exist") {
        return "create the database first: `createdb NAME`";
    }
    if message.contains("role") && message.contains("does not exist") {
        return "check the user name, or create the role: `createuser NAME`";
    }
    if message.contains("could not translate host name") {
        return "check the host name in the database URL";
    }
    "check that the server runs there: `pg_isready -h HOST -p PORT`; for a private one on this machine pass --local"
}

fn migration_hint(source: &diesel::result::Error) -> Option<String> {
    let text = source.to_string();
    if text.contains("permission denied") || text.contains("must be owner") {
        return Some("connect as a role that owns the tables and may CREATE in the schema".into());
    }
    if text.contains("lock timeout") {
        return Some(
            "another session holds one of the tables: run `optiinfra-dbctl migrate` again when it is done".into(),
        );
    }
    if text.contains("already exists") {
        return Some("an object of that name is not ours: use an empty database or schema, or rename it".into());
    }
    Some("nothing of it remains: fix the cause and run `optiinfra-dbctl migrate` again".into())
}

fn row_hint(source: &diesel::result::Error) -> Option<String> {
    let text = source.to_string();
    if text.contains("violates foreign key constraint") {
        return Some("the row names a customer or an agent that is not there: add that first, or fix the row".into());
    }
    if text.contains("violates unique constraint") {
        return Some(
            "the row, or one with its key, is there already: leave it out, or skip rows that are there".into(),
        );
    }
    if text.contains("row-level security policy") {
        return Some("the row belongs to a customer for whom this session may not write".into());
    }
    Some("fix the row".into())
}

fn query_hint(source: &diesel::result::Error) -> Option<String> {
    let text = source.to_string();
    if text.contains("does not exist") {
        return Some("run `optiinfra-dbctl migrate`, then `optiinfra-dbctl verify`".into());
    }
    if text.contains("violates foreign key constraint") {
        return Some("`optiinfra-dbctl migrate status` shows the schema's version; `optiinfra-dbctl seed --all` provides the rows".into());
    }
    if text.contains("violates unique constraint") {
        return Some("another row holds this value: change or remove that one".into());
    }
    if text.contains("statement timeout") {
        return Some(
            "another session may hold a table: `SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity` shows \
             who waits for whom"
                .into(),
        );
    }
    if text.contains("lock timeout") {
        return Some("another session holds one of the tables: run it again when that session is done".into());
    }
    if text.contains("row-level security") {
        return Some(
            "this role sees the rows of one customer: `export --customer NAME` takes those; for the rows of all, connect \
             as the owner or as a member of optiinfra_operator"
                .into(),
        );
    }
    if text.contains("permission denied to") || text.contains("must be ") || text.contains("must have ") {
        return Some(
            "connect as a superuser, or as the owner of the object with the attributes that this needs".into(),
        );
    }
    if text.contains("permission denied") {
        return Some("connect as a role that has this right, or ask the owner of the table for it".into());
    }
    None
}
