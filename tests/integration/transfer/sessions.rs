//! Sessions from which row security hides rows.

use super::*;

#[test]
fn where_rows_are_hidden_an_export_of_all_is_refused_and_one_of_a_customer_is_whole() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let lines = [metric(&agent, &customer, "i-1", "1"), metric(&agent, &customer, "i-2", "2")];
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    assert_eq!(import(&db, "resource_metrics", &file).code, Some(0));
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    let grants =
        format!("GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}");
    conn.batch_execute(&grants).unwrap();
    let export = |arguments: &str| {
        let url = format!("{}%20-capp.customer_id%3D{}", db.url_as(name), customer.id);
        Dbctl::new().env("DATABASE_URL", &url).run(&format!("export {arguments}"))
    };
    let all = export("resource_metrics");
    assert_eq!((all.code, all.stdout.lines().count()), (Some(2), 0), "{all:#?}");
    assert!(all.stderr.contains("`export --customer NAME` takes those"), "{all:#?}");
    let own = export(&format!("resource_metrics --customer {}", customer.id));
    assert_eq!((own.code, own.stdout.lines().count()), (Some(0), 3), "{own:#?}");
    let elses = export(&format!("resource_metrics --customer {}", Uuid::nil()));
    assert_eq!(elses.code, Some(2), "{elses:#?}");
}

#[test]
fn a_session_that_sees_no_customer_is_told_so_and_not_of_every_row() {
    let (db, mut conn, agent, own) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", metric(&agent, &own, "i-1", "1")));
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    conn.batch_execute(&format!(
        "GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO {name}"
    ))
    .unwrap();
    let run = |table: &str, file: &Path, arguments: &str| {
        let run = Dbctl::new().env("DATABASE_URL", &db.url_as(name));
        run.args(&["import", table, file.to_str().unwrap()]).run(arguments)
    };
    for arguments in ["", "--on-conflict skip", "--max-rejects 10"] {
        let run = run("resource_metrics", &file, arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains("row-level security shows this session no customer"), "{run:#?}");
        assert!(run.stderr.contains("hint: name the customer"), "{run:#?}");
    }
    // The rows of agents are nobody's.
    let file = folder.write("a.csv", format!("agent,metric_name,metric_value\n{},m,1\n", agent.id));
    assert_eq!(run("agent_metrics", &file, "").code, Some(0));
}

#[test]
fn a_session_of_one_customer_imports_its_own_rows_and_no_other_customers() {
    let (db, mut conn, agent, own) = ground(AgentType::Resource);
    let other = customer(&mut conn);
    let folder = Folder::new();
    let lines = [metric(&agent, &own, "i-1", "1"), metric(&agent, &other, "i-2", "2")];
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    conn.batch_execute(&format!(
        "GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}; \
         GRANT INSERT ON resource_metrics TO {name}"
    ))
    .unwrap();
    let url = format!("{}%20-capp.customer_id%3D{}", db.url_as(name), own.id);
    for (arguments, expected) in [("--on-conflict refuse", 1), ("--on-conflict skip", 2), ("--on-conflict skip", 2)] {
        let run = Dbctl::new()
            .env("DATABASE_URL", &url)
            .args(&["import", "resource_metrics", file.to_str().unwrap(), "--format", "json", "--max-rejects", "1"])
            .run(arguments);
        assert_eq!(run.code, Some(0), "{run:#?}");
        let words = format!("no customer has the name or id '{}'", other.id);
        assert_eq!(reasons(&run.json()), [(3, "customer_id".to_owned(), words)]);
        assert_eq!(rows(&mut conn, "resource_metrics"), expected, "{arguments}");
    }
    let owned = format!("SELECT count(*) FROM resource_metrics WHERE customer_id = '{}'", own.id);
    assert_eq!(number(&mut conn, &owned), 2);
}

/// Sets a time limit for every session of the database.
fn limited(db: &TestDb, conn: &mut PgConnection, limit: &str) {
    conn.batch_execute(&format!("ALTER DATABASE {} SET {limit}", db.database())).unwrap();
}

/// Waits until a session of a command has waited for longer than any of the limits.
fn until_it_waited(conn: &mut PgConnection, command: &str) {
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND application_name LIKE 'optiinfra-dbctl/{command}%' AND now() - state_change > interval '1 second'"
    );
    until("the session has waited", limit(Duration::from_secs(20)), || number(conn, &waits) > 0);
}

#[test]
fn no_time_limit_of_the_server_cuts_an_export_into_a_slow_reader() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    conn.batch_execute(&format!(
        "INSERT INTO events (customer_id, agent_id, event_type) SELECT '{}', '{}', repeat('x', 100) FROM generate_series(1, 30000)",
        customer.id, agent.id
    ))
    .unwrap();
    for limit in ["idle_in_transaction_session_timeout = 300", "statement_timeout = 600"] {
        limited(&db, &mut conn, limit);
        let mut child = Dbctl::on(&db).spawn("export events --quiet");
        let mut pipe = child.stdout.take().unwrap();
        pipe.read_exact(&mut [0; 1000]).unwrap();
        until_it_waited(&mut conn, "export");
        let mut rest = String::new();
        pipe.read_to_string(&mut rest).unwrap();
        let run = Run::of(child);
        assert_eq!(run.code, Some(0), "{limit}: {run:#?}");
        assert!(rest.lines().count() > 29_900, "{limit}: {}", rest.lines().count());
        conn.batch_execute(&format!("ALTER DATABASE {} RESET ALL", db.database())).unwrap();
    }
}

#[test]
fn no_time_limit_of_the_server_cuts_an_import_from_a_slow_writer() {
    // Rows of partitions are sent when all are read.
    let (db, mut conn, agent, customer) = ground_of(TestDb::plain(), AgentType::Resource);
    for (limit, arguments) in
        [("idle_in_transaction_session_timeout = 300", ""), ("idle_session_timeout = 300", "--on-conflict skip")]
    {
        limited(&db, &mut conn, limit);
        let mut child =
            Dbctl::on(&db).stdin(Stdio::piped()).spawn(&format!("import resource_metrics - -q {arguments}"));
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{METRIC_HEADER}").unwrap();
        for at in 0..40_000 {
            if at == 30_000 {
                stdin.flush().unwrap();
                until_it_waited(&mut conn, "import");
            }
            writeln!(stdin, "{}", metric(&agent, &customer, &format!("i-{at}"), "50")).unwrap();
        }
        drop(stdin);
        let run = Run::of(child);
        assert_eq!(run.code, Some(0), "{limit}: {run:#?}");
        assert_eq!(rows(&mut conn, "resource_metrics"), 40_000, "{limit}");
        conn.batch_execute(&format!("ALTER DATABASE {} RESET ALL; DELETE FROM resource_metrics", db.database()))
            .unwrap();
    }
}

#[test]
fn a_name_that_is_no_utf_8_does_not_keep_rows_from_being_imported_by_id() {
    let db = TestDb::in_sql_ascii().migrate();
    let mut conn = db.conn();
    let (agent, customer) = (crate::support::agent(&mut conn, AgentType::Resource), customer(&mut conn));
    conn.batch_execute("UPDATE customers SET name = convert_from('\\x4dfc'::bytea, 'SQL_ASCII')").unwrap();
    let folder = Folder::new();
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "i", "5")));
    let run = import(&db, "resource_metrics", &file);
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(0), 1), "{run:#?}");
}
