//! Files that fit no table, compressed files, broken files.

use super::*;

#[test]
fn a_file_that_does_not_fit_is_refused_before_its_first_row() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let line = metric(&agent, &customer, "i-1", "50");
    let file = |header: &str| folder.write("file.csv", format!("{header}\n{line}\n"));
    let cases = [
        ("resource_metrics", METRIC_HEADER.replace("unit", "uniit"), "no field 'unit', which the column unit needs"),
        (
            "resource_metrics",
            METRIC_HEADER.replace("unit", "uniit").replace("agent", "agnt"),
            "the file has no field for 2 columns: agent_id, unit",
        ),
        ("resource_metrics", METRIC_HEADER.replace("agent", "unit"), "two fields 'unit'"),
        ("resource_metrics", format!("{METRIC_HEADER},colour"), "no column takes the field 'colour'"),
        (
            "resource_metrics",
            format!("{METRIC_HEADER},agent_id"),
            "two fields fill the column agent_id: 'agent' and 'agent_id'",
        ),
        (
            "resource_metrics --map unit=einheit",
            METRIC_HEADER.to_owned(),
            "no field 'einheit', which the column unit needs",
        ),
        ("resource_metrics --map units=x", METRIC_HEADER.to_owned(), "resource_metrics has no column 'units'"),
        ("resource_metrics --map metric_vlaue=x", METRIC_HEADER.to_owned(), "hint: did you mean metric_value? it has"),
        (
            "resource_metrics",
            METRIC_HEADER.replace("unit", "uniit"),
            "hint: pass `--map unit=uniit`, or --set COLUMN=VALUE for the same in every row; no column takes 'uniit'",
        ),
        ("resource_metrics", format!("{METRIC_HEADER},metdata"), "hint: did you mean metadata? the columns are"),
        ("resource_metrics --map unit=a --map unit=b", METRIC_HEADER.to_owned(), "unit is mapped twice"),
        ("resource_metrics --set unit=a --map unit=b", METRIC_HEADER.to_owned(), "unit is given twice"),
        (
            "resource_metrics --set metric_value=many",
            METRIC_HEADER.to_owned(),
            "the value for metric_value: 'many' is not a number",
        ),
        ("resource_metrics --set resource_type=tpu", METRIC_HEADER.to_owned(), "expected one of gpu, cpu"),
        ("resource_metrics --set customer=Nobody", METRIC_HEADER.to_owned(), "no customer has the name or id 'Nobody'"),
        (
            "resource_metrics --input-format ndjson --no-header --columns a",
            METRIC_HEADER.to_owned(),
            "NDJSON names its fields",
        ),
        (
            "resource_metrics",
            "\"agent".to_owned(),
            "/file.csv: a quote that opens on line 1 is not closed before the end of the file; nothing was committed",
        ),
        ("resource_metrics", "\"agent\"x".to_owned(), "the header cannot be read"),
    ];
    for (arguments, header, words) in cases {
        let run = import(&db, arguments, &file(&header));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.failure().contains(words), "{words}: {}", run.failure());
    }
    for (arguments, words) in [
        ("import customers x.csv", "invalid value 'customers'"),
        ("import events x.csv --map severity", "write it as COLUMN="),
        ("import events x.csv --time-format noon", "is not a format of times"),
        ("import events x.csv --time-format %d.%m.%Y@%H:%M@%Z", "write %z for an offset"),
        ("import events x.csv --time-format %d.%m.%Y@%H:%M:%S.%f", "write %.f for a fraction"),
        ("import events x.csv --no-header", "--columns"),
        ("import events x.csv --connections 2", "--on-conflict skip"),
        ("import events /nowhere/x.csv", "cannot open /nowhere/x.csv"),
        ("import events /", "it is a directory"),
        ("import events x.csv --format csv", "invalid value 'csv'"),
        ("export events --since 400000w", "--since reaches back too far"),
        ("export events --format json", "invalid value 'json'"),
        ("export agent_metrics --customer x", "do not say which customer they belong to"),
        ("export events --customer Nobody", "no customer has the name or id 'Nobody'"),
    ] {
        let run = Dbctl::on(&db).run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
}

#[test]
fn fields_are_mapped_set_and_read_in_their_own_formats() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.write(
        "readings.txt",
        "when,host,reading,shift\n20.10.2025 12:00:00.5,i-1,50,early\n20.10.2025 12:01:00.25,NA,51,late\n",
    );
    let name = format!("customer={}", customer.name);
    let agent_name = format!("agent={}", agent.name);
    let run = Dbctl::on(&db)
        .args(&["import", "resource_metrics", file.to_str().unwrap(), "--format", "json"])
        .args(&["--map", "timestamp= when", "--map", "instance_id=host", "--map", "metric_value=reading"])
        .args(&["--set", &name, "--set", &agent_name, "--set", "resource_type=gpu", "--set", "unit=percent"])
        .args(&["--set", "metric_name=utilization", "--set", "metadata={\"source\": \"a b\"}"])
        .args(&["--time-format", "%d.%m.%Y %H:%M:%S%.f", "--null", "NA", "--ignore-unknown", "--max-rejects", "1"])
        .run("");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(reasons(&run.json()), [(3, "instance_id".to_owned(), "is null, and the column is not".to_owned())]);
    let stored = number(
        &mut conn,
        &format!(
            "SELECT count(*) FROM resource_metrics WHERE customer_id = '{}' AND agent_id = '{}' AND instance_id = 'i-1' \
             AND metric_value = 50 AND timestamp = '2025-10-20 12:00:00.5Z' AND metadata = '{{\"source\": \"a b\"}}' \
             AND created_at > now() - interval '1 minute' AND substr(id::text, 15, 1) = '7'",
            customer.id, agent.id
        ),
    );
    assert_eq!(stored, 1);
}

#[test]
fn a_file_may_come_compressed_from_stdin_and_without_a_header() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let text = format!("{}\n{}\n", metric(&agent, &customer, "i-1", "1"), metric(&agent, &customer, "i-2", "2"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let compressed = folder.write("metrics.bin", encoder.finish().unwrap());
    let arguments = format!("import resource_metrics - --no-header --columns {METRIC_HEADER}");
    let run = Dbctl::on(&db).stdin(File::open(&compressed).unwrap()).run(&arguments);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.stdout.starts_with("2 of 2 rows written"), "{run:#?}");

    let line = json!({
        "agent": agent.id, "customer": customer.name, "instance_id": "i-3", "resource_type": "gpu",
        "metric_name": "utilization", "metric_value": "NaN", "unit": "percent", "timestamp": 1_760_961_600_123_u64,
    });
    let file = folder.write("no-name-tells-the-format", format!("{line}\n\n"));
    let run = Dbctl::on(&db).stdin(File::open(file).unwrap()).run("import resource_metrics -");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(rows(&mut conn, "resource_metrics"), 3);

    let damaged = fs::read(&compressed).unwrap();
    let damaged = folder.write("damaged.csv.gz", &damaged[..damaged.len() - 6]);
    let run = import(&db, &format!("resource_metrics --no-header --columns {METRIC_HEADER}"), &damaged);
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(2), 3), "{run:#?}");
    assert!(run.failure().contains("/damaged.csv.gz: the gzip data ends early; nothing was committed\n"), "{run:#?}");

    for (name, text) in [("empty.csv", ""), ("blank.csv", "\n\n"), ("no-name-tells", "")] {
        let run = import(&db, "resource_metrics", &folder.write(name, text));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains("the file is empty: it has no header"), "{run:#?}");
    }
    let run = import(&db, "resource_metrics", &folder.write("empty.ndjson", ""));
    assert_eq!((run.code, &run.json()["read"]), (Some(0), &json!(0)));
}

#[test]
fn a_quote_that_is_not_closed_is_no_bad_row_that_may_be_left_out() {
    // Rows of partitions are sent when all are read.
    let (db, mut conn, agent, customer) = ground_of(TestDb::plain(), AgentType::Resource);
    let folder = Folder::new();
    let file = folder.path("f.csv");
    write_metrics(&file, &agent, &customer, 60_000);
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replacen(",i-50000,", ",\"i-50000,", 1)).unwrap();
    let words =
        format!("{}: a quote that opens on line 50002 is not closed before the end of the file", file.display());
    let run = import(&db, "resource_metrics --max-rejects 10", &file);
    assert_eq!((run.code, run.stdout.as_str(), rows(&mut conn, "resource_metrics")), (Some(2), "", 0), "{run:#?}");
    assert!(run.failure().contains(&format!("{words}; nothing was committed\n")), "{run:#?}");

    let run = import(&db, "resource_metrics --max-rejects 10 --on-conflict skip", &file);
    let written = rows(&mut conn, "resource_metrics");
    assert!(run.code == Some(2) && (1..=50_000).contains(&written), "{written}: {run:#?}");
    assert!(run.failure().contains(&format!("{words}; {written} rows were committed\n")), "{run:#?}");
    assert!(run.stderr.contains("--on-conflict skip"), "{run:#?}");
    fs::write(&file, good).unwrap();
    assert_eq!(import(&db, "resource_metrics --on-conflict skip", &file).json()["skipped"], json!(written));
}

#[test]
fn json_that_is_not_one_object_a_line_is_refused_with_what_makes_it_so() {
    let (db, mut conn, _, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let rows_of = json!([{ "customer": customer.id, "event_type": "x" }]);
    let array = rows_of.to_string();
    let pretty = serde_json::to_string_pretty(&rows_of[0]).unwrap();
    for name in ["f.json", "f.ndjson"] {
        for (text, words) in [(&array, "`jq -c '.[]'`"), (&pretty, "`jq -c .`")] {
            let run = import(&db, "events", &folder.write(name, text));
            assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
            assert!(
                run.failure().contains("hint: write one object a line") && run.failure().contains(words),
                "{run:#?}"
            );
        }
    }
    assert_eq!(import(&db, "events", &folder.write("f.json", rows_of[0].to_string())).code, Some(0));
    assert_eq!(rows(&mut conn, "events"), 1);
}

#[test]
fn progress_is_a_line_a_tenth_where_no_terminal_is_and_none_when_quiet() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.path("f.csv");
    write_metrics(&file, &agent, &customer, 30_000);
    let run = import(&db, "resource_metrics", &file);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert!((2..=10).contains(&lines.len()), "{run:#?}");
    assert!(lines.last().unwrap().starts_with("100 %: 30000 rows, "), "{run:#?}");
    assert!(lines.iter().all(|line| line.ends_with(" rows/s")), "{run:#?}");
    assert_eq!(import(&db, "resource_metrics --quiet", &file).stderr, "");
    let run = Dbctl::on(&db).stdin(File::open(&file).unwrap()).run("import resource_metrics -");
    assert_eq!(run.stderr, "", "a pipe has no length to be far in");
    write_metrics(&file, &agent, &customer, 4);
    assert_eq!(import(&db, "resource_metrics --on-conflict skip", &file).stderr, "", "four rows need no progress");
}

/// Reads whatever it is to the end, and counts rows and rejects.
fn read_all(bytes: &[u8], format: Format, names: &Names) -> (usize, usize) {
    let mapping = Mapping { ignore_unknown: true, ..Mapping::default() };
    let options = read::Options { format: Some(format), mapping, derive_ids: true, ..read::Options::default() };
    let Ok(mut reader) = Reader::new(bytes, Table::Events, &options, names.clone()) else { return (0, 0) };
    let (mut rows, mut rejects) = (0, 0);
    while let Ok(Some(row)) = reader.next_row() {
        match row {
            Ok(_) => rows += 1,
            Err(reject) => {
                assert!(reject.line > 0 && !reject.reason.is_empty());
                rejects += 1;
            }
        }
    }
    (rows, rejects)
}

#[test]
fn spoiled_files_are_read_to_their_end_and_never_to_a_panic() {
    let id = Uuid::from_u128(1);
    let names = Names::new([(id, "c".to_owned())], [(id, "a".to_owned())]);
    let csv = format!(
        "agent,customer,event_type,severity,data,created_at\n{}",
        "a,c,\"x\"\"y\",info,\"{\"\"a\"\": [1, 2.5e3]}\",2025-10-20T12:00:00Z\n".repeat(20)
    );
    let line = json!({"agent": "a", "customer": "c", "event_type": "x\u{e9}", "data": {"a": [1, 2.5e3, "\u{1f680}"]}, "created_at": 1_760_961_600});
    let ndjson = format!("{line}\n").repeat(20);
    assert_eq!(read_all(csv.as_bytes(), Format::Csv, &names), (20, 0));
    assert_eq!(read_all(ndjson.as_bytes(), Format::Ndjson, &names), (20, 0));
    let mut random = fastrand::Rng::with_seed(5);
    let (mut rows, mut rejects) = (0, 0);
    for _ in 0..rounds(3000, 300_000) {
        for (text, format) in [(&csv, Format::Csv), (&ndjson, Format::Ndjson)] {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(0..bytes.len().max(1));
                if bytes.is_empty() {
                    break;
                }
                match random.u8(0..4) {
                    0 => bytes[at] = random.u8(..),
                    1 => bytes[at] = b"\",\n\r\\{}[]-+.eE0\0"[random.usize(0..16)],
                    2 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at + 1),
                }
            }
            let (taken, refused) = read_all(&bytes, format, &names);
            rows += taken;
            rejects += refused;
        }
    }
    assert!(rows > 1000 && rejects > 1000, "{rows} {rejects}");
}

#[test]
fn a_database_that_is_behind_is_reported_before_the_file_is_read() {
    let db = TestDb::empty();
    Migrator::default().set(&EMBEDDED[..3]).run(&mut db.conn(), &Goal::Head).unwrap();
    let folder = Folder::new();
    let file = folder.write("f.csv", METRIC_HEADER);
    let import = format!("import resource_metrics {}", file.display());
    for command in [&import, &format!("{import} --on-conflict skip"), "export events", "export events --customer x"] {
        let run = Dbctl::on(&db).run(command);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains("the database is behind this binary"), "{run:#?}");
        assert!(run.stderr.contains("hint: run `optiinfra-dbctl migrate`"), "{run:#?}");
    }
}

/// Prints a table of rows, as it is printed for a person.
fn told(db: &TestDb, arguments: &str, file: &Path) -> (Option<i32>, String) {
    let (table, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let run = Dbctl::on(db).args(&["import", table, file.to_str().unwrap()]).run(rest);
    (run.code, run.stdout + &run.stderr)
}

#[test]
fn a_blank_behind_a_delimiter_is_a_bad_row_or_trimmed_and_never_stored() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    // As nvidia-smi writes it.
    let spaced = metric(&agent, &customer, "GPU-aaaa", "50").replace(',', ", ");
    let header = METRIC_HEADER.replace(',', ", ");
    let file = folder.write("smi.csv", format!("{header}\n{spaced}\n"));
    let report = import(&db, "resource_metrics", &file).json();
    assert_eq!(reasons(&report).len(), 1, "{report:#?}");
    assert!(reasons(&report)[0].1 != "-", "{report:#?}");
    let of_texts = spaced.replace(&format!(", {}", customer.id), &format!(",{}", customer.id)).replace(", gpu", ",gpu");
    let report = import(&db, "resource_metrics", &folder.write("texts.csv", format!("{header}\n{of_texts}\n"))).json();
    let words = "' GPU-aaaa' begins or ends with a blank and is not in quotes";
    assert_eq!(reasons(&report), [(2, "instance_id".to_owned(), words.to_owned())]);
    assert_eq!(rows(&mut conn, "resource_metrics"), 0);

    assert_eq!(import(&db, "resource_metrics --trim", &file).code, Some(0));
    assert_eq!(number(&mut conn, "SELECT count(*) FROM resource_metrics WHERE instance_id = 'GPU-aaaa'"), 1);
    // What is in quotes is meant.
    let quoted =
        folder.write("quoted.csv", format!("{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "\" b \"", "5")));
    assert_eq!(import(&db, "resource_metrics --trim", &quoted).code, Some(0));
    assert_eq!(number(&mut conn, "SELECT count(*) FROM resource_metrics WHERE instance_id = ' b '"), 1);
}

#[test]
fn a_whole_number_of_pandas_is_a_whole_number() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let folder = Folder::new();
    let header = "agent,customer,request_id,model_name,model_version,overall_quality_score,timestamp,prompt_tokens";
    let line =
        |id: &str, tokens: &str| format!("{},{},{id},m,1,0.5,2025-10-20T12:00:00Z,{tokens}", agent.id, customer.id);
    let file =
        folder.write("f.csv", format!("{header}\n{}\n{}\n{}\n", line("a", "12.0"), line("b", "12.5"), line("c", "")));
    let report = import(&db, "quality_metrics --max-rejects 1", &file).json();
    assert_eq!(reasons(&report), [(3, "prompt_tokens".to_owned(), "'12.5' is not a whole number".to_owned())]);
    assert_eq!(number(&mut conn, "SELECT sum(prompt_tokens) FROM quality_metrics"), 12);
}

#[test]
fn a_unit_by_another_name_does_not_pass_the_check_of_ranges() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let line = metric(&agent, &customer, "i", "180");
    for unit in ["%", "Percent"] {
        let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", line.replace("percent", unit)));
        let words = format!("'{unit}' is another spelling of percent: write percent");
        let report = import(&db, "resource_metrics", &file).json();
        assert_eq!(reasons(&report), [(2, "unit".to_owned(), words.clone())]);
        let (code, said) = told(&db, &format!("resource_metrics --set unit={unit}"), &file);
        assert!(code == Some(2) && said.contains(&format!("the value for unit: {words}")), "{said}");
        assert_eq!(rows(&mut conn, "resource_metrics"), 0);
    }
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", line.replace("percent", "%")));
    assert_eq!(import(&db, "resource_metrics --no-range-checks", &file).code, Some(0));
}

#[test]
fn another_delimiter_is_named_and_read() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let text = format!("{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "i", "5"));
    for (delimiter, words, flag) in
        [(";", "semicolons", "--delimiter ';'"), ("\t", "tabs", "--delimiter tab"), ("|", "'|'", "--delimiter '|'")]
    {
        let file = folder.write("f.csv", text.replace(',', delimiter));
        let (code, said) = told(&db, "resource_metrics", &file);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("are separated by {words}, not by commas")), "{said}");
        assert!(said.contains(&format!("hint: pass {flag}")), "{said}");
        let run =
            Dbctl::on(&db).args(&["import", "resource_metrics", file.to_str().unwrap(), "--delimiter", delimiter]);
        assert_eq!(run.run("").code, Some(0));
    }
    assert_eq!(rows(&mut conn, "resource_metrics"), 3);
}

#[test]
fn a_file_of_another_compression_names_the_command_that_unpacks_it() {
    let (db, ..) = ground(AgentType::Resource);
    let folder = Folder::new();
    for (beginning, name, command) in [
        (&b"BZh91AY&SY\xab\xcd"[..], "bzip2", "bzip2 -dc"),
        (b"\xfd7zXZ\0\0\x04", "xz", "xz -dc"),
        (b"PK\x03\x04\x14\0\xff\xfe", "zip", "unzip -p"),
    ] {
        for arguments in ["events", "events --input-format csv", "events --input-format ndjson"] {
            let (code, said) = told(&db, arguments, &folder.write("f.csv", beginning));
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains(&format!("f.csv: the file is compressed with {name}")), "{said}");
            assert!(said.contains(&format!("`{command} FILE | optiinfra-dbctl import TABLE -`")), "{said}");
        }
    }
}

#[test]
fn gzip_that_is_padded_with_zeros_is_read() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    write!(encoder, "{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "i", "5")).unwrap();
    let padded = [encoder.finish().unwrap(), vec![0; 1024]].concat();
    assert_eq!(import(&db, "resource_metrics", &folder.write("f.csv.gz", padded)).code, Some(0));
    assert_eq!(rows(&mut conn, "resource_metrics"), 1);
}

#[test]
fn missing_columns_are_one_line_to_paste_and_near_names_are_guessed() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let (code, said) = told(&db, "resource_metrics", &folder.write("f.csv", "agent,customer,host,metric_nmae\n"));
    assert_eq!(code, Some(2), "{said}");
    let lacks =
        "the file has no field for 6 columns: instance_id, resource_type, metric_name, metric_value, unit, timestamp";
    assert!(said.contains(lacks), "{said}");
    let paste = "`--map instance_id=FIELD --map resource_type=FIELD --map metric_name=metric_nmae --map metric_value=FIELD \
                 --map unit=FIELD --map timestamp=FIELD`";
    assert!(said.contains(paste), "{said}");

    let line = metric(&agent, &customer, "i", "5");
    let close = format!("{}x", customer.name);
    let misspelt = line.replace(&customer.id.to_string(), &close).replace(",gpu,", ",GPU,");
    let file = folder.write("g.csv", format!("{METRIC_HEADER}\n{misspelt}\n{}\n", line.replace(",gpu,", ",GPU,")));
    let found = reasons(&import(&db, "resource_metrics", &file).json());
    assert!(found[0].2.contains(&format!("did you mean '{}'?", customer.name)), "{found:#?}");
    assert!(found[1].2.contains("did you mean gpu?"), "{found:#?}");
}
