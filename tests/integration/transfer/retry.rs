//! An import that is done again.

use super::*;

#[test]
fn an_import_that_was_killed_is_completed_by_the_same_command() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.path("metrics.csv");
    // Each round is killed with one chunk more written, or in the midst of it.
    let count = rounds(60_000, 240_000);
    write_metrics(&file, &agent, &customer, count);
    let command = format!("import resource_metrics {} --on-conflict skip --connections 2 --quiet", file.display());
    let mut sizes = Vec::new();
    for round in 0..rounds(3, 20) {
        let mut child = Dbctl::on(&db).spawn(&command);
        let before = rows(&mut conn, "resource_metrics");
        // Once a chunk more is there, or none is left to wait for.
        while rows(&mut conn, "resource_metrics") == before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(round as u64 * 7 % 50));
        child.kill().unwrap();
        child.wait().unwrap();
        sizes.push(rows(&mut conn, "resource_metrics"));
    }
    let last = Dbctl::on(&db).run(&format!("{command} --format json"));
    assert_eq!(last.code, Some(0), "{last:#?}");
    let report = last.json();
    assert_eq!(report["read"], json!(count));
    assert_eq!(report["written"].as_u64().unwrap() + report["skipped"].as_u64().unwrap(), count as u64);
    let expected = i64::try_from(count).unwrap();
    assert_eq!(rows(&mut conn, "resource_metrics"), expected);
    assert_eq!(number(&mut conn, "SELECT count(DISTINCT instance_id) FROM resource_metrics"), expected);
    figures(&format!("import killed with these many rows written: {sizes:?}"));
}

#[test]
fn the_same_file_has_the_same_ids_and_its_equal_rows_are_two() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let line = metric(&agent, &customer, "i-1", "50");
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{line}\n{line}\n"));
    for (written, skipped) in [(2, 0), (0, 2)] {
        let report = import(&db, "resource_metrics --on-conflict skip", &file).json();
        assert_eq!((&report["written"], &report["skipped"]), (&json!(written), &json!(skipped)));
    }
    // Another constant is another row.
    let report = import(&db, "resource_metrics --on-conflict skip --set instance_id=i-2", &file).json();
    assert_eq!(report["written"], json!(2));
    let dry = import(&db, "resource_metrics --on-conflict skip --dry-run", &file).json();
    assert_eq!((&dry["written"], &dry["skipped"]), (&json!(0), &json!(2)));
    assert_eq!(rows(&mut conn, "resource_metrics"), 4);

    let header = "agent,metric_name,metric_value";
    let file = folder.write("a.csv", format!("{header}\n{},m,1\n", agent.id));
    let run = import(&db, "agent_metrics --on-conflict skip", &file);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(reasons(&run.json())[0].2.contains("give an id or recorded_at"), "{run:#?}");
    assert_eq!(import(&db, "agent_metrics", &file).code, Some(0));
}

#[test]
fn equal_events_of_two_days_are_two_and_one_without_a_time_is_not_guessed() {
    let (db, mut conn, _, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let timeless = folder.write("timeless.csv", format!("customer,event_type\n{},restart\n", customer.id));
    let run = import(&db, "events --on-conflict skip", &timeless);
    assert_eq!((run.code, rows(&mut conn, "events")), (Some(1), 0), "{run:#?}");
    assert_eq!(reasons(&run.json())[0].1, "created_at");
    assert!(reasons(&run.json())[0].2.contains("give an id or created_at"), "{run:#?}");

    for (day, file) in [(1, "one.csv"), (2, "two.csv")] {
        let header = "customer,event_type,created_at";
        let file = folder.write(file, format!("{header}\n{},restart,2025-10-2{day}T00:00:00Z\n", customer.id));
        for (written, skipped) in [(1, 0), (0, 1)] {
            let report = import(&db, "events --on-conflict skip", &file).json();
            assert_eq!((&report["written"], &report["skipped"]), (&json!(written), &json!(skipped)));
        }
    }
    // By --set the time is given as well, and another one makes another row.
    let run = import(&db, "events --on-conflict skip --set created_at=2025-10-23T00:00:00Z", &timeless);
    assert_eq!((run.code, rows(&mut conn, "events")), (Some(0), 3), "{run:#?}");
    assert_eq!(import(&db, "events", &timeless).code, Some(0));
}

#[test]
fn the_same_row_on_the_same_line_of_another_file_is_the_same_row() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let [same, other] = ["i-1", "i-2"].map(|instance| metric(&agent, &customer, instance, "50"));
    let one = folder.write("one.csv", format!("{METRIC_HEADER}\n{same}\n"));
    let two = folder.write("two.csv", format!("{METRIC_HEADER}\n{same}\n{other}\n{same}\n"));
    assert_eq!(import(&db, "resource_metrics --on-conflict skip", &one).json()["written"], json!(1));
    let report = import(&db, "resource_metrics --on-conflict skip", &two).json();
    assert_eq!((&report["written"], &report["skipped"]), (&json!(2), &json!(1)));
    assert_eq!(rows(&mut conn, "resource_metrics"), 3);
}

#[test]
fn a_bad_row_too_many_ends_a_retryable_import_and_the_mended_file_completes_it() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.path("f.csv");
    write_metrics(&file, &agent, &customer, 30_000);
    let good = fs::read_to_string(&file).unwrap();
    let bad = good.replacen("i-25000,gpu", "i-25000,tpu", 1);
    fs::write(&file, bad).unwrap();
    let run = import(&db, "resource_metrics --on-conflict skip", &file);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let report = run.json();
    assert_eq!((&report["read"], &report["rejected"]), (&json!(30_000), &json!(1)));
    let written = report["written"].as_i64().unwrap();
    // Row 25,001 is the bad one.
    assert!(written <= 25_000, "{written}");
    assert_eq!(rows(&mut conn, "resource_metrics"), written);
    fs::write(&file, good).unwrap();
    let report = import(&db, "resource_metrics --on-conflict skip", &file).json();
    assert_eq!((&report["skipped"], rows(&mut conn, "resource_metrics")), (&json!(written), 30_000));
}

#[test]
fn a_signal_leaves_nothing_of_an_import_and_whole_chunks_of_a_retryable_one() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let rejects = folder.path("rejects.csv");
    for (arguments, state) in [("", "nothing is half done"), ("--on-conflict skip", "the same command again")] {
        for with in [Signal::SIGINT, Signal::SIGTERM] {
            let mut child = Dbctl::on(&db)
                .stdin(Stdio::piped())
                .spawn(&format!("import resource_metrics - --rejects {} --quiet {arguments}", rejects.display()));
            let mut stdin = child.stdin.take().unwrap();
            writeln!(stdin, "{METRIC_HEADER}").unwrap();
            for at in 0..25_000 {
                writeln!(stdin, "{}", metric(&agent, &customer, &format!("i-{at}"), "50")).unwrap();
            }
            stdin.flush().unwrap();
            // It waits for more, and the first rows are on the server.
            let application = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name = 'optiinfra-dbctl/import' AND backend_xmin IS NULL AND state LIKE 'idle%'";
            until("the import waits", Duration::from_secs(20), || number(&mut conn, application) > 0);
            signal(&child, with);
            let begun = Instant::now();
            let run = Run::of(child);
            drop(stdin);
            assert!(begun.elapsed() < limit(Duration::from_secs(2)), "{run:#?}");
            assert_eq!(run.code, Some(if with == Signal::SIGINT { 130 } else { 143 }), "{run:#?}");
            assert!(run.stderr.contains(state) && run.stdout.is_empty(), "{run:#?}");
            let left = rows(&mut conn, "resource_metrics");
            assert!(if arguments.is_empty() { left == 0 } else { left <= 25_000 && left % 1000 == 0 }, "{left}");
            assert_eq!(folder.names(), [""; 0], "no file is left behind");
        }
    }
}

#[test]
fn an_import_whose_report_cannot_be_written_says_that_the_rows_are_in() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "i", "1")));
    for (arguments, words) in [("--dry-run", "nothing was committed"), ("", "1 row was committed")] {
        let command = format!("import resource_metrics {} {arguments}", file.display());
        let run = Dbctl::on(&db).stdout(File::options().write(true).open("/dev/full").unwrap()).run(&command);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains(&format!("error: {words}, and the report of it is not")), "{run:#?}");
        assert!(run.stderr.contains("stdout"), "{run:#?}");
    }
    assert_eq!(rows(&mut conn, "resource_metrics"), 1);
}
