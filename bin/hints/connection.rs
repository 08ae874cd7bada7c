//! What to do where there is no session.

use optiinfra_db::connection::{Error, Malformed, Refusal, SSL_MODES, Target};

pub fn hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::Malformed(why) => malformed(*why).to_owned(),
        Error::NoDatabaseName { .. } => {
            "name it: postgresql://USER@HOST/NAME in the URL, dbname=NAME in the key=value \
             form or the service file, or PGDATABASE=NAME"
                .into()
        }
        Error::UnknownSslMode { .. } => format!("write sslmode=verify-full, or another of {}", SSL_MODES.join(", ")),
        Error::Unprotected(_) => "set sslmode=verify-full, and for a private CA sslrootcert=FILE \
             (docs/security.md)"
            .into(),
        Error::Connect { target, refusal, source } => refused(target, *refusal, &source.0),
        Error::NoSchema { .. } => {
            "set search_path to a schema that exists (options=-csearch_path%3DNAME in the URL), or \
             create it: CREATE SCHEMA"
                .into()
        }
        Error::Session { source, .. } => return super::server::statement(source).map(ToOwned::to_owned),
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
            "the server takes encrypted connections only: sslmode=verify-full".into()
        }
        Refusal::NoHbaEntry { .. } => {
            "let it in with a line in the server's pg_hba.conf (`SHOW hba_file` says where it is) \
             and `SELECT pg_reload_conf()`, or connect another way: over TLS, over a Unix socket, as another user"
                .into()
        }
        Refusal::NoDatabase => "check the name, or create the database: `optiinfra-dbctl create`".into(),
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
            .into(),
        _ => format!(
            "check that the server runs there: `pg_isready{}`; for a private one on this machine pass --local",
            server()
        ),
    }
}

/// What libpq, OpenSSL and an English server say about a refused connection, and what to do. Their words are the same for
/// an expired certificate and for one of another CA.
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
