//! Files as other tools write them: each is imported by one command, and what is wrong with one is told with its place.

use super::*;

fn of_tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files").join(name)
}

/// Imports a file of another tool for an agent and a customer.
fn import_of(db: &TestDb, agent: &Agent, customer: &Customer, flags: &str, file: &Path) -> Run {
    import(db, &format!("resource_metrics --set agent={} --set customer={} {flags}", agent.id, customer.id), file)
}

/// The stored samples as text, in their order.
fn stored(conn: &mut PgConnection) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let lines: Vec<Line> = diesel::sql_query(
        "SELECT concat_ws(' ', instance_id, resource_type, metric_name, metric_value, unit, \
         to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI:SS.MS')) AS line FROM resource_metrics \
         ORDER BY instance_id, metric_name, timestamp, metric_value",
    )
    .load(conn)
    .unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

const AT: &str = "--at 2025-10-20T12:00:00Z";

#[test]
fn one_command_imports_what_other_tools_write() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "dcgm.prom",
            "--input-format prometheus-text --at 2025-10-20T12:00:00Z",
            &[
                "gpu-node-1 gpu engine_active 0.968742 ratio 12:00:00.000",
                "gpu-node-1 gpu memory_used 4 MiB 12:00:00.000",
                "gpu-node-1 gpu memory_used 70123 MiB 12:00:00.000",
                "gpu-node-1 gpu power 56.894 watts 12:00:00.000",
                "gpu-node-1 gpu power 312.457 watts 12:00:00.000",
                "gpu-node-1 gpu sm_clock 210 MHz 12:00:00.000",
                "gpu-node-1 gpu sm_clock 1410 MHz 12:00:00.000",
                "gpu-node-1 gpu temperature 31 celsius 12:00:00.000",
                "gpu-node-1 gpu temperature 62 celsius 12:00:00.000",
                "gpu-node-1 gpu utilization 0 percent 12:00:00.000",
                "gpu-node-1 gpu utilization 97 percent 12:00:00.000",
            ],
        ),
        (
            "vllm.prom",
            "--input-format prometheus-text --at 2025-10-20T12:00:00Z --set instance_id=llm-1 --ignore-unknown",
            &[
                "llm-1 gpu kv_cache_usage 0.4375 ratio 12:00:00.000",
                "llm-1 gpu prompt_tokens 98765432 tokens 12:00:00.000",
                "llm-1 gpu requests_running 7 requests 12:00:00.000",
                "llm-1 gpu time_to_first_token_bucket 0 count 12:00:00.000",
                "llm-1 gpu time_to_first_token_bucket 130 count 12:00:00.000",
                "llm-1 gpu time_to_first_token_bucket 140 count 12:00:00.000",
                "llm-1 gpu time_to_first_token_count 140 count 12:00:00.000",
                "llm-1 gpu time_to_first_token_sum 11.2843 seconds 12:00:00.000",
            ],
        ),
        (
            "query-range.json",
            "--input-format prometheus-json",
            &[
                "10.0.0.12:9100 memory memory_available 67108864000 bytes 12:00:00.000",
                "10.0.0.12:9100 memory memory_available 67108864512 bytes 12:00:15.000",
                "gpu-node-1 gpu utilization 45 percent 12:00:00.000",
                "gpu-node-1 gpu utilization 51 percent 12:00:15.000",
                "gpu-node-1 gpu utilization 97 percent 12:00:30.000",
            ],
        ),
        (
            "query.json",
            "--input-format prometheus-json",
            &[
                "10.0.0.12:9100 cpu load1 0.72 processes 12:00:00.781",
                "10.0.0.13:8000 gpu requests_waiting 3 requests 12:00:00.781",
            ],
        ),
        (
            "nvidia-smi.csv",
            "--input-format nvidia-smi --time-zone Europe/Berlin --map instance_id=uuid",
            &[
                "GPU-3eb87630-93d5-b2b6-b8ff-9b359caf4ee2 gpu fan_speed 30 percent 12:00:00.127",
                "GPU-3eb87630-93d5-b2b6-b8ff-9b359caf4ee2 gpu memory_used 4 MiB 12:00:00.127",
                "GPU-3eb87630-93d5-b2b6-b8ff-9b359caf4ee2 gpu temperature 31 celsius 12:00:00.127",
                "GPU-3eb87630-93d5-b2b6-b8ff-9b359caf4ee2 gpu utilization 0 percent 12:00:00.127",
                "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52 gpu memory_used 70123 MiB 12:00:00.123",
                "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52 gpu memory_used 70123 MiB 12:00:05.131",
                "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52 gpu power 312.46 watts 12:00:00.123",
                "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52 gpu power 308.12 watts 12:00:05.131",
                "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52 gpu temperature 62 celsius 12:00:00.123",
                "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52 gpu temperature 63 celsius 12:00:05.131",
                "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52 gpu utilization 97 percent 12:00:00.123",
                "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52 gpu utilization 95 percent 12:00:05.131",
            ],
        ),
        (
            "nvidia-smi-nounits.csv",
            "--input-format nvidia-smi --time-zone +02:00 --set instance_id=gpu-node-1",
            &[
                "gpu-node-1 gpu power 312.46 watts 12:00:00.123",
                "gpu-node-1 gpu utilization 97 percent 12:00:00.123",
                "gpu-node-1 gpu utilization 0 percent 12:00:00.127",
            ],
        ),
        (
            "nvidia-smi.xml",
            "--input-format nvidia-smi --time-zone UTC --map instance_id=uuid",
            &[
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu decoder_utilization 0 percent 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu encoder_sessions 0 count 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu encoder_utilization 0 percent 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu graphics_clock 1980 MHz 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu memory_clock 2619 MHz 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu memory_copy_utilization 41 percent 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu memory_free 10885 MiB 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu memory_reserved 551 MiB 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu memory_temperature 71 celsius 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu memory_total 81559 MiB 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu memory_used 70123 MiB 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu power 312.45 watts 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu power_limit 700 watts 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu power_limit_default 700 watts 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu power_limit_maximum 700 watts 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu power_limit_minimum 200 watts 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu sm_clock 1980 MHz 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu temperature 62 celsius 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu utilization 97 percent 12:00:00.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu utilization 51 percent 12:00:05.000",
                "GPU-5fd4f087-86f3-7a43-b711-4771313afc50 gpu video_clock 1545 MHz 12:00:00.000",
                "GPU-aa61f0de-0a1f-9c37-9f0c-5a0e9d7e1c11 gpu memory_used 4 MiB 12:00:00.000",
                "GPU-aa61f0de-0a1f-9c37-9f0c-5a0e9d7e1c11 gpu temperature 31 celsius 12:00:00.000",
                "GPU-aa61f0de-0a1f-9c37-9f0c-5a0e9d7e1c11 gpu utilization 0 percent 12:00:00.000",
            ],
        ),
        (
            "get-metric-data.json",
            "--input-format cloudwatch",
            &[
                "i-0abc123def456 network network_received 1048576 bytes 12:00:00.000",
                "i-0abc123def456 cpu utilization 31.5 percent 12:00:00.000",
                "i-0abc123def456 cpu utilization 34.83333333333333 percent 12:05:00.000",
            ],
        ),
        (
            "get-metric-statistics.json",
            "--input-format cloudwatch --set instance_id=i-0abc123def456",
            &[
                "i-0abc123def456 cpu utilization 31.5 percent 12:00:00.000",
                "i-0abc123def456 cpu utilization 34.83333333333333 percent 12:05:00.000",
                "i-0abc123def456 cpu utilization_maximum 88.1 percent 12:00:00.000",
                "i-0abc123def456 cpu utilization_maximum 91 percent 12:05:00.000",
                "i-0abc123def456 cpu utilization_p99 87.25 percent 12:00:00.000",
                "i-0abc123def456 cpu utilization_p99 90.5 percent 12:05:00.000",
            ],
        ),
    ];
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    for (name, flags, expected) in cases {
        conn.batch_execute("DELETE FROM resource_metrics").unwrap();
        let run = import_of(&db, &agent, &customer, flags, &of_tool(name));
        assert_eq!(run.code, Some(0), "{name}: {run:#?}");
        assert_eq!(stored(&mut conn), *expected, "{name}");
        let format = flags.split(' ').nth(1).unwrap();
        assert_eq!(run.json()["input_format"], format);

        // The same samples are the same rows.
        let again = import_of(&db, &agent, &customer, &format!("{flags} --on-conflict skip"), &of_tool(name)).json();
        assert_eq!((&again["written"], &again["skipped"]), (&json!(0), &json!(expected.len())), "{name}: {again:#}");
        let again = import_of(&db, &agent, &customer, flags, &of_tool(name));
        assert_eq!(again.code, Some(1), "{name}: {again:#?}");

        // Without the flag, the format is named.
        let others = flags.split_once(format).unwrap().1;
        let run = import_of(&db, &agent, &customer, others, &of_tool(name));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{name}: {run:#?}");
        assert!(run.stderr.contains(&format!("pass --input-format {format}")), "{name}: {run:#?}");
    }
    let labels = "SELECT count(*) FROM resource_metrics WHERE metadata @> \
                  '{\"__name__\": \"CPUUtilization\", \"statistic\": \"p99\", \"label\": \"CPUUtilization\"}'";
    assert_eq!(number(&mut conn, labels), 2);
}

#[test]
fn samples_that_have_the_time_of_their_file_are_counted_and_said_so() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.path("gpu.prom");
    fs::copy(of_tool("dcgm.prom"), &file).unwrap();
    let then: DateTime<Utc> = "2025-10-20T12:00:00Z".parse().unwrap();
    File::options().append(true).open(&file).unwrap().set_modified(then.into()).unwrap();
    let flags = "--input-format prometheus-text";
    let run = import_of(&db, &agent, &customer, flags, &file);
    assert_eq!((run.code, &run.json()["undated"]), (Some(0), &run.json()["read"]), "{run:#?}");
    let said = "have no time, and so that of the file, 2025-10-20T12:00:00Z; --at TIME gives another\n";
    assert!(run.stderr.contains(said), "{run:#?}");
    assert!(stored(&mut conn).iter().all(|line| line.ends_with(" 12:00:00.000")));
    let run = import_of(&db, &agent, &customer, &format!("{flags} --at 2025-10-20T13:00:00Z"), &file);
    assert!(run.code == Some(0) && !run.stderr.contains("no time"), "{run:#?}");
}

#[test]
fn an_agent_takes_samples_too_and_other_tables_do_not() {
    let (db, mut conn, agent, _) = ground(AgentType::Performance);
    let flags = format!("--input-format prometheus-text {AT}");
    let run = import(&db, &format!("agent_metrics {flags} --set agent={}", agent.id), &of_tool("vllm.prom"));
    assert_eq!(run.code, Some(0), "{run:#?}");
    let kinds = "SELECT count(*) FROM agent_metrics WHERE (metric_name, metric_type::text) IN \
                 (('python_gc_objects_collected_total', 'counter'), ('requests_running', 'gauge'), \
                 ('time_to_first_token_bucket', 'histogram')) AND tags ? '__name__'";
    assert_eq!((number(&mut conn, kinds), rows(&mut conn, "agent_metrics")), (6, 10));
    for table in ["quality_metrics", "events"] {
        let run = import(&db, &format!("{table} {flags}"), &of_tool("vllm.prom"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains(&format!("{table} has no column for a metric")), "{run:#?}");
    }
}

#[test]
fn a_metric_that_is_not_known_is_a_bad_row_until_it_is_named_or_left_out() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let flags = format!("--input-format prometheus-text {AT} --set instance_id=llm-1");
    let run = import_of(&db, &agent, &customer, &flags, &of_tool("vllm.prom"));
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(1), 0), "{run:#?}");
    let reason = "the metric 'python_gc_objects_collected_total' is not known".to_owned();
    assert_eq!(reasons(&run.json()), [3, 4].map(|line| (line, "-".to_owned(), reason.clone())));
    assert_eq!(run.json()["unknown_metrics"], json!({"python_gc_objects_collected_total": 2}));
    assert!(run.stderr.contains("pass --metric METRIC=RESOURCE_TYPE/METRIC_NAME/UNIT for each"), "{run:#?}");

    let run = import_of(&db, &agent, &customer, &format!("{flags} --ignore-unknown"), &of_tool("vllm.prom"));
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(0), 8), "{run:#?}");
    assert!(run.stderr.contains("left out: 2 samples of metrics that are not known: python_gc_objects"), "{run:#?}");

    conn.batch_execute("DELETE FROM resource_metrics").unwrap();
    let named = "--metric python_gc_objects_collected_total=memory/collected/objects --metric vllm:num_requests_running=gpu/busy/requests";
    let run = import_of(&db, &agent, &customer, &format!("{flags} {named}"), &of_tool("vllm.prom"));
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(0), 10), "{run:#?}");
    let named = "SELECT count(*) FROM resource_metrics WHERE (resource_type, metric_name, unit) IN \
                 (('memory', 'collected', 'objects'), ('gpu', 'busy', 'requests'))";
    assert_eq!(number(&mut conn, named), 3);

    // What is the same in every row needs no name.
    let folder = Folder::new();
    let sum =
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1760961600,"5"]}]}}"#;
    let file = folder.write("sum.json", sum);
    let flags = "--input-format prometheus-json --set instance_id=all";
    let run = import_of(&db, &agent, &customer, flags, &file);
    let reason = "is of no metric, as the result of an expression".to_owned();
    assert_eq!(reasons(&run.json()), [(1, "-".to_owned(), reason)]);
    assert_eq!(run.json()["rejects"][0]["path"], "data.result[0].value");
    let said = "--set resource_type=gpu --set metric_name=total --set unit=percent";
    let run = import_of(&db, &agent, &customer, &format!("{flags} {said}"), &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
}

#[test]
fn what_is_wrong_with_a_sample_is_told_with_its_place_and_the_others_are_kept() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let name = "x".repeat(10_240);
    let series =
        |labels: &str, values: &str| format!(r#"{{"metric":{{"__name__":"node_load1"{labels}}},"values":[{values}]}}"#);
    let all = [
        series(
            r#","instance":"a""#,
            r#"[1760961600,"1"],[1760961615,"NaN"],[1760961630,"+Inf"],[-5,"1"],[99999999999,"1"],[1e30,"1"],[1760961645,"one"]"#,
        ),
        series(&format!(r#","instance":"{name}""#), r#"[1760961600,"1"]"#),
        series(&format!(r#","instance":"b","{name}":"{name}""#), r#"[1760961600,"1"]"#),
        series("", r#"[1760961600,"1"]"#),
        format!(r#"{{"metric":{{"__name__":"{name}"}},"value":[1760961600,"1"]}}"#),
        r#"{"metric":{"__name__":"node_load1","instance":"c"},"histograms":[[1760961600,{"count":"1"}]]}"#.to_owned(),
    ];
    let text = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#, all.join(","));
    let file = folder.write("all.json", text);
    let flags = "--input-format prometheus-json --max-rejects 10";
    let run = import_of(&db, &agent, &customer, flags, &file);
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(0), 2), "{run:#?}");
    let report = run.json();
    let found: Vec<_> = report["rejects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reject| (reject["path"].as_str().unwrap(), reject["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        ("data.result[0].values[1]", "NaN is no measured value"),
        ("data.result[0].values[2]", "inf is no measured value"),
        ("data.result[0].values[3]", "1969-12-31T23:59:55Z is before 1970"),
        ("data.result[0].values[4]", "is in the future"),
        ("data.result[0].values[5]", "'1e30' is not a time"),
        ("data.result[0].values[6]", "'one' is not a number"),
        ("data.result[1].values[0]", "has 10240 characters, and 255 fit"),
        ("data.result[3].values[0]", "is missing"),
        ("data.result[4].value", "is not known"),
        ("data.result[5].histograms", "is of a native histogram"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((path, reason), (expected_path, words)) in found.iter().zip(expected) {
        assert_eq!(*path, expected_path, "{reason}");
        assert!(reason.contains(words), "{path}: {reason}");
    }
    assert_eq!(report["unknown_metrics"].as_object().unwrap().keys().next().unwrap().len(), 200);
    // Some values may be taken all the same.
    let text = r#"{"status":"success","data":{"result":[{"metric":{"__name__":"node_load1","instance":"n"},"value":[1760961600,"NaN"]}]}}"#;
    let run = import_of(
        &db,
        &agent,
        &customer,
        "--input-format prometheus-json --no-range-checks",
        &folder.write("n.json", text),
    );
    assert_eq!(run.code, Some(0), "{run:#?}");
}

#[test]
fn lines_that_are_no_samples_are_bad_rows_of_their_own() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let text = b"node_load1{instance=\"a\"} 1\nnode_load1{instance=\"\xff\"} 1\nnode_load1{instance=\"b\n\nnode_load5{instance=\"a\"} 2 -62135596800000\n\
                 node_load5{instance=\"a\"} 2 1760961600000\n# a comment\n# EOF\n";
    let flags = format!("--input-format prometheus-text {AT} --max-rejects 3");
    let run = import_of(&db, &agent, &customer, &flags, &folder.write("a.prom", text));
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(0), 2), "{run:#?}");
    let found: Vec<_> = reasons(&run.json()).into_iter().map(|(line, _, reason)| (line, reason)).collect();
    assert_eq!(
        found[..2],
        [(2, "is not UTF-8 from byte 22 on".to_owned()), (3, "has labels without an end".to_owned())]
    );
    assert_eq!(found[2].0, 5, "{found:#?}");

    let text = "timestamp, index, utilization.gpu [%], power.draw [W]\n2025/10/20 14:00:00.123, 0, 97 W, [Unknown Error]\n2025/10/20 14:00:00.123, 0, 97 %\n";
    let flags = "--input-format nvidia-smi --time-zone UTC --set instance_id=g --max-rejects 3";
    let run = import_of(&db, &agent, &customer, flags, &folder.write("n.csv", text));
    let found: Vec<_> = reasons(&run.json()).into_iter().map(|(line, _, reason)| (line, reason)).collect();
    let expected = [
        (2, "'97 W' is not a number"),
        (2, "'[Unknown Error]' is not a number"),
        (3, "has 3 fields, and 4 are expected"),
    ];
    assert_eq!(found, expected.map(|(line, reason)| (line, reason.to_owned())));
    let run = import_of(
        &db,
        &agent,
        &customer,
        "--input-format nvidia-smi --set instance_id=g",
        &of_tool("nvidia-smi-nounits.csv"),
    );
    assert!(reasons(&run.json())[0].2.contains("has no offset"), "{run:#?}");
}

#[test]
fn a_file_that_is_cut_or_of_something_else_ends_the_import_with_its_place() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let whole = |name: &str| fs::read(of_tool(name)).unwrap();
    let cut = |name: &str, by: usize| {
        let whole = whole(name);
        whole[..whole.len() - by].to_vec()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("prometheus-json", cut("query-range.json", 60), "the document ends early at data.result[1].values[1]"),
        ("prometheus-json", cut("query.json", 60), "the document ends early at data.result[1]"),
        ("prometheus-json", b"".to_vec(), "the document ends early at line 1"),
        ("prometheus-json", b"[]".to_vec(), "object is expected, not array, at line 1"),
        (
            "prometheus-json",
            b"{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\"}".to_vec(),
            "it is an error of Prometheus: 'parse error'",
        ),
        (
            "prometheus-json",
            b"{\"status\":\"success\",\"data\":[\"up\"]}".to_vec(),
            "object is expected, not array, at data, line 1",
        ),
        (
            "prometheus-json",
            b"{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"1\"]}}".to_vec(),
            "a scalar has no series at data.resultType",
        ),
        (
            "prometheus-json",
            b"{\"data\":{\"result\":[{\"value\":[1,\"1\"],\"metric\":{}}]}}".to_vec(),
            "values come before their metric at data.result[0].value",
        ),
        (
            "prometheus-json",
            b"{\"data\":{\"result\":[{\"metric\":{\"a\":\"\xff\"}}]}}".to_vec(),
            "invalid UTF-8 data at data.result[0].metric.a",
        ),
        (
            "prometheus-json",
            b"{\"data\":{\"result\":[{\"metric\":{\"a\":1}}]}}".to_vec(),
            "string is expected, not number, at data.result[0].metric.a",
        ),
        ("prometheus-json", b"{\"data\":{\"result\":[]}} x".to_vec(), "it is not JSON"),
        ("prometheus-json", whole("dcgm.prom"), "it is not JSON"),
        ("prometheus-text", cut("dcgm.prom", 3), "the file ends within line 23: its last line has no end"),
        ("prometheus-text", b"# EOF\nup 1\n".to_vec(), "line 2 is behind # EOF"),
        ("nvidia-smi", cut("nvidia-smi.csv", 4), "the file ends within line 4: its last line has no end"),
        ("nvidia-smi", b"<?xml version=\"1.0\" ?>\n".to_vec(), "it is no document of nvidia-smi: it holds nothing"),
        ("nvidia-smi", b"<gpus><gpu/></gpus>".to_vec(), "it is no document of nvidia-smi: it begins with gpus"),
        ("nvidia-smi", cut("nvidia-smi.xml", 26), "the document ends early, within nvidia_smi_log/gpu"),
        ("nvidia-smi", b"<nvidia_smi_log><gpu></log>".to_vec(), "line 1 is not XML"),
        ("nvidia-smi", b"<nvidia_smi_log><gpu>\n<a".to_vec(), "line 2 is not XML"),
        ("cloudwatch", cut("get-metric-data.json", 90), "the document ends early at MetricDataResults[1]"),
        ("cloudwatch", b"{\"Metrics\":[]}".to_vec(), "it has neither MetricDataResults nor Datapoints"),
        (
            "cloudwatch",
            b"{\"MetricDataResults\":[],\"NextToken\":\"abc\"}".to_vec(),
            "it is one page of several, and more follow, at NextToken",
        ),
        ("cloudwatch", b"{\"MetricDataResults\":[{\"Values\":[\"a\"]}]}".to_vec(), "at MetricDataResults[0]"),
    ];
    for (format, text, words) in cases {
        let flags = format!("--input-format {format} {AT} --set instance_id=a --time-zone UTC --on-conflict skip");
        let run = import_of(&db, &agent, &customer, &flags, &folder.write("f", &text));
        let text = String::from_utf8_lossy(&text[..text.len().min(100)]).into_owned();
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{text}: {run:#?}");
        assert!(run.stderr.contains(words), "{text}: {words}: {run:#?}");
        assert_eq!(rows(&mut conn, "resource_metrics"), 0, "{text}");
    }
    // A status that says that values are missing, and lists of different length, are bad rows.
    let text = r#"{"MetricDataResults":[{"Id":"m1","Label":"CPUUtilization","StatusCode":"PartialData","Timestamps":[1760961600],"Values":[5]},
        {"Id":"m2","Label":"CPUUtilization","Timestamps":["2025-10-20T12:00:00Z"],"Values":[]}]}"#;
    let run = import_of(
        &db,
        &agent,
        &customer,
        "--input-format cloudwatch --set instance_id=a --max-rejects 2",
        &folder.write("p.json", text),
    );
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(0), 1), "{run:#?}");
    let found: Vec<_> = reasons(&run.json()).into_iter().map(|(.., reason)| reason).collect();
    assert_eq!(found, ["lacks values: its StatusCode is 'PartialData'", "has 1 times and 0 values"]);
}

#[test]
fn one_command_imports_what_libreoffice_and_the_client_library_of_prometheus_write() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let same = "--set resource_type=cpu --set metric_name=load --set unit=processes --set metadata={}";
    let excel =
        ["--time-format", "%d.%m.%Y %H:%M", "--time-zone", "Europe/Berlin", "--delimiter", ";", "--decimal", ","];
    let run = Dbctl::on(&db)
        .args(&["import", "resource_metrics", of_tool("excel.csv").to_str().unwrap()])
        .args(&excel)
        .run(&format!("--set agent={} --set customer={} {same}", agent.id, customer.id));
    assert_eq!(run.code, Some(0), "{run:#?}");
    let expected = ["größe; \"2\" cpu load 0.25 processes 12:01:00.000", "i-1 cpu load 12.5 processes 12:00:00.000"];
    assert_eq!(stored(&mut conn).into_iter().collect::<BTreeSet<_>>(), expected.map(str::to_owned).into());

    conn.batch_execute("DELETE FROM resource_metrics").unwrap();
    let flags = format!("--input-format prometheus-text {AT} --ignore-unknown");
    let run = import_of(&db, &agent, &customer, &flags, &of_tool("openmetrics.prom"));
    assert_eq!(run.code, Some(0), "{run:#?}");
    let expected = [
        "10.0.0.12:9100 cpu load1 0.72 processes 12:00:00.000",
        "10.0.0.12:9100 network network_received 1024 bytes 12:00:00.000",
    ];
    assert_eq!(stored(&mut conn), expected);
    assert_eq!(run.json()["unknown_metrics"], json!({"node_network_receive_bytes_created": 1}));
    let device = "SELECT count(*) FROM resource_metrics WHERE metadata ->> 'device' = 'et\"h\\0'";
    assert_eq!(number(&mut conn, device), 1);
}

#[test]
fn one_command_imports_what_pandas_and_duckdb_write() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let rows_are = "SELECT count(*) FROM quality_metrics q JOIN (VALUES \
        ('a', 12, 101.5::float8, false, 0.5, '2025-10-20 12:00:00Z'::timestamptz, '{\"region\": \"eu\"}'::jsonb), \
        ('b', NULL, NULL, true, 0.25, '2025-10-20 12:00:01.5Z', '{}'), \
        ('c', 7, 99.25, false, 1, '2025-10-20 12:00:02.000001Z', '{}')) AS written (id, tokens, latency, is_wrong, score, at, data) \
        ON q.request_id = written.id AND q.prompt_tokens IS NOT DISTINCT FROM tokens AND q.latency_ms IS NOT DISTINCT FROM latency \
        AND q.hallucination_detected = is_wrong AND q.overall_quality_score = score AND q.timestamp = at AND q.metadata = data";
    let mut files = vec![("pandas.csv", ""), ("pandas.tsv.gz", "--delimiter tab --null NaN"), ("duckdb.csv.zst", "")];
    if cfg!(feature = "parquet") {
        files.extend([("pandas.parquet", ""), ("duckdb.parquet", "")]);
    }
    for (name, flags) in files {
        let arguments = format!("quality_metrics --set agent={} --set customer={} {flags}", agent.id, customer.id);
        let run = import(&db, &arguments, &of_tool(name));
        assert_eq!(run.code, Some(0), "{name}: {run:#?}");
        assert_eq!((number(&mut conn, rows_are), rows(&mut conn, "quality_metrics")), (3, 3), "{name}");
        conn.batch_execute("DELETE FROM quality_metrics").unwrap();
    }
    if cfg!(not(feature = "parquet")) {
        let run = import(&db, "quality_metrics", &of_tool("pandas.parquet"));
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains("this program was built without the feature parquet"), "{run:#?}");
    }
}
