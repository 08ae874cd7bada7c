//! Which rows an export has, and where they go.

use super::round_trip::plant;
use super::*;

#[test]
fn an_export_may_be_of_one_customer_and_of_a_span_of_time() {
    let (db, mut conn, agent, first) = ground(AgentType::Resource);
    let second = customer(&mut conn);
    let folder = Folder::new();
    let at = |customer: &Customer, hour: u32| {
        metric(&agent, customer, &format!("i-{hour}"), "1").replace("T12:", &format!("T{hour:02}:"))
    };
    let lines: Vec<_> = (0..4).flat_map(|hour| [at(&first, hour), at(&second, hour)]).collect();
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    assert_eq!(import(&db, "resource_metrics", &file).code, Some(0));
    let reader = db.reader();
    let exported = |arguments: &str| {
        let run = Dbctl::new().env("DATABASE_URL", &db.url_as(&reader.name)).run(&format!("export {arguments}"));
        assert_eq!(run.code, Some(0), "{run:#?}");
        run.stdout.lines().count() - 1
    };
    assert_eq!(exported("resource_metrics"), 8);
    assert_eq!(exported(&format!("resource_metrics --customer {}", first.id)), 4);
    let span = "--since 2025-10-20T01:00:00Z --until 2025-10-20T03:00:00Z";
    assert_eq!(exported(&format!("resource_metrics {span}")), 4);
    assert_eq!(exported(&format!("resource_metrics {span} --customer {}", second.id)), 2);
    assert_eq!(exported("resource_metrics --since 2026-01-01T00:00:00Z"), 0);
    for empty in ["--since 1h --until 2h", "--since 2025-10-20T01:00:00Z --until 2025-10-20T01:00:00Z"] {
        let run = Dbctl::on(&db).run(&format!("export resource_metrics {empty}"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains("--since is not before --until"), "{run:#?}");
    }
    for table in Table::ALL {
        assert_eq!(exported(&format!("{table} {span}")), usize::from(table == Table::ResourceMetrics) * 4);
    }
}

#[test]
fn an_export_leaves_nothing_with_the_connection_and_refuses_a_transaction_of_others() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, 10);
    let settings = "SELECT current_setting('TimeZone') || current_setting('DateStyle') || current_setting('row_security') \
                    || current_setting('transaction_read_only') || (SELECT count(*) FROM pg_cursors)";
    let state = |conn: &mut PgConnection| -> String {
        diesel::select(diesel::dsl::sql::<Text>(&format!("({settings})"))).get_result(conn).unwrap()
    };
    conn.batch_execute("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'").unwrap();
    let before = state(&mut conn);
    for customer in [None, Some(customer.id.to_string())] {
        let options = export::Options { customer, ..export::Options::default() };
        let run = |conn: &mut PgConnection| export::run(conn, Table::Events, Format::Csv, &options, &mut Vec::new());
        assert_eq!(run(&mut conn).unwrap().rows, 10);
        assert_eq!(state(&mut conn), before);
        let refused = conn.transaction(|conn| {
            let refused = run(conn).unwrap_err();
            assert_eq!(state(conn), before);
            diesel::QueryResult::Ok(refused)
        });
        let refused = refused.unwrap();
        assert!(matches!(refused, optiinfra_db::Error::Diesel(_)), "{refused:?}");
    }
}

#[test]
fn an_export_is_a_whole_file_or_none() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, 10);
    let folder = Folder::new();
    let path = folder.path("events.csv");
    let run = Dbctl::on(&db).run(&format!("export events --output {}", path.display()));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:#?}");
    assert!(run.stderr.starts_with("10 rows of events in "), "{run:#?}");
    let printed = Dbctl::on(&db).run("export events").stdout;
    assert_eq!(fs::read_to_string(&path).unwrap(), printed);
    assert_eq!(Dbctl::on(&db).dir(folder.0.path()).run("export events --output -").stdout, printed);

    // What is there stays when the new one cannot be made.
    conn.batch_execute("ALTER TABLE events RENAME TO gone").unwrap();
    let run = Dbctl::on(&db).run(&format!("export events --output {}", path.display()));
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().next().unwrap().split(',').count(), 7);
    assert_eq!(folder.names(), ["events.csv"]);
}

#[test]
fn a_reader_of_an_export_may_go_away() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    conn.batch_execute(&format!(
        "INSERT INTO events (customer_id, agent_id, event_type) SELECT '{}', '{}', repeat('x', 100) FROM generate_series(1, 30000)",
        customer.id, agent.id
    ))
    .unwrap();
    let mut child = Dbctl::on(&db).spawn("export events");
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let run = Run::of(child);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
}

#[test]
fn a_signal_ends_an_export_that_nobody_reads() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    conn.batch_execute(&format!(
        "INSERT INTO events (customer_id, agent_id, event_type) SELECT '{}', '{}', repeat('x', 100) FROM generate_series(1, 30000)",
        customer.id, agent.id
    ))
    .unwrap();
    let mut child = Dbctl::on(&db).spawn("export events --quiet");
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    signal(&child, Signal::SIGINT);
    let begun = Instant::now();
    let run = Run::of(child);
    assert!(begun.elapsed() < limit(Duration::from_secs(2)), "{run:#?}");
    assert_eq!(run.code, Some(130), "{run:#?}");
    assert!(run.stderr.starts_with("interrupted: "), "{run:#?}");
}

#[test]
fn an_export_may_be_of_some_columns_and_of_one_agent() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let line = metric(&agent, &customer, "i-1", "1").replace("T12:00:00Z", "T12:00:00.25Z");
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{line}\n"));
    assert_eq!(import(&db, "resource_metrics", &file).code, Some(0));
    let export = |arguments: &str| Dbctl::on(&db).run(&format!("export resource_metrics {arguments}"));
    let columns = "--columns timestamp,instance_id,customer";
    let expected = format!("timestamp,instance_id,customer_id\n2025-10-20T12:00:00.250000Z,i-1,{}\n", customer.id);
    for of in [format!("--agent {}", agent.id), format!("--agent {}", agent.name)] {
        let run = export(&format!("{columns} {of} --since 2025-10-20T12:00:00Z"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), expected.as_str()), "{run:#?}");
    }
    assert_eq!(export("--columns unit --format ndjson").stdout, "{\"unit\":\"percent\"}\n");
    for (arguments, words) in [
        ("--columns unti", "did you mean unit?"),
        ("--columns unit,unit", "the column unit is named twice"),
        ("--agent nobody", "no agent has the name or id 'nobody'"),
    ] {
        let run = export(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains(words), "{run:#?}");
    }
}

#[test]
fn an_export_is_compressed_by_the_name_of_its_file_or_as_it_is_asked_for_and_comes_back() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, 10);
    let folder = Folder::new();
    let plain = Dbctl::on(&db).run("export events").stdout;
    for (name, flags, magic) in [
        ("a.csv.gz", "", &b"\x1f\x8b"[..]),
        ("b.csv.zst", "", b"\x28\xb5\x2f\xfd"),
        ("c", "--compress zstd", b"\x28\xb5\x2f\xfd"),
    ] {
        let path = folder.path(name);
        let run = Dbctl::on(&db).run(&format!("export events --output {} {flags}", path.display()));
        assert_eq!(run.code, Some(0), "{run:#?}");
        let packed = fs::read(&path).unwrap();
        assert!(packed.starts_with(magic) && packed.len() < plain.len(), "{name}");
        conn.batch_execute("DELETE FROM events").unwrap();
        let run = import(&db, "events", &path);
        assert_eq!((run.code, rows(&mut conn, "events")), (Some(0), 10), "{run:#?}");
        let again = Dbctl::on(&db).run("export events").stdout;
        let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(sorted(&again), sorted(&plain));
    }
}
