//! The way to a server that is not on this machine: what is refused, what is warned of, and what is let through.
//!
//! The servers of these tests listen on 127.0.0.1 and are called by a name that is not local, which is what the policy
//! goes by.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::connection::{self, Target};

use crate::support::{Authority, Certificate, Dbctl, Run, TcpServer, TestDb, Validity, number};

const RULES: &str = "hostssl all certified 127.0.0.1/32 cert
hostssl all locked 127.0.0.1/32 scram-sha-256
hostssl all all 127.0.0.1/32 trust";

const HOST: &str = "db.example.test";
const WARNING: &str = "warning: the connection to db.example.test is not protected: ";

/// A server with a certificate for [`HOST`].
fn server(authority: &Authority, validity: Validity) -> TcpServer {
    let certificate = authority.sign(HOST, validity);
    TcpServer::start(Some((&certificate, authority.certificate())), RULES)
}

fn trusting(authority: &Authority) -> String {
    format!("sslrootcert={}", authority.certificate().display())
}

fn showing(certificate: &Certificate) -> String {
    format!("sslcert={} sslkey={}", certificate.certificate.display(), certificate.key.display())
}

/// A run that needs a connection and no table.
fn run(database: &str, flag: &str) -> Run {
    Dbctl::new().env("DATABASE_URL", database).run(&format!("migrate status {flag}"))
}

fn works_without_a_word(run: &Run) {
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
}

/// Cannot connect, and says why and what to do.
fn refused(run: &Run, cause: &str, hint: &str) {
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(run.stderr.contains(cause) && run.stderr.contains(&format!("hint: {hint}")), "{run:#?}");
}

fn encrypted(conn: &mut PgConnection) -> bool {
    number(conn, "SELECT ssl::int::bigint FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == 1
}

#[test]
fn a_server_with_a_good_certificate_is_let_through_and_any_doubt_is_refused() {
    let authority = Authority::new();
    let server = server(&authority, Validity::Now);
    let ca = trusting(&authority);
    let good = server.keywords(&format!("sslmode=verify-full {ca}"));
    assert!(encrypted(&mut connection::connect(&Target::parse(&good).unwrap(), "test").unwrap()));
    works_without_a_word(&run(&good, ""));
    works_without_a_word(&run(&good, "--require-tls"));
    // Nobody named a mode: the flag does.
    works_without_a_word(&run(&server.keywords(&ca), "--require-tls"));
    // Migrating looks for a pooler over a second connection.
    let migrated = Dbctl::new().env("DATABASE_URL", &server.keywords(&ca)).run("migrate --require-tls");
    assert_eq!((migrated.code, migrated.stderr.contains("warning")), (Some(0), false), "{migrated:#?}");
    let pool = connection::pool(&Target::parse(&good).unwrap(), "test").max_size(2).build().unwrap();
    assert!(encrypted(&mut pool.get().unwrap()));

    let another = Authority::new();
    let of_another = trusting(&another);
    for flag in ["", "--require-tls"] {
        let wrong_ca = run(&server.keywords(&format!("sslmode=verify-full {of_another}")), flag);
        refused(&wrong_ca, "certificate verify failed", "the server's certificate has expired, or no CA");
        let wrong_name = format!("{} user=optiinfra sslmode=verify-full {ca}", server.address("other.example.test"));
        let mismatch = "server certificate for \"db.example.test\" does not match host name \"other.example.test\"";
        refused(&run(&wrong_name, flag), mismatch, "connect by a name that is in the server's certificate");
        let no_name = format!("hostaddr=127.0.0.1 port={} user=optiinfra dbname=optiinfra", server.port);
        // An address of this machine is local, so it is the mode and not the flag that asks for the name.
        let no_name = run(&format!("{no_name} sslmode=verify-full {ca}"), flag);
        refused(&no_name, "host name must be specified", "add host=NAME to hostaddr");
        let no_file = run(&server.keywords("sslmode=verify-full sslrootcert=/nowhere/ca.crt"), flag);
        refused(&no_file, "root certificate file \"/nowhere/ca.crt\" does not exist", "name the CA that signs");
        // No CA of the system has signed it, or libpq is older than 16 and takes the word for a file.
        let system = run(&server.keywords("sslrootcert=system"), flag);
        assert_eq!(system.code, Some(3), "{system:#?}");
        assert!(!system.stderr.contains("warning"), "{system:#?}");
    }
    let open = run(&server.keywords("sslmode=disable"), "");
    refused(&open, "no encryption", "the server takes encrypted connections only: sslmode=verify-full");
}

#[test]
fn doctor_says_whether_the_way_is_encrypted_and_who_answers_is_checked() {
    let authority = Authority::new();
    let server = server(&authority, Validity::Now);
    let open = TcpServer::start(None, "host all all 127.0.0.1/32 trust");
    for (database, state, words) in [
        (server.keywords(&format!("sslmode=verify-full {}", trusting(&authority))), "ok", "TLSv1."),
        (server.keywords("sslmode=require"), "note", "takes any certificate"),
        (open.keywords(""), "problem", "none; the connection to db.example.test is not protected"),
    ] {
        let report = Dbctl::new().env("DATABASE_URL", &database).run("doctor --format json").json();
        let tls = report["checks"].as_array().unwrap().iter().find(|check| check["id"] == "tls").unwrap();
        assert_eq!(tls["state"], state, "{tls:#}");
        assert!(tls["found"].as_str().unwrap().contains(words), "{tls:#}");
    }
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let server = server(&authority, Validity::LongAgo);
    let ca = trusting(&authority);
    for (more, flag) in [("sslmode=verify-full", ""), ("", "--require-tls"), ("sslmode=verify-ca", "")] {
        let run = run(&server.keywords(&format!("{more} {ca}")), flag);
        refused(&run, "certificate verify failed", "the server's certificate has expired, or no CA");
    }
    // What the weaker mode is worth.
    assert!(encrypted(&mut connection::connect(&server.target("sslmode=require"), "test").unwrap()));
}

#[test]
fn a_client_certificate_is_shown_to_the_server() {
    let authority = Authority::new();
    let server = server(&authority, Validity::Now);
    server.role("certified LOGIN");
    let as_user = |more: &str| {
        let ca = trusting(&authority);
        run(&format!("{} user=certified sslmode=verify-full {ca} {more}", server.address(HOST)), "--require-tls")
    };
    let mine = authority.sign("certified", Validity::Now);
    works_without_a_word(&as_user(&showing(&mine)));
    let hint = "give a client certificate that is valid";
    refused(&as_user(""), "connection requires a valid client certificate", hint);
    let of_somebody = showing(&authority.sign("somebody", Validity::Now));
    refused(&as_user(&of_somebody), "certificate authentication failed for user \"certified\"", hint);
    refused(&as_user(&showing(&authority.sign("certified", Validity::LongAgo))), "certificate expired", hint);
    refused(&as_user(&showing(&Authority::new().sign("certified", Validity::Now))), "alert unknown ca", hint);
    fs::set_permissions(&mine.key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(&as_user(&showing(&mine)), "group or world access", "close the key: chmod 600");
}

#[test]
fn a_plain_server_is_warned_of_once_and_refused_where_tls_is_required() {
    let server = TcpServer::start(None, "host all all 127.0.0.1/32 trust");
    let plain = server.keywords("");
    let warned = run(&plain, "");
    assert_eq!(warned.code, Some(0), "{warned:#?}");
    assert_eq!(warned.stderr.matches("warning").count(), 1, "{warned:#?}");
    let said = format!("{WARNING}sslmode=prefer, the default, does not insist on encryption");
    assert!(warned.stderr.starts_with(&said), "{warned:#?}");
    // Migrating looks for a pooler over a second connection.
    let migrated = Dbctl::new().env("DATABASE_URL", &plain).run("migrate");
    assert_eq!((migrated.code, migrated.stderr.matches("warning").count()), (Some(0), 1), "{migrated:#?}");
    works_without_a_word(&run(&plain, "--quiet"));

    let authority = Authority::new();
    let hint = "switch TLS on in the server";
    let required =
        Dbctl::new().env("OPTIINFRA_REQUIRE_TLS", "1").env("DATABASE_URL", &server.keywords(&trusting(&authority)));
    refused(&required.run("migrate status"), "server does not support SSL, but SSL was required", hint);
    let not_required = Dbctl::new().env("OPTIINFRA_REQUIRE_TLS", "0").env("DATABASE_URL", &plain);
    assert_eq!(not_required.run("migrate status").code, Some(0));
    // By a name of this machine there is nothing to protect.
    let local = format!("{} user=optiinfra", server.address("localhost"));
    works_without_a_word(&run(&local, ""));
    works_without_a_word(&run(&local, "--require-tls"));
}

/// Every mode, from every place where libpq looks for it. The last in the list wins.
#[test]
fn a_lesser_mode_is_warned_of_and_refused_wherever_it_stands() {
    let authority = Authority::new();
    let server = server(&authority, Validity::Now);
    let home = tempfile::tempdir().unwrap();
    let ca = trusting(&authority);
    for mode in ["allow", "prefer", "require", "verify-ca"] {
        let sslmode = format!("sslmode={mode}");
        let with = server.keywords(&format!("{sslmode} {ca}"));
        let without = server.keywords(&ca);
        let service = home.path().join("services");
        let lines = format!("{}\nuser=optiinfra\n{ca}\n{sslmode}\n", server.address(HOST).replace(' ', "\n"));
        fs::write(&service, format!("[ours]\n{lines}")).unwrap();
        let service = service.display().to_string();
        let string = || Dbctl::new().env("DATABASE_URL", &with);
        let variable = || Dbctl::new().env("DATABASE_URL", &without).env("PGSSLMODE", mode);
        let file = || Dbctl::new().env("PGSERVICE", "ours").env("PGSERVICEFILE", &service);
        let file_too =
            || Dbctl::new().env("DATABASE_URL", "postgresql:///?service=ours").env("PGSERVICEFILE", &service);
        let places: [(&str, &dyn Fn() -> Dbctl); 4] = [
            ("the connection string", &string),
            ("PGSSLMODE", &variable),
            ("the service file", &file),
            ("the service file", &file_too),
        ];
        for (place, run) in places {
            let warned = run().run("migrate status");
            let said = format!("{WARNING}{sslmode}, from {place}, ");
            assert!(warned.code == Some(0) && warned.stderr.starts_with(&said), "{place}: {warned:#?}");
            let refused = run().run("migrate status --require-tls");
            let said = format!("error: {}{sslmode}, from {place}, ", &WARNING["warning: ".len()..]);
            assert!(refused.code == Some(2) && refused.stderr.starts_with(&said), "{place}: {refused:#?}");
        }
    }
    // The string goes before the variable, and a service file that nobody can read leaves everything open.
    let good = server.keywords(&format!("sslmode=verify-full {ca}"));
    works_without_a_word(
        &Dbctl::new().env("DATABASE_URL", &good).env("PGSSLMODE", "disable").run("migrate status --require-tls"),
    );
    let lost = Dbctl::new().env("PGSERVICE", "ours").env("PGSERVICEFILE", "/nowhere").run("migrate status");
    assert!(lost.stderr.contains("a server that a service file names is not protected"), "{lost:#?}");
    // A host that is not local among local ones.
    let several = format!(
        "host=localhost,{HOST} hostaddr=127.0.0.1,127.0.0.1 port={0},{0} user=optiinfra dbname=optiinfra",
        server.port
    );
    assert!(run(&several, "").stderr.contains("the connection to localhost,db.example.test is not protected"));
}

/// What libpq takes from elsewhere arrives: the certificate in the home directory, the password file, the service.
#[test]
fn certificates_passwords_and_services_pass_through_libpq() {
    let authority = Authority::new();
    let server = server(&authority, Validity::Now);
    server.role("certified LOGIN");
    server.role("locked LOGIN PASSWORD 'Tr0ub4dor'");
    let home = tempfile::tempdir().unwrap();
    let in_home = |name: &str| home.path().join(name);
    let put = |name: &str, text: &str| {
        fs::create_dir_all(in_home(name).parent().unwrap()).unwrap();
        fs::write(in_home(name), text).unwrap();
        fs::set_permissions(in_home(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let at_home = || Dbctl::new().env("HOME", &home.path().display().to_string());
    let path = |path: &Path| path.display().to_string();

    let mine = authority.sign("certified", Validity::Now);
    let as_user = format!("{} user=certified", server.address(HOST));
    let by_variables = at_home()
        .env("DATABASE_URL", &as_user)
        .env("PGSSLROOTCERT", &path(&authority.certificate()))
        .env("PGSSLCERT", &path(&mine.certificate))
        .env("PGSSLKEY", &path(&mine.key));
    works_without_a_word(&by_variables.run("migrate status --require-tls"));

    let ca = trusting(&authority);
    let locked = format!("{} user=locked sslmode=verify-full {ca}", server.address(HOST));
    let wrong = at_home().env("DATABASE_URL", &locked).env("PGPASSFILE", "/nowhere").run("migrate status");
    refused(&wrong, "no password supplied", "check the user and the password");
    put("passwords", &format!("{HOST}:{}:*:locked:Tr0ub4dor\n", server.port));
    let by_file = at_home().env("DATABASE_URL", &locked).env("PGPASSFILE", &path(&in_home("passwords")));
    works_without_a_word(&by_file.run("migrate status"));
    works_without_a_word(&run(&format!("{locked} passfile={}", path(&in_home("passwords"))), ""));
    works_without_a_word(&at_home().env("DATABASE_URL", &locked).env("PGPASSWORD", "Tr0ub4dor").run("migrate status"));

    let lines = format!("{locked} password=Tr0ub4dor").replace(' ', "\n");
    put("services", &format!("[another]\nhost=/nowhere\n[ours]\n{lines}\n"));
    let by_service = || at_home().env("PGSERVICEFILE", &path(&in_home("services")));
    works_without_a_word(&by_service().env("PGSERVICE", "ours").run("migrate status --require-tls"));
    works_without_a_word(&by_service().env("DATABASE_URL", "service=ours").run("migrate status --require-tls"));
}

#[test]
fn limits_and_names_reach_the_server_and_give_way_to_the_user_s() {
    let db = TestDb::empty();
    let setting = |conn: &mut PgConnection, name: &str| -> String {
        diesel::select(diesel::dsl::sql::<Text>(&format!("current_setting('{name}')"))).get_result(conn).unwrap()
    };
    let pool = connection::pool(&db.target(), "a service").max_size(1).build().unwrap();
    let conn = &mut pool.get().unwrap();
    assert_eq!(setting(conn, "application_name"), "a service");
    assert_eq!(setting(conn, "client_connection_check_interval"), "1s");
    assert_eq!(setting(conn, "search_path"), db.schema());
    let named = Dbctl::on(&db).env("PGAPPNAME", "mine").env("PGCONNECT_TIMEOUT", "3").run("migrate status");
    assert_eq!(named.code, Some(0), "{named:#?}");
}

#[test]
fn the_library_tells_a_service_what_is_missing() {
    let target = Target::parse("postgresql://u:Tr0ub4dor@db.example.test/d?sslmode=require").unwrap();
    let weakness: connection::Weakness = target.weakness().unwrap();
    assert_eq!(
        weakness.to_string(),
        "the connection to db.example.test is not protected: sslmode=require, from the connection string, encrypts, \
         and takes any certificate"
    );
    let error = target.require_tls().unwrap_err();
    assert!(matches!(&error, connection::Error::Unprotected(why) if *why == weakness));
    assert!(!format!("{error:?} {error} {weakness:?}").contains("Tr0ub"));
}
