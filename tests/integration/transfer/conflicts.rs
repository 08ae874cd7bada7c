//! Rows that are there already, and rows that the server refuses.

use super::round_trip::plant;
use super::*;

#[test]
fn many_rows_that_are_there_are_each_a_bad_row() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, 300);
    let folder = Folder::new();
    let exported = Dbctl::on(&db).run("export quality_metrics").stdout;
    let file = folder.write("f.csv", &exported);
    conn.batch_execute("DELETE FROM quality_metrics WHERE hallucination_detected").unwrap();
    let there = rows(&mut conn, "quality_metrics");
    let run = import(&db, "quality_metrics --max-rejects 300 --no-range-checks", &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let report = run.json();
    assert_eq!((&report["rejected"], &report["written"]), (&json!(there), &json!(300 - there)));
    assert!(reasons(&report).iter().all(|(_, column, reason)| column == "id" && reason.contains("is there already")));
    assert_eq!(rows(&mut conn, "quality_metrics"), 300);
}

#[test]
fn thousands_of_rows_that_are_there_are_found_at_once_and_in_the_words_of_the_server() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let folder = Folder::new();
    let count = 5000;
    let mut text = "id,agent,customer,request_id,model_name,model_version,overall_quality_score,timestamp\n".to_owned();
    for row in 0..count {
        let id = Uuid::from_u128(row + 1);
        let time = "2025-10-20T12:00:00Z";
        writeln!(text, "{id},{},{},request-{row},m,1,0.5,{time}", agent.id, customer.id).unwrap();
    }
    // Of the rows that are there every third differs in the id, and every third in the request.
    let file = folder.write("f.csv", &text);
    assert_eq!(import(&db, "quality_metrics", &file).code, Some(0));
    conn.batch_execute(
        "UPDATE quality_metrics SET id = gen_random_uuid() WHERE right(request_id, 1) IN ('0', '3', '6');
         UPDATE quality_metrics SET request_id = 'other-' || request_id WHERE right(request_id, 1) IN ('1', '4', '7');
         DELETE FROM quality_metrics WHERE right(request_id, 1) = '9'",
    )
    .unwrap();
    // Once more in the file itself.
    let last = text.lines().last().unwrap().to_owned();
    let file = folder.write("f.csv", format!("{text}{last}\n"));
    let begun = Instant::now();
    let run = import(&db, "quality_metrics --max-rejects 5000 --dry-run", &file);
    assert!(begun.elapsed() < limit(Duration::from_secs(10)), "{:?}", begun.elapsed());
    let report = run.json();
    assert_eq!((&report["written"], &report["rejected"]), (&json!(500), &json!(4501)), "{run:#?}");
    assert_eq!(report["complete"], json!(true));
    let there = "is there already, in the table or earlier in the file: ";
    for (line, column, reason) in reasons(&report) {
        let row = line - 2;
        let of_request = matches!(row % 10, 0 | 3 | 6);
        let (expected, value) = if of_request {
            ("request_id", format!("request-{row}"))
        } else {
            ("id", Uuid::from_u128(u128::from(row) + 1).to_string())
        };
        assert_eq!(column, expected, "{reason}");
        assert!(
            reason.starts_with(there)
                && reason.contains(&format!("({expected}"))
                && reason.contains(&format!("=({value}")),
            "{reason}"
        );
    }

    let refused = import(&db, "quality_metrics", &file).json();
    assert_eq!((&refused["accepted"], &refused["complete"]), (&json!(false), &json!(false)), "{refused:#?}");
    let told = Dbctl::on(&db).run(&format!("import quality_metrics {}", file.display())).stdout;
    let found = refused["rejected"].as_u64().unwrap();
    assert!(told.starts_with(&format!("nothing written: at least {found} of 5001 rows are bad")), "{told}");
    assert!(told.contains("--rejects FILE takes those that were found"), "{told}");
}

#[test]
fn a_row_that_the_server_refuses_is_a_bad_row_of_a_retryable_import_too() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    conn.batch_execute("ALTER TABLE resource_metrics ADD CONSTRAINT not_77 CHECK (instance_id !~ '77$')").unwrap();
    let folder = Folder::new();
    let file = folder.path("f.csv");
    let count = 30_000;
    write_metrics(&file, &agent, &customer, count);
    let text = fs::read_to_string(&file).unwrap().replacen("i-9,gpu", "i-9,tpu", 1);
    fs::write(&file, format!("{METRIC_HEADER}\n\n{}", text.split_once('\n').unwrap().1)).unwrap();
    let rejects = folder.path("rejects.csv");
    let arguments = |most: usize, more: &str| {
        format!("resource_metrics --on-conflict skip --max-rejects {most} --rejects {} {more}", rejects.display())
    };

    // With as many as there are: those of the server at their lines, behind the empty one.
    let begun = Instant::now();
    let run = import(&db, &arguments(301, "--connections 2"), &file);
    assert!(begun.elapsed() < limit(Duration::from_secs(30)), "{:?}", begun.elapsed());
    assert_eq!(run.code, Some(0), "{run:#?}");
    let report = run.json();
    assert_eq!(
        (&report["written"], &report["rejected"], &report["complete"]),
        (&json!(29_699), &json!(301), &json!(true))
    );
    assert_eq!(number(&mut conn, "SELECT count(DISTINCT instance_id) FROM resource_metrics"), 29_699);
    let of_server = |reject: &(u64, String, String)| reject.2.contains("not_77");
    let mut found: Vec<_> = reasons(&report).into_iter().filter(of_server).map(|(line, _, _)| line).collect();
    found.sort_unstable();
    let expected: Vec<u64> = (0..300).map(|hundred| hundred * 100 + 77 + 3).collect();
    assert_eq!(found, expected);
    let mut told = csv::Reader::from_path(&rejects).unwrap();
    let records: Vec<_> = told.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 301);
    assert!(records.iter().all(|record| record[3].contains(&format!("i-{},", record[0].parse::<u64>().unwrap() - 3))));

    // One too many: a report, and the rows that are committed.
    conn.batch_execute("DELETE FROM resource_metrics").unwrap();
    for most in [0, 100] {
        let run = import(&db, &arguments(most, ""), &file);
        assert_eq!(run.code, Some(1), "{run:#?}");
        let report = run.json();
        assert_eq!((&report["accepted"], &report["complete"]), (&json!(false), &json!(false)));
        assert!(report["rejected"].as_u64().unwrap() > most as u64, "{report:#?}");
        let there = report["written"].as_i64().unwrap() + report["skipped"].as_i64().unwrap();
        assert_eq!(rows(&mut conn, "resource_metrics"), there, "{most}");
    }
}

/// A file whose second half has the keys of the first in the opposite order.
fn back_and_forth(agent: &Agent, customer: &Customer, rows: usize) -> String {
    let mut text = "agent,customer,request_id,model_name,model_version,overall_quality_score,timestamp\n".to_owned();
    for row in (0..rows).chain((0..rows).rev()) {
        writeln!(text, "{},{},request-{row:06},m,1,0.5,2025-10-20T12:00:00Z", agent.id, customer.id).unwrap();
    }
    text
}

#[test]
fn two_connections_of_one_import_never_wait_for_each_other() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let folder = Folder::new();
    let file = folder.write("f.csv", back_and_forth(&agent, &customer, 25_000));
    let german = format!("ALTER DATABASE {} SET lc_messages = 'de_DE.UTF-8'", db.database());
    for language in ["", &german] {
        if !language.is_empty() && conn.batch_execute(language).is_err() {
            figures("skipped: a deadlock on a German server, which has no locale de_DE.UTF-8");
            continue;
        }
        let run = import(&db, "quality_metrics --on-conflict skip --connections 2", &file);
        assert_eq!(run.code, Some(0), "{run:#?}");
        let report = run.json();
        assert_eq!((&report["written"], &report["skipped"]), (&json!(25_000), &json!(25_000)));
        conn.batch_execute("DELETE FROM quality_metrics").unwrap();
    }
}
