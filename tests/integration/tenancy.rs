//! Row security: a session of the application sees and writes the rows of the customer whom it works for, and nobody
//! else's, whichever way it asks.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::Text;
use optiinfra_db::catalog::{self, tables_of_customers};
use optiinfra_db::connection;
use optiinfra_db::enums::ResourceType;
use optiinfra_db::id::{AgentId, CustomerId};
use optiinfra_db::migrate::{Goal, Migrator};
use optiinfra_db::schema::resource_metrics;
use optiinfra_db::{Result, tenant};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Family, Role, TestDb, at, explain, figures, number, rounds, unique};

/// A migrated schema with one row of every table for each of two customers, and a role that may do anything with rows
/// and nothing else.
struct World {
    db: TestDb,
    role: Role,
    own: Family,
    foreign: Family,
}

impl World {
    fn new() -> Self {
        Self::of(TestDb::migrated())
    }

    fn of(db: TestDb) -> Self {
        let role = db.role();
        let grants = format!(
            "GRANT USAGE ON SCHEMA {schema} TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
            schema = db.schema(),
            role = role.name
        );
        let mut conn = db.conn();
        conn.batch_execute(&grants).unwrap();
        let (own, foreign) = (Family::new(&mut conn), Family::new(&mut conn));
        Self { db, role, own, foreign }
    }

    /// A session of the application that works for nobody.
    fn session(&self) -> PgConnection {
        PgConnection::establish(&self.db.url_as(&self.role.name)).unwrap()
    }

    /// A session of the application that works for a customer.
    fn session_for(&self, customer: Uuid) -> PgConnection {
        let mut conn = self.session();
        work_for(&mut conn, &customer.to_string());
        conn
    }

    /// A session that works for the customer whose rows are its own.
    fn own_session(&self) -> PgConnection {
        self.session_for(self.own.customer.id)
    }
}

fn work_for(conn: &mut PgConnection, customer: &str) {
    conn.batch_execute(&format!("SET app.customer_id = '{customer}'")).unwrap();
}

/// The first column of a query's rows.
fn texts(conn: &mut PgConnection, query: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let query = format!("SELECT text::text FROM ({query}) AS rows (text)");
    let rows: Vec<Row> = diesel::sql_query(&query).load(conn).unwrap_or_else(|error| panic!("{query}: {error}"));
    rows.into_iter().map(|row| row.text).collect()
}

/// What the server says to a statement that it has to refuse.
#[track_caller]
fn refusal(conn: &mut PgConnection, statement: &str) -> String {
    match conn.batch_execute(statement) {
        Err(Error::DatabaseError(_, info)) => {
            format!("{} {}", info.message(), info.details().unwrap_or_default()).trim().to_owned()
        }
        other => panic!("{statement}: {other:?}"),
    }
}

/// A fingerprint of the rows of every tenant table.
fn fingerprints(conn: &mut PgConnection) -> Vec<i64> {
    let hash = "SELECT coalesce(sum(hashtextextended(t::text, 0)::numeric % 1000000007), 0)::bigint FROM";
    tables_of_customers().map(|table| number(conn, &format!("{hash} {table} t"))).collect()
}

/// The ids of a family's rows, by table.
fn ids(family: &Family) -> BTreeMap<&'static str, Uuid> {
    [
        ("customers", family.customer.id),
        ("events", family.event.id),
        ("recommendations", family.recommendation.id),
        ("approvals", family.approval.id),
        ("optimizations", family.optimization.id),
        ("workflow_executions", family.workflow.id),
        ("workflow_steps", family.step.id),
        ("workflow_artifacts", family.artifact.id),
        ("resource_metrics", family.resource_metric.id),
        ("resource_metrics_hourly", family.resource_metric_hour.id),
        ("scaling_events", family.scaling_event.id),
        ("quality_metrics", family.quality_metric.id),
        ("quality_metrics_hourly", family.quality_metric_hour.id),
        ("quality_baselines", family.baseline.id),
        ("quality_regressions", family.regression.id),
    ]
    .into()
}

/// Another row like one of a table, as JSON: only what has to be unique differs.
fn row_like(owner: &mut PgConnection, table: &str, id: Uuid) -> Value {
    let row = &texts(owner, &format!("SELECT to_jsonb(t) FROM {table} t WHERE id = '{id}'"))[0];
    let mut row: Value = serde_json::from_str(row).unwrap();
    for column in ["id", "email", "api_key", "request_id"] {
        if row.get(column).is_some() {
            row[column] = json!(if column == "id" { Uuid::new_v4().to_string() } else { unique("new") });
        }
    }
    if row.get("hour").is_some() {
        row["hour"] = json!(at(-60 * fastrand::i64(2..1_000_000)));
    }
    row
}

fn insert(table: &str, row: &Value) -> String {
    let row = row.to_string().replace('\'', "''");
    format!("INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, '{row}')")
}

/// What becomes of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Rows(usize),
    Refused,
}

impl Outcome {
    /// Runs a statement; that row security refuses it is an outcome, anything else a fault of the test.
    fn of(conn: &mut PgConnection, statement: &str) -> Self {
        match diesel::sql_query(statement).execute(conn) {
            Ok(rows) => Self::Rows(rows),
            Err(Error::DatabaseError(_, info)) if info.message().contains("row-level security policy") => Self::Refused,
            Err(error) => panic!("{statement}: {error}"),
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Rows(0) | Self::Refused)
    }

    fn text(&self) -> String {
        match self {
            Self::Rows(1) => "1 row".to_owned(),
            Self::Rows(rows) => format!("{rows} rows"),
            Self::Refused => "refused".to_owned(),
        }
    }
}

#[test]
fn every_tenant_table_and_statement_touches_own_rows_only() {
    let world = World::new();
    let mut owner = world.db.conn();
    let before = fingerprints(&mut owner);
    let (own, foreign) = (ids(&world.own), ids(&world.foreign));
    assert_eq!(own.keys().copied().collect::<BTreeSet<_>>(), tables_of_customers().collect());
    let (mut for_own, mut for_nobody) = (world.own_session(), world.session());

    let mut shown = format!("{:<22}{:<9}{:<9}{:<9}unset\n", "table", "", "own", "foreign");
    for table in tables_of_customers() {
        let statements = |id: Uuid, row: &Value| {
            [
                ("SELECT", format!("SELECT FROM {table} WHERE id = '{id}'")),
                ("INSERT", insert(table, row)),
                ("UPDATE", format!("UPDATE {table} SET created_at = created_at - interval '1 day' WHERE id = '{id}'")),
                ("DELETE", format!("DELETE FROM {table} WHERE id = '{id}'")),
            ]
        };
        let own_row = row_like(&mut owner, table, own[table]);
        let foreign_row = row_like(&mut owner, table, foreign[table]);
        let on_own = statements(own[table], &own_row);
        let on_foreign = statements(foreign[table], &foreign_row);
        for ((command, own), (_, foreign)) in on_own.iter().zip(&on_foreign) {
            let outcome = for_own.test_transaction(|conn| {
                if table == "customers" && *command == "INSERT" {
                    // A new customer is its own: whoever writes it works for it.
                    work_for(conn, own_row["id"].as_str().unwrap());
                }
                Ok::<_, Error>(Outcome::of(conn, own))
            });
            // These are not rolled back: the fingerprints would show what they did.
            let foreign = Outcome::of(&mut for_own, foreign);
            let unset = Outcome::of(&mut for_nobody, own);
            shown += &format!("{table:<22}{command:<9}{:<9}{:<9}{}\n", outcome.text(), foreign.text(), unset.text());
            assert_eq!(outcome, Outcome::Rows(1), "{command} of an own row of {table}");
            assert!(foreign.is_nothing(), "{command} of a foreign row of {table}: {foreign:?}");
            assert!(unset.is_nothing(), "{command} of {table} for nobody: {unset:?}");
        }
        let all = format!("SELECT count(*) FROM {table}");
        assert_eq!((number(&mut for_own, &all), number(&mut for_nobody, &all), number(&mut owner, &all)), (1, 0, 2));
    }
    figures(&format!("rows touched, by whose they are\n{shown}"));
    assert_eq!(fingerprints(&mut owner), before);
}

#[test]
fn statements_without_a_condition_leave_foreign_rows_alone() {
    let world = World::new();
    let mut owner = world.db.conn();
    let foreign = |owner: &mut PgConnection| -> Vec<String> {
        let row = |(table, id)| texts(owner, &format!("SELECT t FROM {table} t WHERE id = '{id}'")).remove(0);
        ids(&world.foreign).into_iter().map(row).collect()
    };
    let before = foreign(&mut owner);
    let mut conn = world.own_session();
    for table in tables_of_customers() {
        let changed = diesel::sql_query(format!("UPDATE {table} SET created_at = now()")).execute(&mut conn).unwrap();
        assert_eq!(changed, 1, "{table}");
    }
    for table in tables_of_customers().collect::<Vec<_>>().into_iter().rev() {
        conn.batch_execute(&format!("DELETE FROM {table}")).unwrap();
        assert_eq!(number(&mut owner, &format!("SELECT count(*) FROM {table}")), 1, "{table}");
    }
    assert_eq!(foreign(&mut owner), before);
}

#[test]
fn a_row_cannot_be_given_to_another_customer() {
    let world = World::of(TestDb::plain());
    let mut conn = world.own_session();
    let catalog = catalog::read(&mut world.db.conn()).unwrap();
    let to = world.foreign.customer.id;
    for table in tables_of_customers() {
        if catalog.column(table, "customer_id").is_some() {
            let refused = refusal(&mut conn, &format!("UPDATE {table} SET customer_id = '{to}'"));
            assert_eq!(refused, format!("new row violates row-level security policy for table \"{table}\""));
        }
    }
    let upsert = format!("{} ON CONFLICT (id) DO UPDATE SET metadata = '{{}}'", {
        let mut row = row_like(&mut world.db.conn(), "resource_metrics", world.own.resource_metric.id);
        row["id"] = json!(world.foreign.resource_metric.id);
        insert("resource_metrics", &row)
    });
    assert!(refusal(&mut conn, &upsert).contains("row-level security policy"));
}

#[test]
fn a_row_cannot_refer_to_a_row_of_another_customer() {
    let world = World::new();
    let mut owner = world.db.conn();
    let mut conn = world.own_session();
    let (own, foreign) = (ids(&world.own), ids(&world.foreign));
    let mut tried = 0;
    for (table, column, parent) in references(&mut owner) {
        let set = |id: Uuid| format!("UPDATE {table} SET {column} = '{id}'");
        assert_eq!(Outcome::of(&mut conn, &set(own[&*parent])), Outcome::Rows(1), "{table}.{column}");
        // The same words whether the row is there or not: nobody learns of it.
        let refused = refusal(&mut conn, &set(foreign[&*parent]));
        assert_eq!(refused, format!("new row violates row-level security policy for table \"{table}\""));
        assert_eq!(refusal(&mut conn, &set(Uuid::new_v4())), refused);
        let mut row = row_like(&mut owner, &table, own[&*table]);
        row[&column] = json!(foreign[&*parent]);
        assert_eq!(refusal(&mut conn, &insert(&table, &row)), refused, "{table}.{column}");
        tried += 1;
    }
    assert_eq!(tried, 19);
}

/// The foreign keys from one tenant table to another: table, column, table.
fn references(conn: &mut PgConnection) -> Vec<(String, String, String)> {
    let query = "SELECT c.conrelid::regclass || ' ' || a.attname || ' ' || c.confrelid::regclass FROM pg_constraint c \
                 JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] \
                 WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace ORDER BY 1";
    let words = |line: String| -> (String, String, String) {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        (words[0].clone(), words[1].clone(), words[2].clone())
    };
    let is_tenants = |table: &str| tables_of_customers().any(|secured| secured == table);
    let keys = texts(conn, query).into_iter().map(words);
    keys.filter(|(table, _, parent)| is_tenants(table) && is_tenants(parent)).collect()
}

#[test]
fn the_list_of_tenant_tables_and_their_policies_is_what_the_catalogue_says() {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    let catalog = catalog::read(&mut conn).unwrap();
    let policy_of =
        |table: &str| catalog.policies().find(|it| it.table == table && it.name == "tenant_isolation").unwrap();
    // What hangs on a tenant's row and cannot be without it is the tenant's too.
    let columns = "SELECT c.conrelid::regclass || ' ' || c.confrelid::regclass FROM pg_constraint c \
                   JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] AND a.attnotnull \
                   WHERE c.contype = 'f' AND c.conparentid = 0 AND c.connamespace = current_schema()::regnamespace";
    let mut found: BTreeSet<String> = ["customers".to_owned()].into();
    loop {
        let before = found.len();
        for key in texts(&mut conn, columns) {
            let (table, parent) = key.split_once(' ').unwrap();
            if found.contains(parent) {
                found.insert(table.to_owned());
            }
        }
        if found.len() == before {
            break;
        }
    }
    found.extend(catalog.columns().filter(|column| column.name == "customer_id").map(|column| column.table.clone()));
    assert_eq!(found, tables_of_customers().map(str::to_owned).collect());

    let own = "(customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \
               \"nullif\"))";
    let secured = catalog.tables().filter(|table| table.row_security);
    assert_eq!(secured.map(|table| table.name.as_str()).collect::<BTreeSet<_>>(), tables_of_customers().collect());
    assert_eq!(catalog.policies().count(), tables_of_customers().count());
    for table in tables_of_customers() {
        let policy = policy_of(table);
        assert!(policy.to_string().starts_with("AS PERMISSIVE FOR ALL TO PUBLIC USING ("), "{table}");
        if catalog.column(table, "customer_id").is_some() {
            let (using, check) = (policy.using.as_ref().unwrap(), policy.with_check.as_ref().unwrap());
            assert!(using.contains(own) && check.contains(own), "{table}: {policy}");
        }
    }
    for (table, column, parent) in references(&mut conn).iter().filter(|(_, _, parent)| parent != "customers") {
        let check = policy_of(table).with_check.as_ref().unwrap();
        assert!(check.contains(&format!("FROM {parent} ")) && check.contains(column), "{table}: {check}");
    }
}

#[test]
fn the_policy_is_read_once_a_query_and_finds_an_index_that_begins_with_the_customer() {
    let world = World::new();
    let mut conn = world.own_session();
    // The tables are too small for an index to be worth while.
    conn.batch_execute("SET enable_seqscan = off").unwrap();
    let catalog = catalog::read(&mut world.db.conn()).unwrap();
    let with_customer = catalog.columns().filter(|column| column.name == "customer_id");
    for table in with_customer.map(|column| &column.table) {
        let plan = explain(&mut conn, "", &format!("SELECT * FROM {table}"));
        assert!(plan.contains("Index Cond: (customer_id = ") && plan.contains("InitPlan"), "{table}: {plan}");
        assert!(!plan.contains("current_setting"), "{table}: {plan}");
    }
}

#[test]
fn each_resource_type_has_an_index_that_the_policy_leaves_of_use() {
    let world = World::new();
    let mut conn = world.own_session();
    // The table is too small for an index to be worth while, and the customer's rows too few for one of its order.
    conn.batch_execute("SET enable_seqscan = off; SET enable_sort = off").unwrap();
    for label in ResourceType::ALL {
        let newest =
            format!("SELECT * FROM resource_metrics WHERE resource_type = '{label}' ORDER BY timestamp DESC LIMIT 1");
        let plan = explain(&mut conn, "", &newest);
        assert!(plan.contains(&format!("ix_resource_metrics_customer_{label}_timestamp")), "{plan}");
        assert!(plan.contains("Index Cond: (customer_id = ") && !plan.contains("Filter"), "{plan}");
    }
}

#[test]
fn unset_and_empty_mean_no_rows_and_what_is_no_uuid_is_an_error() {
    let world = World::new();
    let mut conn = world.session();
    let count = "SELECT count(*) FROM events";
    assert_eq!(number(&mut conn, count), 0);
    conn.transaction(|conn| {
        conn.batch_execute(&format!("SET LOCAL app.customer_id = '{}'", world.own.customer.id))?;
        assert_eq!(number(conn, count), 1);
        Ok::<_, Error>(())
    })
    .unwrap();
    assert_eq!(texts(&mut conn, "SELECT current_setting('app.customer_id')"), [""], "what SET LOCAL leaves behind");
    assert_eq!(number(&mut conn, count), 0);
    work_for(&mut conn, "acme");
    assert_eq!(refusal(&mut conn, count), "invalid input syntax for type uuid: \"acme\"");
}

#[test]
fn joins_and_views_of_the_caller_show_own_rows_only() {
    let world = World::new();
    let mut owner = world.db.conn();
    let mut conn = world.own_session();
    let own = world.own.customer.id.to_string();
    for query in [
        "SELECT c.id FROM customers c CROSS JOIN customers d",
        "SELECT e.customer_id FROM events e JOIN resource_metrics m USING (agent_id)",
        "SELECT r.customer_id FROM approvals a JOIN recommendations r ON r.id = a.recommendation_id",
        "SELECT w.customer_id FROM workflow_artifacts a FULL JOIN workflow_executions w ON true",
        "SELECT m.customer_id FROM agents a LEFT JOIN LATERAL
             (SELECT * FROM quality_metrics q WHERE q.agent_id = a.id) m ON true WHERE m.id IS NOT NULL",
        "WITH all_of_them AS MATERIALIZED (SELECT * FROM scaling_events) SELECT customer_id FROM all_of_them",
        "SELECT customer_id FROM quality_baselines UNION ALL SELECT customer_id FROM quality_baselines WHERE false",
        "SELECT min(customer_id::text) FROM quality_regressions HAVING count(*) = 1",
    ] {
        assert_eq!(texts(&mut conn, query), std::slice::from_ref(&own), "{query}");
    }
    let steps = format!(
        "SELECT count(*) FROM workflow_steps s WHERE s.id IN ('{}', '{}')",
        world.own.step.id, world.foreign.step.id
    );
    assert_eq!(number(&mut conn, &steps), 1);

    // A view sees as its owner does, unless it is made WITH (security_invoker), which PostgreSQL 14 does not know.
    let view = |owner: &mut PgConnection, name: &str, with: &str| {
        let create = format!("CREATE VIEW {name} {with} AS SELECT customer_id FROM events");
        owner.batch_execute(&format!("{create}; GRANT SELECT ON {name} TO {}", world.role.name))
    };
    view(&mut owner, "owners", "").unwrap();
    assert_eq!(number(&mut conn, "SELECT count(*) FROM owners"), 2);
    let made = view(&mut owner, "invokers", "WITH (security_invoker)");
    if number(&mut owner, "SELECT current_setting('server_version_num')::bigint") < 150_000 {
        made.unwrap_err();
    } else {
        made.unwrap();
        assert_eq!(texts(&mut conn, "SELECT customer_id FROM invokers"), [own]);
    }
}

#[test]
fn copy_shows_own_rows_and_takes_none() {
    let world = World::of(TestDb::plain());
    let url = world.db.url_as(&world.role.name);
    let psql = |statement: &str| {
        let customer = format!("SET app.customer_id = '{}'", world.own.customer.id);
        let output = Command::new("psql").args(["-qXAt", &url, "-c", &customer, "-c", statement]).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for table in tables_of_customers() {
        let (rows, errors) = psql(&format!("COPY {table} (id) TO STDOUT"));
        assert_eq!((rows.trim(), errors.as_str()), (ids(&world.own)[table].to_string().as_str(), ""), "{table}");
    }
    let (_, errors) = psql("COPY events FROM STDIN");
    assert!(errors.contains("COPY FROM not supported with row-level security"), "{errors}");
}

#[test]
fn errors_and_plans_say_nothing_of_foreign_rows() {
    let world = World::new();
    let mut owner = world.db.conn();
    let secret = world.foreign.customer.email.clone();
    let rows = format!(
        "UPDATE resource_metrics SET metric_value = 5 WHERE customer_id = '{0}'; ANALYZE resource_metrics, customers",
        world.foreign.customer.id
    );
    owner.batch_execute(&rows).unwrap();
    let mut conn = world.own_session();
    // Each of these would fail, or tell, at the foreign row.
    conn.batch_execute(
        "CREATE FUNCTION pg_temp.tell(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.000001 AS
         $$ BEGIN RAISE 'saw %', $1; END $$",
    )
    .unwrap();
    assert_eq!(number(&mut conn, "SELECT count(*) FROM resource_metrics WHERE 1 / (metric_value - 5) IS NULL"), 0);
    assert_eq!(
        number(&mut conn, "SELECT count(*) FROM customers WHERE (CASE WHEN email = 'x' THEN email END)::int = 1"),
        0
    );
    let told = refusal(&mut conn, "SELECT * FROM customers WHERE pg_temp.tell(email)");
    assert_eq!(told, format!("saw {}", world.own.customer.email));
    let cast = refusal(&mut conn, "SELECT * FROM customers WHERE email::int = 1");
    assert_eq!(cast, format!("invalid input syntax for type integer: \"{}\"", world.own.customer.email));

    for (options, query) in
        [("(ANALYZE, VERBOSE)", "SELECT * FROM customers"), ("", "SELECT * FROM customers WHERE email > 'm'")]
    {
        let text = explain(&mut conn, options, query);
        assert!(text.contains("customers") && !text.contains(&secret), "{text}");
    }
    assert_eq!(number(&mut conn, "SELECT count(*) FROM pg_stats WHERE tablename = 'customers'"), 0);
    assert!(number(&mut owner, "SELECT count(*) FROM pg_stats WHERE tablename = 'customers'") > 0);

    // What a unique constraint knows is told without its words.
    let taken = refusal(&mut conn, &format!("UPDATE customers SET email = '{secret}'"));
    assert_eq!(taken, "duplicate key value violates unique constraint \"customers_email_key\"");
    let request = &world.foreign.quality_metric.request_id;
    let taken = refusal(&mut conn, &format!("UPDATE quality_metrics SET request_id = '{request}'"));
    assert!(taken.contains("duplicate key value") && !taken.contains(request), "{taken}");

    // A customer who is there and one who is not are refused in the same words.
    for id in [world.foreign.customer.id, Uuid::new_v4()] {
        let event = format!("INSERT INTO events (customer_id, event_type) VALUES ('{id}', 'x')");
        assert_eq!(refusal(&mut conn, &event), "new row violates row-level security policy for table \"events\"");
    }
}

#[test]
fn deleting_takes_along_what_hangs_on_the_row_and_nothing_of_another_customer() {
    let world = World::new();
    let mut conn = world.own_session();
    conn.batch_execute("DELETE FROM customers").unwrap();
    let mut owner = world.db.conn();
    for table in tables_of_customers() {
        assert_eq!(number(&mut owner, &format!("SELECT count(*) FROM {table}")), 1, "{table}");
    }
}

/// How the Python services come in: as the owner of the tables, who is no superuser, without a word of a customer.
#[test]
fn the_owner_sees_and_writes_everything_without_the_setting_with_copy_and_pg_dump_too() {
    let database = TestDb::bare();
    let owner = format!("owner_{}", Uuid::new_v4().simple());
    let create = format!(
        "CREATE ROLE {owner} LOGIN; GRANT CREATE ON DATABASE {0} TO {owner}; CREATE SCHEMA platform AUTHORIZATION {owner};
         ALTER ROLE {owner} IN DATABASE {0} SET search_path = platform",
        database.database()
    );
    database.conn().batch_execute(&create).unwrap();
    let url = database.url_as(&owner);
    let mut conn = connection::connect(&connection::Target::parse(&url).unwrap(), "python").unwrap();
    Migrator::default().run(&mut conn, &Goal::Head).unwrap();
    let families = [Family::new(&mut conn), Family::new(&mut conn)];
    assert_eq!(number(&mut conn, "SELECT count(*) FROM pg_roles WHERE rolname = current_user AND rolsuper"), 0);

    let psql = |statement: &str, input: &str| {
        let write = "printf '%s' \"$INPUT\" | psql -qXAt \"$URL\" -v ON_ERROR_STOP=1 -c \"$STATEMENT\"";
        let output = Command::new("sh")
            .args(["-c", write])
            .envs([("INPUT", input), ("URL", &url), ("STATEMENT", statement)])
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for table in tables_of_customers() {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(number(&mut conn, &count), 2, "{table}");
        let changed = diesel::sql_query(format!("UPDATE {table} SET created_at = created_at")).execute(&mut conn);
        assert_eq!(changed.unwrap(), 2, "{table}");
    }
    let copied = psql(
        "COPY (SELECT gen_random_uuid(), customer_id, agent_id, event_type, severity, data, created_at FROM events) TO STDOUT",
        "",
    );
    assert_eq!(copied.lines().count(), 2);
    psql("COPY events FROM STDIN", &copied);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM events"), 4);
    for family in &families {
        let deleted = format!("DELETE FROM quality_metrics WHERE customer_id = '{}'", family.customer.id);
        assert_eq!(diesel::sql_query(deleted).execute(&mut conn).unwrap(), 1);
    }

    let major = number(&mut conn, "SELECT current_setting('server_version_num')::bigint / 10000");
    let version = Command::new("pg_dump").arg("--version").output().unwrap();
    if String::from_utf8(version.stdout).unwrap().contains(&format!(" {major}.")) {
        assert_dumped(&url, &families);
    } else {
        figures(&format!("skipped: pg_dump is of another version than the server, which is {major}"));
    }
    drop(conn);
    database.conn().batch_execute(&format!("DROP OWNED BY {owner} CASCADE; DROP ROLE {owner}")).unwrap();
}

/// As the owner, pg_dump writes the rows of all customers.
fn assert_dumped(url: &str, families: &[Family]) {
    let dump = Command::new("pg_dump").args(["--data-only", "--column-inserts", url]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let dump = String::from_utf8(dump.stdout).unwrap();
    assert_eq!(dump.matches("INSERT INTO platform.events ").count(), 4);
    for family in families {
        assert!(dump.contains(&family.customer.email));
    }
}

const NOBODY: [Uuid; 0] = [];

/// The customers whose samples a session sees.
fn customers(conn: &mut PgConnection) -> QueryResult<Vec<Uuid>> {
    resource_metrics::table.select(resource_metrics::customer_id).load(conn)
}

#[test]
fn a_scope_shows_one_customer_and_leaves_nothing_behind() {
    let world = World::new();
    let (own, foreign) = (world.own.customer.id, world.foreign.customer.id);
    let mut conn = world.session();
    let seen = tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<_> { Ok(customers(conn)?) }).unwrap();
    assert_eq!(seen, [own]);
    assert_eq!(customers(&mut conn).unwrap(), NOBODY);

    // What it writes stays, what it writes and then regrets does not.
    let write = |conn: &mut PgConnection| diesel::sql_query("UPDATE agents SET version = '9'").execute(conn);
    tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<_> { Ok(write(conn)?) }).unwrap();
    let regretted = tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<()> {
        diesel::delete(resource_metrics::table).execute(conn)?;
        Err(optiinfra_db::Error::Migrate(optiinfra_db::migrate::Error::UnknownVersion("regret".to_owned())))
    });
    assert!(matches!(regretted, Err(optiinfra_db::Error::Migrate(optiinfra_db::migrate::Error::UnknownVersion(_)))));
    let mut owner = world.db.conn();
    assert_eq!(number(&mut owner, "SELECT count(*) FROM agents WHERE version = '9'"), 2);
    assert_eq!(number(&mut owner, "SELECT count(*) FROM resource_metrics"), 2);

    // A statement that failed, passed over: the server would roll back and Diesel would call it done.
    let passed_over = tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<()> {
        diesel::delete(resource_metrics::table).execute(conn)?;
        assert!(conn.batch_execute("SELECT 1 / 0").is_err());
        Ok(())
    });
    assert!(passed_over.unwrap_err().to_string().contains("commit the work for one customer"));
    assert_eq!(number(&mut owner, "SELECT count(*) FROM resource_metrics"), 2);

    // One that panics, on a connection that lives on.
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tenant::scoped(&mut conn, CustomerId::new(own), |_| -> Result<()> {
            std::panic::resume_unwind(Box::new("planted"))
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(customers(&mut conn).unwrap(), NOBODY);

    // One that sets another customer for the session.
    tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<()> {
        work_for(conn, &foreign.to_string());
        Ok(())
    })
    .unwrap();
    assert_eq!(customers(&mut conn).unwrap(), NOBODY);

    // One that ends the transaction itself is left without a customer, not with the wrong one, and told so.
    let ended = tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<()> {
        conn.batch_execute("COMMIT")?;
        assert_eq!(customers(conn)?, NOBODY);
        work_for(conn, &foreign.to_string());
        Ok(())
    });
    assert!(ended.unwrap_err().to_string().contains("commit the work for one customer"));
    assert_eq!(customers(&mut conn).unwrap(), NOBODY);

    // In a transaction of which Diesel does not know.
    conn.batch_execute("BEGIN").unwrap();
    let unknown = tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<_> { Ok(customers(conn)?) });
    assert_eq!(unknown.unwrap(), [own]);
    assert_eq!(customers(&mut conn).unwrap(), NOBODY);
}

#[test]
fn a_scope_begins_in_no_transaction_but_its_customers() {
    let world = World::new();
    let (own, foreign) = (world.own.customer.id, world.foreign.customer.id);
    let mut conn = world.session();
    let refused = |conn: &mut PgConnection| {
        let error =
            tenant::scoped(conn, CustomerId::new(foreign), |_| -> Result<()> { panic!("must not run") }).unwrap_err();
        let optiinfra_db::Error::Tenant(tenant::Error::ForeignTransaction(customer)) = error else {
            panic!("{error:?}")
        };
        assert_eq!(customer, CustomerId::new(foreign));
    };
    conn.transaction(|conn| {
        refused(conn);
        assert_eq!(customers(conn)?, NOBODY);
        Ok::<_, Error>(())
    })
    .unwrap();
    let seen = tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<_> {
        refused(conn);
        let inner = tenant::scoped(conn, CustomerId::new(own), |conn| -> Result<()> {
            diesel::delete(resource_metrics::table).execute(conn)?;
            Err(optiinfra_db::Error::Migrate(optiinfra_db::migrate::Error::UnknownVersion(
                "only the inner one".to_owned(),
            )))
        });
        assert!(inner.is_err());
        let twice = tenant::scoped(conn, CustomerId::new(own), |conn| -> Result<_> { Ok(customers(conn)?) })?;
        assert_eq!(twice, [own]);
        Ok(customers(conn)?)
    });
    assert_eq!(seen.unwrap(), [own]);
    assert_eq!(customers(&mut conn).unwrap(), NOBODY);
}

/// The role and the tables of the error, which `work` must not see.
fn exposed(conn: &mut PgConnection, customer: Uuid) -> Option<(String, Vec<String>)> {
    match tenant::scoped(conn, CustomerId::new(customer), |conn| -> Result<_> { Ok(customers(conn)?) }) {
        Ok(seen) => {
            assert_eq!(seen, [customer]);
            None
        }
        Err(optiinfra_db::Error::Tenant(tenant::Error::RowSecurityNotInForce { role, tables })) => Some((role, tables)),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_scope_is_refused_to_a_role_that_sees_every_customer() {
    let world = World::new();
    let (own, role) = (world.own.customer.id, &world.role.name);
    let mut owner = world.db.conn();
    let mut all: Vec<_> = tables_of_customers().map(String::from).collect();
    all.sort_unstable();
    let (name, tables) = exposed(&mut owner, own).expect("the owner of the tables, here a superuser too");
    assert_eq!((name.as_str(), &tables), ("optiinfra", &all));
    assert_eq!(customers(&mut owner).unwrap().len(), 2);

    let events = vec!["events".to_owned()];
    for (exposes, protects, expected) in [
        (format!("ALTER ROLE {role} BYPASSRLS"), format!("ALTER ROLE {role} NOBYPASSRLS"), &all),
        (format!("ALTER ROLE {role} SUPERUSER"), format!("ALTER ROLE {role} NOSUPERUSER"), &all),
        (format!("ALTER TABLE events OWNER TO {role}"), "ALTER TABLE events OWNER TO optiinfra".to_owned(), &events),
        (format!("GRANT optiinfra TO {role}"), format!("REVOKE optiinfra FROM {role}"), &all),
        (
            "ALTER TABLE events DISABLE ROW LEVEL SECURITY".to_owned(),
            "ALTER TABLE events ENABLE ROW LEVEL SECURITY".to_owned(),
            &events,
        ),
        (
            format!("CREATE POLICY cross_customer_read ON events FOR SELECT TO {role} USING (true)"),
            "DROP POLICY cross_customer_read ON events".to_owned(),
            &events,
        ),
        (
            "CREATE POLICY cross_customer ON events USING (true) WITH CHECK (true)".to_owned(),
            "DROP POLICY cross_customer ON events".to_owned(),
            &events,
        ),
    ] {
        owner.batch_execute(&exposes).unwrap();
        assert_eq!(exposed(&mut world.session(), own).as_ref(), Some(&(role.clone(), expected.clone())), "{exposes}");
        owner.batch_execute(&protects).unwrap();
        assert_eq!(exposed(&mut world.session(), own), None, "{protects}");
    }

    // A restrictive policy takes away again what another one shows.
    owner.batch_execute("CREATE POLICY cross_customer ON events USING (true)").unwrap();
    owner.batch_execute("CREATE POLICY fewer ON events AS RESTRICTIVE USING (customer_id::text = 'x')").unwrap();
    assert_eq!(exposed(&mut world.session(), own), None);

    // The explicit way shows every row, and the inner scope is as strict as an outer one.
    let work = |conn: &mut PgConnection| -> Result<_> {
        assert!(exposed(conn, own).is_some());
        Ok(customers(conn)?)
    };
    assert_eq!(tenant::scoped_without_row_security(&mut owner, CustomerId::new(own), work).unwrap().len(), 2);
    let work = |conn: &mut PgConnection| -> Result<_> { Ok(customers(conn)?) };
    assert_eq!(tenant::scoped_without_row_security(&mut world.session(), CustomerId::new(own), work).unwrap(), [own]);
}

#[test]
fn a_pool_hands_out_connections_that_work_for_nobody() {
    let world = World::new();
    let target = connection::Target::parse(&world.db.url_as(&world.role.name)).unwrap();
    let pool = connection::pool(&target, "test").max_size(1).build().unwrap();
    let backend = |conn: &mut PgConnection| number(conn, "SELECT pg_backend_pid()::bigint");
    let mut conn = pool.get().unwrap();
    let first = backend(&mut conn);
    work_for(&mut conn, &world.own.customer.id.to_string());
    assert_eq!(customers(&mut conn).unwrap(), [world.own.customer.id]);
    conn.batch_execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM customers").unwrap();
    drop(conn);
    let mut conn = pool.get().unwrap();
    assert_eq!(backend(&mut conn), first, "the same connection");
    assert_eq!(customers(&mut conn).unwrap(), NOBODY);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM pg_class WHERE relname = 'kept' AND relpersistence = 't'"), 0);

    // The connection string may name a customer: then that is whom every connection works for, also after another.
    let url = world
        .db
        .url_as(&world.role.name)
        .replace("options=", &format!("options=-capp.customer_id%3D{}%20", world.own.customer.id));
    let bound = connection::pool(&connection::Target::parse(&url).unwrap(), "test").max_size(1).build().unwrap();
    let seen =
        tenant::scoped(&mut bound.get().unwrap(), CustomerId::new(world.foreign.customer.id), |conn| -> Result<_> {
            Ok(customers(conn)?)
        });
    assert_eq!(seen.unwrap(), [world.foreign.customer.id]);
    assert_eq!(customers(&mut bound.get().unwrap()).unwrap(), [world.own.customer.id]);

    // In the middle of a scope, by a panic of the thread that has it: that connection is not handed out again.
    drop(conn);
    let lost = std::thread::scope(|scope| {
        let panics = scope.spawn(|| {
            let mut conn = pool.get().unwrap();
            let _: Result<()> = tenant::scoped(&mut conn, CustomerId::new(world.own.customer.id), |_| -> Result<()> {
                std::panic::resume_unwind(Box::new("planted"))
            });
        });
        panics.join()
    });
    assert!(lost.is_err());
    assert_eq!(customers(&mut pool.get().unwrap()).unwrap(), NOBODY);
}

/// What one of the operations of the test below does.
fn operate(pool: &connection::Pool, families: &[&Family], turn: usize) {
    let own = families[turn / 7 % families.len()].customer.id;
    let foreign = families[(turn / 7 + 1) % families.len()].customer.id;
    let mut conn = pool.get().unwrap();
    assert_eq!(customers(&mut conn).unwrap(), NOBODY, "left behind by another user of the connection");
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<()> {
            assert_eq!(customers(conn)?, [own]);
            match turn % 7 {
                0 => {}
                1 => std::panic::resume_unwind(Box::new("planted")),
                2 => {
                    return Err(optiinfra_db::Error::Migrate(optiinfra_db::migrate::Error::UnknownVersion(
                        "early".to_owned(),
                    )));
                }
                3 => conn.batch_execute("SELECT no_such_column")?,
                4 => drop(conn.batch_execute("SELECT 1 / 0")),
                5 => work_for(conn, &foreign.to_string()),
                _ => {
                    let changed = diesel::sql_query("UPDATE resource_metrics SET metric_value = metric_value + 1");
                    assert_eq!(changed.execute(conn)?, 1);
                }
            }
            Ok(())
        })
    }));
    let is_ok = matches!(done, Ok(Ok(())));
    assert_eq!(is_ok, matches!(turn % 7, 0 | 5 | 6), "{turn}: {done:?}");
    if turn.is_multiple_of(3) {
        // A careless user of the pool.
        work_for(&mut conn, &own.to_string());
    }
}

#[test]
fn eight_threads_on_two_connections_never_see_each_others_customer() {
    let world = World::new();
    let target = connection::Target::parse(&world.db.url_as(&world.role.name)).unwrap();
    let pool = connection::pool(&target, "test").max_size(2).build().unwrap();
    let families = [&world.own, &world.foreign];
    let operations = rounds(2_000, 10_000);
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if turn >= operations {
                        break;
                    }
                    operate(&pool, &families, turn);
                }
            });
        }
    });
    let updates = (0..operations).filter(|turn| turn % 7 == 6).count();
    let written = "SELECT sum(metric_value)::bigint FROM resource_metrics";
    // 75.5 each at first.
    assert_eq!(number(&mut world.db.conn(), written), 151 + i64::try_from(updates).unwrap());
    figures(&format!(
        "{operations} operations of 8 threads on 2 connections, {updates} of them written: 0 foreign rows seen"
    ));
}

#[test]
fn ids_are_their_uuids_in_every_form() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    let uuid = Uuid::new_v4();
    let id = CustomerId::new(uuid);
    assert_eq!((id.to_string(), id.to_string().parse()), (uuid.to_string(), Ok(id)));
    assert_eq!((serde_json::to_value(id).unwrap(), Uuid::from(id)), (json!(uuid), uuid));
    assert_eq!(serde_json::from_value::<AgentId>(json!(uuid)).unwrap(), AgentId::new(uuid));
    let stored: CustomerId = diesel::select(id.into_sql::<diesel::sql_types::Uuid>()).get_result(&mut conn).unwrap();
    assert_eq!(stored, id);
    assert!("acme".parse::<AgentId>().is_err());
}
