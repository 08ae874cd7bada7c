//! What is reported of bad rows, and what is written of the others.

use super::*;

/// A file of 1,000 answers, seven of them bad in seven ways, and what is to be said of them.
fn seven_bad(agent: &Agent, customer: &Customer) -> (String, [(u64, &'static str, &'static str); 7]) {
    let mut text = "id,agent_id,customer_id,request_id,model_name,model_version,prompt_tokens,latency_ms,\
        overall_quality_score,timestamp,metadata\n"
        .to_owned();
    for row in 1..=1000 {
        let (mut who, mut request, mut tokens, mut score) = (customer.id.to_string(), row, "12".to_owned(), "0.9");
        let (mut time, mut facts, mut model) = ("2025-10-20T12:00:00Z", "\"{\"\"a\"\": 1}\"", "model-a".to_owned());
        match row {
            100 => score = "1.5",
            200 => tokens = "twelve".to_owned(),
            300 => time = "yesterday",
            400 => who = Uuid::nil().to_string(),
            500 => facts = "\"{\"\"a\"\": \"",
            600 => model = "m".repeat(101),
            // Only the server can know, because of the rows before.
            700 => request = 650,
            _ => {}
        }
        let agent = agent.id;
        writeln!(text, ",{agent},{who},request-{request},{model},1.0,{tokens},,{score},{time},{facts}").unwrap();
    }
    let expected = [
        (101, "overall_quality_score", "1.5 is not from 0 to 1"),
        (201, "prompt_tokens", "'twelve' is not a whole number"),
        (301, "timestamp", "'yesterday' is not a time"),
        (401, "customer_id", "no customer has the name or id '00000000-0000-0000-0000-000000000000'"),
        (501, "metadata", "is not JSON: EOF while parsing"),
        (601, "model_name", "has 101 characters, and 100 fit"),
        (701, "request_id", "=(request-650"),
    ];
    (text, expected)
}

#[track_caller]
fn assert_reasons(report: &Value, expected: &[(u64, &str, &str)]) {
    let mut found = reasons(report);
    found.sort();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, column, reason), (expected_line, expected_column, words)) in found.iter().zip(expected) {
        assert_eq!((line, column.as_str()), (expected_line, *expected_column), "{reason}");
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn seven_bad_rows_of_a_thousand_are_told_and_nothing_is_written() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let (text, expected) = seven_bad(&agent, &customer);
    let folder = Folder::new();
    let file = folder.write("answers.csv", text);
    let run = import(&db, "quality_metrics", &file);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let report = run.json();
    // The seventh too, which only the server can know.
    assert_reasons(&report, &expected);
    assert_eq!((&report["accepted"], &report["written"], &report["read"]), (&json!(false), &json!(0), &json!(1000)));
    assert_eq!(rows(&mut conn, "quality_metrics"), 0);
}

#[test]
fn with_as_many_rejects_as_there_are_the_other_rows_are_written() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let (text, expected) = seven_bad(&agent, &customer);
    let folder = Folder::new();
    let file = folder.write("answers.csv", &text);
    let rejects = folder.path("rejects.csv");
    let with_rejects = format!("quality_metrics --max-rejects 7 --rejects {}", rejects.display());

    let dry = import(&db, &format!("{with_rejects} --dry-run"), &file);
    assert_reasons(&dry.json(), &expected);
    assert_eq!((dry.code, &dry.json()["written"], rows(&mut conn, "quality_metrics")), (Some(0), &json!(993), 0));

    let one_too_few = import(&db, "quality_metrics --max-rejects 6", &file);
    assert_reasons(&one_too_few.json(), &expected);
    assert_eq!((one_too_few.code, rows(&mut conn, "quality_metrics")), (Some(1), 0));

    let run = import(&db, &with_rejects, &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_reasons(&run.json(), &expected);
    assert_eq!((&run.json()["written"], &run.json()["rejected"]), (&json!(993), &json!(7)));
    assert_eq!(rows(&mut conn, "quality_metrics"), 993);

    // Each rejected row is there as it stood in the file, and mended, the same lines can be imported.
    let mut told = csv::Reader::from_path(&rejects).unwrap();
    let records: Vec<_> = told.records().map(Result::unwrap).collect();
    let lines: BTreeSet<u64> = records.iter().map(|record| record[0].parse().unwrap()).collect();
    assert_eq!(lines, expected.iter().map(|(line, _, _)| *line).collect());
    for record in &records {
        let line: usize = record[0].parse().unwrap();
        assert_eq!(&record[3], text.lines().nth(line - 1).unwrap());
    }
    assert_eq!(folder.names(), ["answers.csv", "rejects.csv"]);
}

#[test]
fn every_way_to_be_bad_has_its_own_reason() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let good = metric(&agent, &customer, "i-1", "50");
    let with = |at: usize, value: &str| {
        let mut fields: Vec<_> = good.split(',').collect();
        fields[at] = value;
        fields.join(",")
    };
    let ahead = (Utc::now() + TimeDelta::hours(1)).to_rfc3339();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (with(0, "nobody").into(), "agent_id", "no agent has the name or id 'nobody'"),
        (with(1, "").into(), "customer_id", "is null, and the column is not"),
        (with(2, &"i".repeat(256)).into(), "instance_id", "has 256 characters, and 255 fit"),
        (with(2, "a\0b").into(), "instance_id", "holds a zero byte"),
        (
            with(3, "tpu").into(),
            "resource_type",
            "'tpu' is not a label of resource_type: expected one of gpu, cpu, memory, disk, network",
        ),
        (with(5, "12,5").into(), "-", "has 9 fields, and 8 are expected"),
        (with(5, "twelve").into(), "metric_value", "'twelve' is not a number"),
        (with(5, "1e400").into(), "metric_value", "'1e400' is too great"),
        (with(5, "101").into(), "metric_value", "101 percent of a gpu is not from 0 to 100"),
        (with(7, "2025-10-20 12:00:00").into(), "timestamp", "has no offset: write Z after a time in UTC"),
        (with(7, "60000000000000").into(), "timestamp", "is in the future"),
        (with(7, &ahead).into(), "timestamp", "is in the future"),
        (b"a,b".to_vec(), "-", "has 2 fields, and 8 are expected"),
        ([b"\xff".as_slice(), with(0, "").as_bytes()].concat(), "agent_id", "is not UTF-8 from byte 1 on"),
        (format!("\"x\"y{good}").into(), "-", "there is text after a closing quote"),
        // Two stray quotes, and the row between them.
        (format!("\"{good}\n\"{good}").into(), "-", "(lines 17 to 18)"),
    ];
    let mut text = METRIC_HEADER.as_bytes().to_vec();
    for (line, _, _) in &cases {
        text.push(b'\n');
        text.extend_from_slice(line);
    }
    let run = import(&db, "resource_metrics", &folder.write("bad.csv", text));
    let found = reasons(&run.json());
    assert_eq!(found.len(), cases.len(), "{found:#?}");
    for (at, ((_, column, words), found)) in cases.iter().zip(&found).enumerate() {
        assert_eq!((found.0, found.1.as_str()), (at as u64 + 2, *column), "{found:?}");
        assert!(found.2.contains(words), "{found:?}, not {words}");
    }
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(1), 0));
}

#[test]
fn every_way_of_ndjson_to_be_bad_has_its_own_reason() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let good = json!({
        "agent": agent.name, "customer": customer.id, "request_id": "r", "model_name": "m", "model_version": "1",
        "overall_quality_score": 0.5, "timestamp": 1_760_961_600,
    });
    let with = |name: &str, value: Value| {
        let mut row = good.clone();
        row[name] = value;
        row.to_string()
    };
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("model_name");
    let good_text = good.to_string();
    let cases = [
        (without.to_string(), "model_name", "is missing"),
        (with("model_name", Value::Null), "model_name", "is null, and the column is not"),
        (with("model_name", json!(7)), "model_name", "is a number, and a text is expected"),
        (with("prompt_tokens", json!(1.5)), "prompt_tokens", "'1.5' is not a whole number"),
        (with("prompt_tokens", json!(2_147_483_648_u32)), "prompt_tokens", "is not from -2147483648 to 2147483647"),
        (with("prompt_tokens", json!(-1)), "prompt_tokens", "-1 is negative"),
        (with("latency_ms", json!(-0.5)), "latency_ms", "-0.5 is negative"),
        (
            with("hallucination_detected", json!(1)),
            "hallucination_detected",
            "is a number, and true or false is expected",
        ),
        (with("toxicity_score", json!([1])), "toxicity_score", "is an array or an object, and a number is expected"),
        (with("metadata", json!({"a": "\0"})), "metadata", "holds \\u0000"),
        (with("id", json!("x")), "id", "'x' is not a UUID"),
        (with("colour", json!("red")), "-", "no column takes the field 'colour'"),
        (with("customer_id", json!(customer.id)), "customer_id", "is filled by two fields"),
        (
            good_text.replace("\"request_id\"", "\"request_id\":\"q\",\"request_id\""),
            "-",
            "has two fields 'request_id'",
        ),
        (good_text.replace("0.5", "0.5.5"), "-", "is not a JSON object"),
        ("[]".to_owned(), "-", "expected a JSON object"),
    ];
    let text: Vec<_> = cases.iter().map(|(line, _, _)| line.as_str()).collect();
    let folder = Folder::new();
    let run = import(&db, "quality_metrics", &folder.write("bad.ndjson", text.join("\n")));
    let found = reasons(&run.json());
    assert_eq!(found.len(), cases.len(), "{found:#?}");
    for (at, ((_, column, words), found)) in cases.iter().zip(&found).enumerate() {
        assert_eq!((found.0, found.1.as_str()), (at as u64 + 1, *column), "{found:?}");
        assert!(found.2.contains(words), "{found:?}, not {words}");
    }
    assert_eq!((run.code, rows(&mut conn, "quality_metrics")), (Some(1), 0));
}

#[test]
fn values_that_verify_would_tell_of_are_bad_rows_unless_told_otherwise() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let sample = |kind: &str, unit: &str, value: &str| {
        format!("{},{},i,{kind},m,{value},{unit},2025-10-20T12:00:00Z", agent.id, customer.id)
    };
    let mut bad = 0;
    let mut text = METRIC_HEADER.to_owned();
    for (kind, unit) in [
        ("gpu", "percent"),
        ("cpu", "percent"),
        ("disk", "percent"),
        ("memory", "GB"),
        ("disk", "iops"),
        ("network", "Mbps"),
        ("gpu", "celsius"),
    ] {
        for value in ["-0.5", "0", "100", "100.5", "-1e300"] {
            text.push('\n');
            text.push_str(&sample(kind, unit, value));
        }
    }
    let folder = Folder::new();
    let file = folder.write("f.csv", &text);
    let wrong_by_import = |table: &str, file: &Path| -> BTreeSet<u64> {
        let run = import(&db, &format!("{table} --max-rejects 1000 --dry-run"), file);
        reasons(&run.json()).into_iter().map(|(line, _, _)| line).collect()
    };
    // One row at a time through verify: a rule tells how many rows break it, not which.
    let mut wrong_by_verify = |table: &str, header: &str, text: &str| -> BTreeSet<u64> {
        let mut wrong = BTreeSet::new();
        for (at, line) in text.lines().enumerate().skip(1) {
            let one = folder.write("one.csv", format!("{header}\n{line}\n"));
            let run = import(&db, &format!("{table} --no-range-checks"), &one);
            assert_eq!(run.code, Some(0), "{run:#?}");
            let report = verify::run(&mut conn, &verify::Options::default()).unwrap();
            let is_broken =
                |check: &verify::Check| check.id.starts_with("rules.") && matches!(check.outcome, Outcome::Failed);
            if report.checks.iter().any(is_broken) {
                wrong.insert(at as u64 + 1);
            }
            conn.batch_execute(&format!("DELETE FROM {table}")).unwrap();
        }
        wrong
    };
    let told = wrong_by_import("resource_metrics", &file);
    assert_eq!(told, wrong_by_verify("resource_metrics", METRIC_HEADER, &text));
    bad += told.len();

    let header = "agent,customer,request_id,model_name,model_version,timestamp,overall_quality_score,prompt_tokens,\
        completion_tokens,latency_ms,relevance_score,coherence_score,factuality_score,toxicity_score";
    let mut text = header.to_owned();
    for at in 6..14 {
        for value in if at == 7 || at == 8 { ["-1", "0", "1"] } else { ["-0.001", "1.001", "1"] } {
            let mut fields = [""; 14].map(str::to_owned);
            (fields[0], fields[1]) = (agent.id.to_string(), customer.id.to_string());
            (fields[2], fields[3], fields[4]) = (format!("r{at}{value}"), "m".to_owned(), "1".to_owned());
            (fields[5], fields[6]) = ("2025-10-20T12:00:00Z".to_owned(), "0.5".to_owned());
            value.clone_into(&mut fields[at]);
            text.push('\n');
            text.push_str(&fields.join(","));
        }
    }
    let file = folder.write("f.csv", &text);
    let told = wrong_by_import("quality_metrics", &file);
    assert_eq!(told, wrong_by_verify("quality_metrics", header, &text));
    bad += told.len();

    let header = "agent,metric_name,metric_type,metric_value,recorded_at";
    let future = (Utc::now() + TimeDelta::hours(1)).to_rfc3339();
    let now = Utc::now().to_rfc3339();
    let mut text = header.to_owned();
    for (kind, value, time) in
        [("counter", "-1", &now), ("counter", "0", &now), ("gauge", "-1", &now), ("gauge", "1", &future)]
    {
        write!(text, "\n{},m,{kind},{value},{time}", agent.id).unwrap();
    }
    let file = folder.write("f.csv", &text);
    let told = wrong_by_import("agent_metrics", &file);
    assert_eq!(told, wrong_by_verify("agent_metrics", header, &text));
    bad += told.len();
    assert!(bad > 20, "{bad}");
}

#[test]
fn rows_that_are_bad_in_the_same_way_are_one_line_of_the_table() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let good = metric(&agent, &customer, "i", "50");
    let mut text = METRIC_HEADER.to_owned();
    for row in 0..50 {
        let line =
            if row % 2 == 0 { good.replace(&customer.id.to_string(), "Acme") } else { good.replace(",50,", ",120,") };
        write!(text, "\n{}", if row == 10 { line.replace("gpu", "tpu") } else { line }).unwrap();
    }
    let file = folder.write("f.csv", text);
    let table = Dbctl::on(&db).run(&format!("import resource_metrics {}", file.display())).stdout;
    let lines: Vec<_> = table.lines().skip_while(|line| !line.starts_with("rejected rows")).collect();
    assert_eq!(lines[0], "rejected rows");
    let shown = lines[3..].iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let expected = [
        "2, 4, 6, ... customer_id 25 rows: no customer has the name or id 'Acme'",
        "3, 5, 7, ... metric_value 25 rows: 120 percent of a gpu is not from 0 to 100",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected, "{table}");
}

#[test]
fn the_verdict_says_how_many_rows_are_bad_and_how_many_may_be() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let [good, bad] = ["50", "120"].map(|value| metric(&agent, &customer, "i", value));
    let verdict = |lines: &[&String], arguments: &str| {
        let lines: Vec<_> = lines.iter().map(|line| line.as_str()).collect();
        let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
        let run = Dbctl::on(&db).run(&format!("import resource_metrics {} {arguments}", file.display()));
        run.stdout.lines().next().unwrap().to_owned()
    };
    assert_eq!(verdict(&[&good, &bad, &good, &bad], ""), "nothing written: 2 of 4 rows are bad (--max-rejects 0)");
    assert_eq!(verdict(&[&bad], ""), "nothing written: 1 of 1 row is bad (--max-rejects 0)");
    assert_eq!(
        verdict(&[&good, &bad, &bad], "--on-conflict skip --max-rejects 1"),
        "0 of 3 rows written, then stopped: at least 2 are bad (--max-rejects 1)"
    );
    assert_eq!(verdict(&[&good, &bad], "--max-rejects 1 --dry-run"), "1 of 2 rows would be written");
    assert_eq!(verdict(&[&good], ""), "1 of 1 row written");
}

#[test]
fn a_report_holds_a_bounded_number_of_reasons_and_counts_them_all() {
    let (_db, mut conn, agent, _) = ground(AgentType::Resource);
    let mut text = "agent,metric_name,metric_value\n".to_owned();
    for _ in 0..REJECTS_IN_REPORT + 500 {
        writeln!(text, "{},m,none", agent.id).unwrap();
    }
    let options = import::Options::default();
    let report =
        import::all_or_nothing(&mut conn, Table::AgentMetrics, text.as_bytes(), &options, OnConflict::Refuse, &mut ())
            .unwrap();
    assert_eq!(report.rejects.len(), REJECTS_IN_REPORT);
    assert_eq!((report.rejected, report.accepted), (REJECTS_IN_REPORT as u64 + 500, false));
    assert!(report.rejects.iter().all(|reject| reject.raw.is_empty()));
}
