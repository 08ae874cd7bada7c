//! Parquet: what goes out comes back, and other programs read it.

use super::round_trip::plant;
use super::*;
use crate::support::python;

#[test]
fn every_table_goes_out_as_parquet_and_comes_back_to_the_bit() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    plant(&mut conn, &agent, &customer, 50);
    let folder = Folder::new();
    for table in Table::ALL {
        let plain = |db: &TestDb| {
            let text = Dbctl::on(db).run(&format!("export {table}")).stdout;
            text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let before = plain(&db);
        assert!(before.len() > 1, "{table}");
        let path = folder.path(&format!("{table}.parquet"));
        let run = Dbctl::on(&db).run(&format!("export {table} --format parquet --output {}", path.display()));
        assert_eq!(run.code, Some(0), "{run:#?}");
        conn.batch_execute(&format!("DELETE FROM {table}")).unwrap();
        let run = import(&db, &format!("{table} --no-range-checks"), &path);
        assert_eq!((run.code, &run.json()["input_format"]), (Some(0), &json!("parquet")), "{run:#?}");
        assert_eq!(plain(&db), before, "{table}");
        // A pipe has no end to begin with.
        let run = Dbctl::on(&db)
            .stdin(File::open(&path).unwrap())
            .run(&format!("import {table} - --on-conflict skip --no-range-checks --format json"));
        assert_eq!((run.code, &run.json()["written"]), (Some(0), &json!(0)), "{run:#?}");
    }
    let path = folder.path("none.parquet");
    conn.batch_execute("DELETE FROM events").unwrap();
    assert_eq!(
        Dbctl::on(&db).run(&format!("export events --format parquet --output {}", path.display())).code,
        Some(0)
    );
    let run = import(&db, "events", &path);
    assert_eq!((run.code, &run.json()["read"]), (Some(0), &json!(0)), "{run:#?}");
}

/// What pyarrow, and so pandas, reads of a file.
const PYARROW: &str = "
import sys, pyarrow.parquet
file = pyarrow.parquet.ParquetFile(sys.argv[1])
print(file.metadata.num_row_groups, file.metadata.num_rows)
print([str(field.type) for field in file.schema_arrow])
for row in file.read().to_pylist():
    print(*[value.hex() if isinstance(value, bytes) else value for value in row.values()])
";

/// What DuckDB reads of a file.
const DUCKDB: &str = "
import sys, duckdb
duckdb.execute(\"SET TimeZone = 'UTC'\")
rows = duckdb.execute('SELECT * FROM read_parquet(?)', [sys.argv[1]])
print([str(column[1]) for column in rows.description])
for row in rows.fetchall():
    print(*row)
";

#[test]
fn pandas_and_duckdb_read_the_types_and_values() {
    let Some(python) = python() else { return };
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let id = "0199aaaa-0000-7000-8000-00000000000a";
    conn.batch_execute(&format!(
        "INSERT INTO resource_metrics (id, agent_id, customer_id, instance_id, resource_type, metric_name, metric_value, unit, \
         timestamp, metadata) VALUES ('{id}', '{}', '{}', 'größe', 'gpu', 'utilization', 0.1, 'percent', \
         '2025-10-20 12:00:00.000001Z', '{{\"a\": 1}}')",
        agent.id, customer.id
    ))
    .unwrap();
    let folder = Folder::new();
    let path = folder.path("metrics.parquet");
    let columns = "id,instance_id,resource_type,metric_value,timestamp,metadata";
    let arguments = format!("export resource_metrics --format parquet --columns {columns} --output {}", path.display());
    assert_eq!(Dbctl::on(&db).run(&arguments).code, Some(0));
    for (program, module, expected) in
        [(PYARROW, "pyarrow", "timestamp[us, tz=UTC]"), (DUCKDB, "duckdb", "TIMESTAMP WITH TIME ZONE")]
    {
        let read = std::process::Command::new(&python).args(["-c", program]).arg(&path).output().unwrap();
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        assert!(read.status.success(), "{module}: {}", String::from_utf8_lossy(&read.stderr));
        assert!(text.contains(expected), "{module}: {text}");
        let row = text.lines().last().unwrap().replace('-', "");
        assert!(row.contains(&id.replace('-', "")), "{module}: {text}");
        assert!(row.contains(" größe gpu 0.1 20251020 12:00:00.000001+00:00 {\"a\": 1}"), "{module}: {text}");
    }
}

#[test]
fn a_damaged_file_is_an_error_or_other_rows_and_never_a_panic() {
    let set = ["agent_id", "customer_id"].map(|column| (column.to_owned(), Uuid::nil().to_string())).to_vec();
    let options = read::Options { mapping: Mapping { set, ..Mapping::default() }, ..read::Options::default() };
    let names = || Names::new([(Uuid::nil(), "c".to_owned())], [(Uuid::nil(), "a".to_owned())]);
    let read = |bytes: &[u8]| -> Result<usize, String> {
        let mut reader = Reader::new(bytes, Table::QualityMetrics, &options, names()).map_err(|e| e.to_string())?;
        let mut rows = 0;
        while reader.next_row().map_err(|error| error.to_string())?.is_some() {
            rows += 1;
        }
        Ok(rows)
    };
    let attempt = |bytes: Vec<u8>| std::panic::catch_unwind(|| read(&bytes));
    for name in ["pandas.parquet", "duckdb.parquet"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files").join(name);
        let whole = fs::read(path).unwrap();
        assert_eq!(read(&whole), Ok(3));
        let mut panics = Vec::new();
        for at in (0..whole.len()).step_by(rounds(7, 1)) {
            for bits in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= bits;
                if attempt(damaged).is_err() {
                    panics.push((at, bits));
                }
            }
        }
        assert!(panics.is_empty(), "{name}: {panics:?}");
        for length in (4..whole.len()).step_by(rounds(31, 1)) {
            let cut = attempt(whole[..length].to_vec()).expect("no panic");
            assert!(cut.is_err(), "{name}: {length} bytes");
        }
    }
    // In the program too it is an error of the file.
    let (db, _conn, agent, customer) = ground(AgentType::Application);
    let folder = Folder::new();
    let mut damaged = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files/pandas.parquet")).unwrap();
    damaged[1141] ^= 1;
    let arguments = format!("quality_metrics --set agent={} --set customer={}", agent.id, customer.id);
    let run = import(&db, &arguments, &folder.write("damaged.parquet", damaged));
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
    assert!(run.stderr.contains("damaged.parquet: the Parquet data "), "{run:#?}");
}
