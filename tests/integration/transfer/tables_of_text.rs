//! What Excel and pandas make of a table: delimiters, decimal commas, local times, an index, encodings.

use super::*;

/// The stored samples: instance, value and time.
fn stored(conn: &mut PgConnection) -> Vec<(String, f64, DateTime<Utc>)> {
    use optiinfra_db::schema::resource_metrics::dsl::{instance_id, metric_value, resource_metrics, timestamp};
    resource_metrics.select((instance_id, metric_value, timestamp)).order(instance_id).load(conn).unwrap()
}

const SAME: &str = "--set resource_type=gpu --set metric_name=utilization --set unit=percent --set agent=";

#[test]
fn a_table_of_excel_is_read_with_its_delimiter_its_commas_and_its_local_times() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let text = format!(
        "\u{feff}customer;instance_id;metric_value;timestamp\r\n{0};i-1;12,5;20.10.2025 14:00\r\n\
         {0};i-2;1.000,5;20.10.2025 14:00\r\n{0};i-3;7;26.10.2025 02:30\r\n",
        customer.name
    );
    let file = folder.write("excel.csv", text);
    let run = Dbctl::on(&db)
        .args(&["import", "resource_metrics", file.to_str().unwrap(), "--time-format", "%d.%m.%Y %H:%M"])
        .run(&format!(
            "--delimiter ; --decimal , --time-zone Europe/Berlin --max-rejects 2 --format json {SAME}{}",
            agent.id
        ));
    assert_eq!(run.code, Some(0), "{run:#?}");
    let expected = [
        (3, "metric_value", "'1.000,5' has a point, and a comma begins the fraction"),
        (4, "timestamp", "'26.10.2025 02:30' is there twice in Europe/Berlin: write its offset"),
    ];
    assert_eq!(reasons(&run.json()), expected.map(|(line, column, why)| (line, column.to_owned(), why.to_owned())));
    assert_eq!(stored(&mut conn), [("i-1".to_owned(), 12.5, "2025-10-20T12:00:00Z".parse().unwrap())]);
}

#[test]
fn a_table_of_pandas_is_read_without_its_index_and_with_its_missing_values() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let folder = Folder::new();
    let header = ",request_id,prompt_tokens,latency_ms,hallucination_detected,overall_quality_score,timestamp";
    let file = folder.write(
        "pandas.csv",
        format!(
            "{header}\n0,a,12.0,NaN,False,0.5,2025-10-20 12:00:00+00:00\n1,b,NaN,1.5,True,0.25,2025-10-20 12:00:00\n\
             2,c,12.5,1.5,NaN,NaN,NaT\n3,d,1.0,,True,0.5,NaT\n"
        ),
    );
    let arguments = format!(
        "quality_metrics --time-zone UTC --max-rejects 9 --set model_name=m --set model_version=1 --set agent={} --set customer={}",
        agent.id, customer.id
    );
    let run = import(&db, &arguments, &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.stderr.contains("the field without a name is left out: pandas writes its index so\n"), "{run:#?}");
    let report = run.json();
    assert_eq!(report["left_out"], json!([""]));
    let expected =
        [(4, "prompt_tokens", "'12.5' is not a whole number"), (5, "timestamp", "is null, and the column is not")];
    assert_eq!(reasons(&report), expected.map(|(line, column, why)| (line, column.to_owned(), why.to_owned())));
    let rows_are = "SELECT count(*) FROM quality_metrics WHERE (request_id, prompt_tokens, latency_ms) IN (('a', 12, 'NaN')) \
                    OR (request_id = 'b' AND prompt_tokens IS NULL AND hallucination_detected)";
    assert_eq!(number(&mut conn, rows_are), 2);
    // NaN of a column of floats is a number, unless the user says that it is none.
    conn.batch_execute("DELETE FROM quality_metrics").unwrap();
    let run = import(&db, &format!("{arguments} --null NaN"), &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM quality_metrics WHERE latency_ms IS NULL"), 1);

    // Only the first field may be without a name, and other fields are no index.
    for (header, words) in [("request_id,,", "two fields ''"), ("request_id,", "no column takes the field ''")] {
        let file = folder.write("unnamed.csv", format!("{header},overall_quality_score,timestamp\n"));
        let run = import(&db, &arguments, &file);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains(words), "{run:#?}");
    }
    let file = folder.write("more.csv", "request_id,colour,overall_quality_score,timestamp\n");
    let run = import(&db, &format!("{arguments} --ignore-unknown"), &file);
    assert_eq!((run.code, &run.json()["left_out"]), (Some(0), &json!(["colour"])), "{run:#?}");
    assert!(run.stderr.contains("left out: colour\n"), "{run:#?}");
}

#[test]
fn utf_16_is_told_with_the_command_that_converts_it() {
    let (db, ..) = ground(AgentType::Resource);
    let folder = Folder::new();
    let bytes = |text: &str, of: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(of).collect::<Vec<_>>();
    for text in ["\u{feff}instance_id,unit\n", "instance_id,unit\n"] {
        for bytes in [bytes(text, u16::to_le_bytes), bytes(text, u16::to_be_bytes)] {
            let run = import(&db, "resource_metrics", &folder.write("excel.csv", bytes));
            assert_eq!(run.code, Some(2), "{run:#?}");
            assert!(run.stderr.contains("the file is UTF-16"), "{run:#?}");
            assert!(run.stderr.contains("iconv -f UTF-16 -t UTF-8 FILE"), "{run:#?}");
        }
    }
}

#[test]
fn blanks_are_trimmed_or_told_and_mean_nothing_around_numbers_and_times() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.write(
        "blanks.csv",
        format!("customer, instance_id, metric_value, timestamp\n{0},i-1, 1 , 2025-10-20T12:00:00Z\n{0}, i-2, 2, 1760961600\n", customer.id),
    );
    let run = import(&db, &format!("resource_metrics --max-rejects 1 {SAME}{}", agent.id), &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let reason = "' i-2' begins or ends with a blank and is not in quotes".to_owned();
    assert_eq!(reasons(&run.json()), [(3, "instance_id".to_owned(), reason)]);
    let run = import(&db, &format!("resource_metrics --trim {SAME}{}", agent.id), &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let names: Vec<_> = stored(&mut conn).into_iter().map(|(name, value, _)| (name, value)).collect();
    assert_eq!(names, [("i-1".to_owned(), 1.0), ("i-1".to_owned(), 1.0), ("i-2".to_owned(), 2.0)]);
}
