//! `roles`: the second time nothing changes, every fault is found, and each role can do what it is for and no more.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::catalog::{self, Kind, tables_of_customers};
use optiinfra_db::connection::{self, Refusal, Target};
use optiinfra_db::layer;
use optiinfra_db::migrate::{self, EMBEDDED, Goal, Migration, Migrator, StartupPolicy};
use optiinfra_db::roles::{self, Direction, Options, Prefix, Report};
use optiinfra_db::sqlstate::INSUFFICIENT_PRIVILEGE;
use optiinfra_db::{seed, stats, verify};
use uuid::Uuid;

use crate::support::{Dbctl, Family, TestDb, number, refused, server_says, until};

/// A migrated schema with roles of its own, which go with it.
struct World {
    options: Options,
    db: TestDb,
}

impl World {
    /// The roles are not made yet.
    fn without_roles() -> Self {
        let prefix = format!("t{}", Uuid::new_v4().simple()).parse().unwrap();
        Self { options: Options { prefix, take_ownership: true }, db: TestDb::migrated() }
    }

    fn new() -> Self {
        let world = Self::without_roles();
        world.apply();
        world
    }

    fn apply(&self) -> Report {
        roles::apply(&mut self.db.conn(), &self.options).unwrap()
    }

    fn role(&self, word: &str) -> String {
        format!("{}_{word}", self.options.prefix)
    }

    /// A session of a role that logs in.
    fn session(&self, word: &str) -> PgConnection {
        connection::connect(&self.target(word), "test").unwrap()
    }

    fn target(&self, word: &str) -> Target {
        Target::parse(&self.db.url_as(&self.role(word))).unwrap()
    }

    /// What `check` finds, without the prefix.
    fn found(&self) -> Vec<String> {
        let findings = roles::check(&mut self.db.conn(), &self.options.prefix).unwrap().findings;
        let line = |finding: roles::Finding| {
            let sign = if finding.difference == Direction::Missing { '-' } else { '+' };
            format!("{sign} {}: {}", finding.object, finding.problem).replace(&format!("{}_", self.options.prefix), "")
        };
        findings.into_iter().map(line).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let mut conn = self.db.conn();
        for role in roles::Role::ALL {
            let role = role.name(&self.options.prefix);
            if number(&mut conn, &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")) == 1 {
                let dropped = conn.batch_execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
                if let Err(error) = dropped {
                    eprintln!("the role of a test stays: {error}");
                }
            }
        }
    }
}

#[track_caller]
fn assert_denied(conn: &mut PgConnection, statement: &str) {
    assert_eq!(refused(conn, statement), INSUFFICIENT_PRIVILEGE, "{statement}");
}

#[test]
fn a_second_apply_changes_nothing_and_says_so() {
    let world = World::without_roles();
    let first = world.apply();
    assert!(first.statements.len() > 50 && first.left_alone.is_empty(), "{first:#?}");
    assert_eq!(first.without_password.len(), 4);
    assert_eq!(first.former_owners, [""; 0], "a superuser works on without them");
    let second = world.apply();
    let nothing = Report {
        prefix: first.prefix.clone(),
        schema: first.schema.clone(),
        findings: vec![],
        statements: vec![],
        left_alone: vec![],
        without_password: vec![],
        former_owners: vec![],
    };
    assert_eq!(second, nothing);
    assert_eq!(world.found(), [""; 0]);

    let url = world.db.url();
    let run = |arguments: &str| {
        let prefix = &world.options.prefix;
        Dbctl::new().env("DATABASE_URL", &url).run(&format!("roles {arguments} --prefix {prefix}"))
    };
    let again = run("apply --take-ownership");
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "nothing to do: the roles are as they should be\n"));
    assert_eq!(run("plan --take-ownership").stdout, "-- nothing to do\n");
    let check = run("check");
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), "the roles are as they should be\n"));
    assert_eq!(run("check --format json").json()["findings"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_plan_is_the_sql_that_apply_runs_and_writes_nothing() {
    let world = World::without_roles();
    let prefix = &world.options.prefix;
    let plan = Dbctl::on(&world.db).run(&format!("roles plan --take-ownership --prefix {prefix}"));
    assert_eq!(plan.code, Some(0), "{plan:#?}");
    let made = format!("SELECT count(*) FROM pg_roles WHERE rolname LIKE '{prefix}%'");
    assert_eq!(number(&mut world.db.conn(), &made), 0);
    assert!(plan.stdout.contains(&format!("\\password {prefix}_app")));
    for word in ["PASSWORD '", "ENCRYPTED", "md5", "SCRAM"] {
        assert!(!plan.stdout.contains(word), "{word}");
    }
    // Whoever does not trust the tool runs the script by hand.
    world.db.conn().batch_execute(&plan.stdout).unwrap();
    assert_eq!(world.found(), [""; 0]);
    assert_eq!(world.apply().statements, [""; 0]);
}

#[test]
fn before_the_roles_are_made_check_misses_all_of_them() {
    let world = World::without_roles();
    let run = Dbctl::on(&world.db).run(&format!("roles check --prefix {}", world.options.prefix));
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stdout.contains("roles plan"), "{run:#?}");
    let found = world.found();
    for role in ["owner", "migrator", "app", "readonly", "monitor", "operator"] {
        assert!(found.contains(&format!("- role {role}: is not there")), "{role}");
    }
    let empty = TestDb::empty();
    let run = Dbctl::on(&empty).run("roles plan");
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("optiinfra-dbctl migrate"), "{run:#?}");
    let run = Dbctl::on(&empty).run("roles plan --prefix pg_x");
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("begins with a letter"), "{run:#?}");
}

/// Faults, what `check` says of each, and what undoes those that `apply` leaves alone.
const FAULTS: [(&str, &str, Option<&str>); 42] = [
    ("REVOKE INSERT ON events FROM {p}app", "- table events: app lacks INSERT", None),
    (
        "REVOKE SELECT ON __diesel_schema_migrations FROM {p}app",
        "- table __diesel_schema_migrations: app lacks SELECT",
        None,
    ),
    ("REVOKE SELECT (email) ON customers FROM {p}readonly", "- column customers.email: readonly lacks SELECT", None),
    ("REVOKE USAGE ON SCHEMA {s} FROM {p}monitor", "- the schema: monitor lacks USAGE", None),
    ("REVOKE {p}owner FROM {p}migrator", "- role migrator: is no member of owner", None),
    (
        "ALTER ROLE {p}migrator IN DATABASE {d} RESET role",
        "- role migrator: does not become owner when it logs in",
        None,
    ),
    ("ALTER ROLE {p}app NOLOGIN", "- role app: lacks LOGIN", None),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE {p}owner IN SCHEMA {s} REVOKE UPDATE ON TABLES FROM {p}app",
        "- tables that owner will create: app lacks UPDATE",
        None,
    ),
    (
        "DROP POLICY cross_customer_read ON events",
        "- table events: has no policy cross_customer_read FOR SELECT TO monitor, readonly USING (true)",
        None,
    ),
    ("ALTER TABLE events OWNER TO optiinfra", "- table events: belongs to optiinfra, not to owner", None),
    ("ALTER TYPE agenttype OWNER TO optiinfra", "- type agenttype: belongs to optiinfra, not to owner", None),
    (
        "ALTER FUNCTION set_updated_at() OWNER TO optiinfra",
        "- function set_updated_at: belongs to optiinfra, not to owner",
        None,
    ),
    ("GRANT TRUNCATE ON events TO {p}app", "+ table events: app has TRUNCATE", None),
    ("GRANT DELETE ON agents TO {p}app", "+ table agents: app has DELETE", None),
    ("GRANT UPDATE ON __optiinfra_migrations TO {p}app", "+ table __optiinfra_migrations: app has UPDATE", None),
    ("GRANT SELECT ON customers TO {p}readonly", "+ table customers: readonly has SELECT", None),
    ("GRANT SELECT (api_key) ON customers TO {p}monitor", "+ column customers.api_key: monitor has SELECT", None),
    (
        "GRANT UPDATE (title) ON recommendations TO {p}readonly",
        "+ column recommendations.title: readonly has UPDATE",
        None,
    ),
    ("GRANT INSERT ON events TO {p}app WITH GRANT OPTION", "+ table events: app has INSERT WITH GRANT OPTION", None),
    ("GRANT CREATE ON SCHEMA {s} TO {p}app", "+ the schema: app has CREATE", None),
    ("GRANT CREATE ON SCHEMA {s} TO PUBLIC", "+ the schema: PUBLIC has CREATE", None),
    ("GRANT SELECT ON customers TO PUBLIC", "+ table customers: PUBLIC has SELECT", None),
    ("GRANT {p}operator TO {p}app", "+ role app: is a member of operator", None),
    ("GRANT pg_read_all_data TO {p}readonly", "+ role readonly: is a member of pg_read_all_data", None),
    ("GRANT {p}owner TO {p}migrator WITH ADMIN OPTION", "+ role migrator: may make others members of owner", None),
    ("ALTER ROLE {p}app BYPASSRLS CREATEDB", "+ role app: has BYPASSRLS", None),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE {p}owner IN SCHEMA {s} GRANT SELECT ON TABLES TO PUBLIC",
        "+ tables that owner will create: PUBLIC has SELECT",
        None,
    ),
    (
        "ALTER POLICY cross_customer ON events TO {p}operator, {p}app",
        "+ table events: has the policy cross_customer FOR ALL TO app, operator USING (true) WITH CHECK (true)",
        None,
    ),
    (
        "REVOKE SELECT ON customers FROM {p}owner",
        "- table customers: its owner lacks SELECT, which foreign keys need",
        None,
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE {p}owner GRANT SELECT ON TABLES TO PUBLIC",
        "+ tables that owner will create in any schema: PUBLIC has SELECT",
        None,
    ),
    ("GRANT CREATE ON DATABASE {d} TO {p}app", "+ the database: app has CREATE", None),
    (
        "GRANT SELECT ON customers TO pg_monitor",
        "+ table customers: pg_monitor has SELECT",
        Some("REVOKE SELECT ON customers FROM pg_monitor"),
    ),
    (
        "GRANT CREATE ON SCHEMA {s} TO pg_monitor",
        "+ the schema: pg_monitor has CREATE",
        Some("REVOKE CREATE ON SCHEMA {s} FROM pg_monitor"),
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE {p}owner IN SCHEMA {s} GRANT SELECT ON TABLES TO pg_monitor",
        "+ tables that owner will create: pg_monitor has SELECT",
        Some("ALTER DEFAULT PRIVILEGES FOR ROLE {p}owner IN SCHEMA {s} REVOKE SELECT ON TABLES FROM pg_monitor"),
    ),
    (
        "GRANT {p}owner TO pg_monitor",
        "+ role pg_monitor: is a member of owner",
        Some("REVOKE {p}owner FROM pg_monitor"),
    ),
    (
        "GRANT {p}migrator TO pg_monitor",
        "+ role pg_monitor: is a member of migrator",
        Some("REVOKE {p}migrator FROM pg_monitor"),
    ),
    (
        "ALTER SCHEMA {s} OWNER TO {p}app",
        "+ the schema: belongs to app, which can drop the tables in it",
        Some("ALTER SCHEMA {s} OWNER TO optiinfra"),
    ),
    (
        "ALTER ROLE {p}app SET app.customer_id = 'all'",
        "+ role app: sets app.customer_id=all when it logs in",
        Some("ALTER ROLE {p}app RESET app.customer_id"),
    ),
    (
        "CREATE FUNCTION keys() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT api_key FROM customers'",
        "+ function keys: gives readonly the rights of its owner: it is SECURITY DEFINER",
        Some("DROP FUNCTION keys"),
    ),
    (
        "CREATE VIEW spenders AS SELECT * FROM customers; GRANT SELECT (api_key) ON spenders TO {p}readonly",
        "+ view spenders: gives readonly the rights of its owner: make it WITH (security_invoker)",
        Some("DROP VIEW spenders"),
    ),
    (
        "CREATE VIEW spenders AS SELECT * FROM customers; GRANT DELETE ON spenders TO {p}app",
        "+ view spenders: gives app the rights of its owner: make it WITH (security_invoker)",
        Some("DROP VIEW spenders"),
    ),
    (
        "CREATE VIEW spenders AS SELECT * FROM customers; GRANT SELECT ON spenders TO {p}app",
        "+ view spenders: gives app the rights of its owner: make it WITH (security_invoker)",
        Some("DROP VIEW spenders"),
    ),
];

#[test]
fn what_is_missing_and_what_is_extra_is_found_and_fixed() {
    // Most of the time the server works, one session after the other.
    std::thread::scope(|scope| {
        for faults in FAULTS.chunks(14) {
            scope.spawn(|| faults.iter().fold(World::new(), find_and_fix));
        }
    });
}

fn find_and_fix(world: World, (fault, finding, undo): &(&str, &str, Option<&str>)) -> World {
    let prefix = format!("{}_", world.options.prefix);
    let named =
        |sql: &str| sql.replace("{p}", &prefix).replace("{s}", world.db.schema()).replace("{d}", world.db.database());
    let mut conn = world.db.conn();
    conn.batch_execute(&named(fault)).unwrap();
    let found = world.found();
    assert!(found.iter().any(|found| found == finding), "{fault}: {found:?}");
    // A table that changed hands also brings its owner, whose tables to come are to be open too; a function is
    // everybody's.
    assert!(found.len() <= 5, "{fault}: {found:?}");
    let report = world.apply();
    assert_eq!(report.left_alone.is_empty(), undo.is_none(), "{fault}: {:?}", report.left_alone);
    if let Some(undo) = undo {
        conn.batch_execute(&named(undo)).unwrap();
        world.apply();
    }
    assert_eq!(world.found(), [""; 0], "{fault}");
    world
}

#[test]
fn what_an_extension_owns_is_not_a_finding() {
    let prefix: Prefix = format!("t{}", Uuid::new_v4().simple()).parse().unwrap();
    let db = TestDb::bare();
    let mut conn = db.conn();
    Migrator::default().run(&mut conn, &Goal::Head).unwrap();
    // Readable views, trigger functions, and a view and a function of ours that an update of an extension made its own.
    conn.batch_execute(
        "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_buffercache; CREATE EXTENSION moddatetime;
         CREATE TRIGGER touched BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION moddatetime(created_at);
         CREATE VIEW spenders AS SELECT * FROM customers; GRANT SELECT ON spenders TO PUBLIC;
         CREATE FUNCTION keys() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT api_key FROM customers'",
    )
    .unwrap();
    let options = Options { prefix: prefix.clone(), take_ownership: true };
    roles::apply(&mut conn, &options).unwrap();
    let about = |conn: &mut PgConnection| {
        let findings = roles::check(conn, &prefix).unwrap().findings;
        findings.into_iter().map(|finding| finding.object).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(about(&mut conn), ["function keys", "view spenders"].map(String::from).into());
    conn.batch_execute(
        "ALTER EXTENSION moddatetime ADD VIEW spenders; ALTER EXTENSION moddatetime ADD FUNCTION keys()",
    )
    .unwrap();
    let report = roles::apply(&mut conn, &options).unwrap();
    assert_eq!((report.statements, report.left_alone), (vec![], vec![]));
    assert_eq!(about(&mut conn), [].into());
    let owner = "SELECT proowner::bigint FROM pg_proc WHERE proname = 'moddatetime'";
    assert_eq!(number(&mut conn, owner), 10, "the function of an extension keeps its owner");
    for role in roles::Role::ALL.map(|role| role.name(&prefix)) {
        conn.batch_execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).unwrap();
    }
}

#[test]
fn readonly_reads_every_row_but_no_api_key_and_writes_nothing() {
    let world = World::new();
    let mut owner = world.db.conn();
    let (_one, _other) = (Family::new(&mut owner), Family::new(&mut owner));
    for word in ["readonly", "monitor"] {
        let mut conn = world.session(word);
        for (_, table) in layer::tables() {
            assert_eq!(number(&mut conn, &format!("SELECT count(*) FROM {table}")), 2, "{word} {table}");
            assert_denied(&mut conn, &format!("DELETE FROM {table}"));
            assert_denied(&mut conn, &format!("UPDATE {table} SET id = id"));
            assert_denied(&mut conn, &format!("INSERT INTO {table} DEFAULT VALUES"));
        }
        assert_eq!(number(&mut conn, "SELECT count(email) FROM customers WHERE name <> ''"), 2);
        for query in [
            "SELECT api_key FROM customers",
            "SELECT * FROM customers",
            "SELECT c FROM customers c",
            "SELECT to_jsonb(c) FROM customers c",
            "SELECT 1 FROM customers WHERE api_key LIKE 'a%'",
            "SELECT id FROM customers ORDER BY api_key",
            "SELECT c.api_key FROM events e JOIN customers c ON c.id = e.customer_id",
        ] {
            assert_denied(&mut conn, query);
        }
        assert_eq!(
            server_says(&mut conn, "COPY customers TO STDOUT"),
            server_says(&mut conn, "SELECT api_key FROM customers")
        );
        assert_eq!(
            number(&mut conn, "SELECT count(*) FROM pg_stats WHERE tablename = 'customers' AND attname = 'api_key'"),
            0
        );
    }
}

#[test]
fn monitor_can_run_stats_and_verify_and_misses_nothing() {
    let world = World::new();
    seed::run(&mut world.db.conn(), &layer::Layer::ALL, chrono::Utc::now()).unwrap();
    let url = world.db.url_as(&world.role("monitor"));
    let verify = Dbctl::new().env("DATABASE_URL", &url).run("verify --seed --format json");
    assert_eq!(verify.code, Some(0), "{verify:#?}");
    let verify = verify.json();
    assert_eq!((&verify["failed"], &verify["skipped"]), (&serde_json::json!(0), &serde_json::json!(0)), "{verify:#}");
    let stats = Dbctl::new().env("DATABASE_URL", &url).run("stats --exact --format json");
    assert_eq!(stats.code, Some(0), "{stats:#?}");
    let stats = stats.json();
    assert_eq!(stats["skipped"], serde_json::json!([]));
    let customers = stats["tables"].as_array().unwrap().iter().find(|table| table["table"] == "customers").unwrap();
    assert_eq!((&customers["rows"], &customers["skipped"]), (&serde_json::json!(4), &serde_json::Value::Null));
    assert!(stats["operations"]["blocked_session_count"].get("reason").is_none(), "{stats:#}");
}

#[test]
fn what_row_security_hides_is_skipped_by_stats_and_verify_and_never_told_as_nothing() {
    let world = World::new();
    seed::run(&mut world.db.conn(), &layer::Layer::ALL, chrono::Utc::now()).unwrap();
    let mut conn = world.session("app");
    let report = stats::run(&mut conn, &stats::Options { exact: true, ..stats::Options::default() }).unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| skipped.part).collect();
    assert_eq!(skipped, ["core", "workflow_history", "resource", "application"]);
    let hidden = server_says(&mut conn, "SET LOCAL row_security = off; SELECT FROM customers");
    assert_eq!(report.skipped[0].reason.to_string(), hidden);
    for table in &report.tables {
        assert_eq!(table.skipped.is_some(), tables_of_customers().any(|secured| secured == table.table), "{table:?}");
    }
    let report = verify::run(&mut conn, &verify::Options::default()).unwrap();
    assert!(report.is_clean() && report.skipped > 0, "{report:#?}");
    let hidden = "row security hides rows of customers from this role";
    let check = report.check("core.seed.customers").unwrap();
    assert_eq!(check.outcome, verify::Outcome::Skipped { reason: hidden.to_owned() });
}

#[test]
fn app_works_on_rows_of_a_customer_and_does_no_ddl() {
    let world = World::new();
    let family = Family::new(&mut world.db.conn());
    let mut conn = world.session("app");
    for statement in [
        "CREATE TABLE t (a int)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE INDEX i ON events (id)",
        "ALTER TABLE events ADD COLUMN a int",
        "ALTER TABLE events DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY all_of_them ON events USING (true)",
        "DROP POLICY tenant_isolation ON events",
        "DROP TABLE events",
        "TRUNCATE events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "COMMENT ON TABLE events IS 'x'",
        "GRANT SELECT ON events TO PUBLIC; REVOKE SELECT ON events FROM PUBLIC; ALTER TABLE events OWNER TO CURRENT_USER",
        "DELETE FROM agents",
        "UPDATE agent_metrics SET metric_value = 0",
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('x')",
        "DELETE FROM __optiinfra_migrations",
        "SET session_replication_role = replica",
    ] {
        assert_denied(&mut conn, statement);
    }
    for role in ["owner", "operator", "migrator", "readonly"] {
        assert_denied(&mut conn, &format!("SET ROLE {}", world.role(role)));
    }
    // It may ask for it, and then the server refuses to answer instead of hiding rows.
    assert_denied(&mut conn, "SET LOCAL row_security = off; SELECT FROM events");

    assert_eq!(number(&mut conn, "SELECT count(*) FROM customers"), 0);
    conn.batch_execute(&format!("SET app.customer_id = '{}'", family.customer.id)).unwrap();
    for table in tables_of_customers() {
        assert_eq!(number(&mut conn, &format!("SELECT count(*) FROM {table}")), 1, "{table}");
    }
    // What an agent does of its own.
    conn.batch_execute(&format!(
        "UPDATE agents SET last_heartbeat = now();
         INSERT INTO agent_metrics (agent_id, metric_name, metric_value) VALUES ('{0}', 'cpu_percent', 1);
         UPDATE agent_states SET current_status = 'busy';
         DELETE FROM agent_configs",
        family.agent.id
    ))
    .unwrap();
    let report = migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap();
    assert_eq!(report.head.as_deref(), EMBEDDED.last().map(|migration| migration.name));
}

#[test]
fn what_the_migrator_makes_is_the_owners_and_open_to_the_same_roles() {
    let world = World::new();
    let mut conn = world.session("migrator");
    let later = Migration {
        version: "29990101000000",
        name: "2999-01-01-000000_later",
        in_transaction: true,
        up: "CREATE TABLE notes (id uuid PRIMARY KEY); ALTER TABLE events ADD COLUMN note text",
        down: "DROP TABLE notes; ALTER TABLE events DROP COLUMN note",
    };
    let set = [EMBEDDED, &[later]].concat();
    Migrator::default().set(&set).run(&mut conn, &Goal::Head).unwrap();
    let owner = "SELECT count(*) FROM pg_class WHERE relname = 'notes' AND pg_get_userbyid(relowner) =";
    assert_eq!(number(&mut conn, &format!("{owner} '{}'", world.role("owner"))), 1);
    for word in ["app", "operator"] {
        let statements = "INSERT INTO notes SELECT gen_random_uuid(); UPDATE notes SET id = id; DELETE FROM notes";
        world.session_as(word).batch_execute(statements).unwrap();
    }
    for word in ["readonly", "monitor"] {
        assert_eq!(number(&mut world.session(word), "SELECT count(*) FROM notes"), 0);
        assert_denied(&mut world.session(word), "DELETE FROM notes");
    }
    assert_denied(&mut world.session("app"), "TRUNCATE notes");
    Migrator::default().set(&set).run(&mut conn, &Goal::Back(1)).unwrap();
    assert_eq!(world.found(), [""; 0]);
}

#[test]
fn a_new_column_of_customers_is_no_secret_after_the_next_apply() {
    let world = World::new();
    world.db.conn().batch_execute("ALTER TABLE customers ADD COLUMN region text").unwrap();
    assert_denied(&mut world.session("readonly"), "SELECT region FROM customers");
    assert_eq!(
        world.found(),
        ["- column customers.region: monitor lacks SELECT", "- column customers.region: readonly lacks SELECT"]
    );
    world.apply();
    assert_eq!(number(&mut world.session("readonly"), "SELECT count(region) FROM customers"), 0);
}

impl World {
    /// A session as a role that may or may not log in.
    fn session_as(&self, word: &str) -> PgConnection {
        let mut conn = self.db.conn();
        conn.batch_execute(&format!("SET SESSION AUTHORIZATION {}", self.role(word))).unwrap();
        conn
    }
}

#[test]
fn operators_work_for_all_customers_and_are_members_under_their_own_name() {
    let world = World::new();
    let mut owner = world.db.conn();
    let (one, other) = (Family::new(&mut owner), Family::new(&mut owner));
    let person = world.db.role();
    owner.batch_execute(&format!("GRANT {} TO {}", world.role("operator"), person.name)).unwrap();
    let refused = connection::connect(&world.target("operator"), "test").map(drop).unwrap_err();
    assert!(matches!(refused, connection::Error::Connect { refusal: Refusal::Role, .. }), "{refused:?}");
    let target = Target::parse(&world.db.url_as(&person.name)).unwrap();
    let mut conn = connection::connect(&target, "test").unwrap();
    for table in tables_of_customers() {
        assert_eq!(number(&mut conn, &format!("SELECT count(*) FROM {table}")), 2, "{table}");
        let update = format!("UPDATE {table} SET created_at = created_at");
        assert_eq!(diesel::sql_query(update).execute(&mut conn).unwrap(), 2, "{table}");
    }
    conn.batch_execute(&format!("DELETE FROM customers WHERE id = '{}'", one.customer.id)).unwrap();
    assert_denied(&mut conn, "TRUNCATE events");
    assert_denied(&mut conn, "DROP TABLE events");
    assert_eq!(
        number(&mut conn, &format!("SELECT count(*) FROM events WHERE customer_id = '{}'", other.customer.id)),
        1
    );
    assert_eq!(world.found(), [""; 0], "members of a group are its own business");
}

/// Runs `apply` while another session has changed something and not yet committed it.
fn apply_beside(world: &World, change: &str) -> Report {
    let mut other = world.db.conn();
    other.batch_execute(&format!("BEGIN; {change}")).unwrap();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| world.apply());
        let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid IS NOT NULL \
                       AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
        until("the run waits", Duration::from_secs(10), || number(&mut other, blocked) > 0);
        other.batch_execute("COMMIT").unwrap();
        run.join().unwrap()
    })
}

#[test]
fn a_run_that_meets_another_one_in_another_database_begins_anew_in_every_language() {
    let world = World::without_roles();
    let language = format!("ALTER DATABASE {} SET lc_messages = 'de_DE.UTF-8'", world.db.database());
    world.db.conn().batch_execute(&language).unwrap();
    let (app, owner) = (world.role("app"), world.role("owner"));
    let report = apply_beside(&world, &format!("CREATE ROLE {app} CREATEDB"));
    assert!(report.statements.iter().any(|done| done.contains("NOCREATEDB")), "{report:#?}");
    assert_eq!(world.found(), [""; 0]);
    // The server calls a row of the catalog that somebody else changed an internal error.
    world.db.conn().batch_execute(&format!("ALTER ROLE {owner} CREATEDB")).unwrap();
    let report = apply_beside(&world, &format!("ALTER ROLE {owner} CREATEROLE"));
    assert_eq!(report.statements, [format!("ALTER ROLE \"{owner}\" NOCREATEDB NOCREATEROLE")]);
    assert_eq!(world.found(), [""; 0]);
}

#[test]
fn two_applies_at_once_both_succeed() {
    let world = World::without_roles();
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6).map(|_| scope.spawn(|| world.apply())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(reports.iter().filter(|report| !report.statements.is_empty()).count(), 1);
    assert_eq!(world.found(), [""; 0]);
}

#[test]
fn who_may_make_roles_and_owns_the_tables_needs_no_superuser() {
    let world = World::without_roles();
    let dba = world.db.role();
    let mut conn = world.db.conn();
    conn.batch_execute(&format!(
        "ALTER ROLE {0} CREATEROLE; GRANT pg_monitor TO {0} WITH ADMIN OPTION; ALTER SCHEMA {1} OWNER TO {0};
         GRANT SELECT ON ALL TABLES IN SCHEMA {1} TO {0}",
        dba.name,
        world.db.schema()
    ))
    .unwrap();
    let url = world.db.url_as(&dba.name);
    let prefix = &world.options.prefix;
    let refused =
        Dbctl::new().env("DATABASE_URL", &url).run(&format!("roles apply --take-ownership --prefix {prefix}"));
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(refused.stderr.contains("could not run ALTER TABLE"), "{refused:#?}");
    assert!(refused.stderr.contains("such as the owner of the object or a superuser"), "{refused:#?}");
    assert!(!refused.stderr.contains("SQLSTATE"), "{refused:#?}");
    let made = format!("SELECT count(*) FROM pg_roles WHERE rolname LIKE '{prefix}%'");
    assert_eq!(number(&mut conn, &made), 0, "all or nothing");

    for object in catalog::read(&mut conn).unwrap().objects() {
        let kind = match object.kind() {
            Kind::Table | Kind::Partition => "TABLE",
            Kind::Enum => "TYPE",
            Kind::Function => "FUNCTION",
            _ => continue,
        };
        // A partition's name has its table's before it.
        let name = object.name().rsplit('.').next().unwrap().to_owned();
        conn.batch_execute(&format!("ALTER {kind} {name} OWNER TO {}", dba.name)).unwrap();
    }
    for ledger in ["__diesel_schema_migrations", "__optiinfra_migrations"] {
        conn.batch_execute(&format!("ALTER TABLE {ledger} OWNER TO {}", dba.name)).unwrap();
    }
    let applied =
        Dbctl::new().env("DATABASE_URL", &url).run(&format!("roles apply --take-ownership --prefix {prefix}"));
    assert_eq!(applied.code, Some(0), "{applied:#?}");
    assert!(applied.stderr.contains(&format!("GRANT {prefix}_owner TO \"{}\"", dba.name)), "{applied:#?}");
    assert_eq!(world.found(), [""; 0]);
    // As advised: the former owner works on as before. Who made the role may grant it.
    let mut granting = PgConnection::establish(&url).unwrap();
    granting.batch_execute(&format!("GRANT {prefix}_owner TO {}", dba.name)).unwrap();
    let again = Dbctl::new().env("DATABASE_URL", &url).run(&format!("roles apply --take-ownership --prefix {prefix}"));
    assert!(again.stdout.starts_with("nothing to do"), "{again:#?}");
}

#[test]
fn verify_takes_the_policies_for_work_across_customers_for_no_drift() {
    let world = World::new();
    let report = verify::run(&mut world.db.conn(), &verify::Options::default()).unwrap();
    assert!(report.is_clean(), "{report:#?}");
    // They outlive the way back and forth of the migration under them.
    let tenant_isolation = EMBEDDED.iter().position(|migration| migration.name.ends_with("tenant_isolation")).unwrap();
    let steps = EMBEDDED.len() - tenant_isolation;
    Migrator::default().run(&mut world.session("migrator"), &Goal::Redo(steps)).unwrap();
    // Tables that are made anew have to be granted again.
    let found: Vec<_> = world.found().into_iter().filter(|finding| !finding.contains("_hourly")).collect();
    assert_eq!(found, [""; 0]);
    assert!(verify::run(&mut world.db.conn(), &verify::Options::default()).unwrap().is_clean());
}

#[test]
fn without_taking_ownership_the_tables_stay_whose_they_are_and_their_owner_is_told() {
    let world = World::without_roles();
    let options = Options { take_ownership: false, ..world.options.clone() };
    let report = roles::apply(&mut world.db.conn(), &options).unwrap();
    assert_eq!(report.left_alone.len(), 1);
    let left_alone = &report.left_alone[0];
    assert_eq!(left_alone.difference, Direction::Missing);
    assert!(left_alone.object.ends_with(" tables, types and functions"), "{left_alone:?}");
    let plan = Dbctl::on(&world.db).run(&format!("roles plan --prefix {}", options.prefix));
    assert!(plan.stdout.ends_with("_owner the owner\n"), "{}", plan.stdout);
    assert_eq!(report.former_owners, [""; 0]);
    let owned =
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
        AND NOT relispartition AND relowner = 'optiinfra'::regrole";
    assert_eq!(number(&mut world.db.conn(), owned), 22);
    assert!(world.found().iter().all(|finding| finding.contains("belongs to optiinfra")), "{:?}", world.found());
    // A migration by that owner opens its tables to the roles all the same.
    world.db.conn().batch_execute("CREATE TABLE notes (id uuid)").unwrap();
    assert_eq!(number(&mut world.session("readonly"), "SELECT count(*) FROM notes"), 0);
    assert_eq!(roles::apply(&mut world.db.conn(), &options).unwrap().statements, [""; 0]);
}

#[test]
fn the_default_prefix_is_the_platforms_name() {
    assert_eq!(roles::Role::App.name(&Prefix::default()), "optiinfra_app");
}

#[test]
fn names_with_line_breaks_do_not_leave_the_comments_of_a_plan() {
    let world = World::new();
    let (app, schema) = (world.role("app"), world.db.schema());
    let view = "\"v\ndrop table events; --\"";
    let foreign = format!("\"{app}\nDROP TABLE events; --\"");
    let mut conn = world.db.conn();
    conn.batch_execute(&format!(
        "CREATE VIEW {schema}.{view} AS SELECT * FROM customers; GRANT SELECT ON {view} TO {app};
         CREATE ROLE {foreign}; ALTER TABLE events OWNER TO {foreign}; GRANT SELECT ON customers TO {foreign}"
    ))
    .unwrap();
    let prefix = &world.options.prefix;
    let plan = Dbctl::on(&world.db).run(&format!("roles plan --take-ownership --prefix {prefix}"));
    assert!(plan.stdout.contains("left alone: view v\u{fffd}drop table events"), "{plan:#?}");
    assert!(plan.stdout.contains("can no longer see the tables"), "{plan:#?}");
    assert!(!plan.stdout.to_lowercase().contains("\ndrop table"), "{plan:#?}");
    conn.batch_execute(&plan.stdout).unwrap();
    conn.batch_execute(&format!("DROP VIEW {view}; DROP OWNED BY {foreign}; DROP ROLE {foreign}")).unwrap();
    assert_eq!(world.found(), [""; 0]);
}

#[test]
fn a_dropped_column_leaves_no_right_behind() {
    let world = World::new();
    world.db.conn().batch_execute("ALTER TABLE customers ADD COLUMN region text").unwrap();
    world.apply();
    world.db.conn().batch_execute("ALTER TABLE customers DROP COLUMN region").unwrap();
    assert_eq!(world.found(), [""; 0]);
    assert_eq!(world.apply().statements, [""; 0]);
}

#[test]
fn what_nobody_fixes_is_listed_once() {
    let world = World::new();
    world.db.conn().batch_execute("GRANT SELECT ON customers TO pg_monitor").unwrap();
    let report = world.apply();
    assert_eq!((report.statements.len(), report.left_alone.len()), (0, 1), "{report:#?}");
    let check = Dbctl::on(&world.db).run(&format!("roles check --prefix {}", world.options.prefix));
    assert_eq!(check.code, Some(1), "{check:#?}");
    assert!(check.stdout.starts_with("1 finding, left alone by `roles apply`"), "{check:#?}");
    world.db.conn().batch_execute("REVOKE SELECT ON customers FROM pg_monitor").unwrap();
}

#[test]
fn a_member_of_the_owner_without_inherit_stays_one() {
    let world = World::new();
    let dba = world.db.role();
    let owner = world.role("owner");
    world
        .db
        .conn()
        .batch_execute(&format!(
            "GRANT {owner} TO {0}; ALTER ROLE {0} NOINHERIT CREATEROLE; GRANT TRUNCATE ON events TO {1};
             GRANT SELECT ON __diesel_schema_migrations, __optiinfra_migrations TO {0}",
            dba.name,
            world.role("app")
        ))
        .unwrap();
    let mut conn = PgConnection::establish(&world.db.url_as(&dba.name)).unwrap();
    // Whether it succeeds is the server's version's business: before 16 it has to SET ROLE first.
    let _ = roles::apply(&mut conn, &world.options);
    assert_eq!(number(&mut conn, &format!("SELECT pg_has_role('{owner}', 'MEMBER')::int::bigint")), 1);
}

#[test]
fn an_owner_that_is_one_of_ours_is_not_told_to_become_the_owner() {
    let world = World::new();
    let app = world.role("app");
    world.db.conn().batch_execute(&format!("ALTER TABLE events OWNER TO {app}")).unwrap();
    let kept = Options { take_ownership: false, ..world.options.clone() };
    let statements = roles::apply(&mut world.db.conn(), &kept).unwrap().statements;
    assert!(statements.iter().all(|done| done.starts_with("ALTER DEFAULT PRIVILEGES")), "{statements:#?}");
    assert_eq!(world.found(), ["- table events: belongs to app, not to owner"]);
    assert_eq!(world.apply().former_owners, [""; 0]);
}

#[test]
fn a_schema_may_have_a_name_that_needs_quotes() {
    let database = TestDb::bare();
    let prefix: Prefix = format!("t{}", Uuid::new_v4().simple()).parse().unwrap();
    // A twin that is found where case is folded.
    let reader = format!("{prefix}_reader");
    let mut conn = database.conn();
    conn.batch_execute(&format!("CREATE SCHEMA \"Prod; s\"; CREATE SCHEMA prod; CREATE ROLE {reader} LOGIN")).unwrap();
    let run = |role: &str, arguments: &str| {
        let url = format!("{}&options=-csearch_path%3D%22Prod;%5C%20s%22", database.url_as(role));
        Dbctl::new().env("DATABASE_URL", &url).run(arguments)
    };
    for arguments in
        ["migrate", "seed --all", &format!("roles apply --take-ownership --prefix {prefix}"), "verify --seed"]
    {
        let done = run("optiinfra", arguments);
        assert_eq!(done.code, Some(0), "{done:#?}");
    }
    assert_eq!(run("optiinfra", &format!("roles check --prefix {prefix}")).code, Some(0));
    conn.batch_execute(&format!(
        "GRANT USAGE ON SCHEMA \"Prod; s\" TO {reader}; GRANT SELECT ON ALL TABLES IN SCHEMA \"Prod; s\" TO {reader}"
    ))
    .unwrap();
    let hidden = run(&reader, "export events");
    assert_eq!((hidden.code, hidden.stdout.as_str()), (Some(2), ""), "{hidden:#?}");
    let skipped = run(&reader, "stats --exact --format json").json()["skipped"].clone();
    let parts: Vec<_> = skipped.as_array().unwrap().iter().map(|skipped| skipped["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["core", "workflow_history", "resource", "application"]);
    for role in roles::Role::ALL.map(|role| role.name(&prefix)).into_iter().chain([reader]) {
        conn.batch_execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).unwrap();
    }
}

#[test]
fn a_policy_that_was_narrowed_under_its_name_does_not_pass_for_one_that_shows_all() {
    let world = World::new();
    seed::run(&mut world.db.conn(), &layer::Layer::ALL, chrono::Utc::now()).unwrap();
    let url = world.db.url_as(&world.role("readonly"));
    let export = || Dbctl::new().env("DATABASE_URL", &url).run("export events");
    assert_eq!(export().code, Some(0));
    let conditions = [
        "severity = 'info'",
        "false",
        "customer_id IS NOT NULL",
        "events IS NOT NULL",
        "EXISTS (SELECT FROM customers)",
        "current_setting('app.customer_id', true) = 'true'",
    ];
    for condition in conditions {
        let narrowed = format!("ALTER POLICY cross_customer_read ON events USING ({condition})");
        world.db.conn().batch_execute(&narrowed).unwrap();
        let refused = export();
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{condition}: {refused:#?}");
    }
    world.apply();
    assert_eq!(export().code, Some(0));
}
