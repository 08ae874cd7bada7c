//! What is exported is imported as it was.

use super::*;

/// Random numbers that are the same in every run.
struct Random(fastrand::Rng);

impl Random {
    fn text(&mut self, longest: usize) -> String {
        const NASTY: [&str; 24] = [
            "", " ", "a", "\"", "\"\"", "'", ",", "\n", "\r", "\r\n", "\t", "\\", "\\N", "\\.", "NULL", "null", "é",
            "東京", "🚀", "\u{feff}", "\u{7f}", "{", "0", "\u{1}",
        ];
        let mut text = String::new();
        for _ in 0..self.0.usize(0..6) {
            let piece = NASTY[self.0.usize(0..NASTY.len())];
            if text.chars().count() + piece.chars().count() <= longest {
                text.push_str(piece);
            }
        }
        text
    }

    fn float(&mut self) -> f64 {
        const NASTY: [f64; 16] = [
            0.0,
            -0.0,
            1.0,
            0.1,
            1.0 / 3.0,
            1e22,
            1e-7,
            5e-324,
            2.2250738585072014e-308,
            f64::MAX,
            f64::MIN,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            9_007_199_254_740_993.0,
            123_456_789.123_456_79,
        ];
        if self.0.bool() { NASTY[self.0.usize(0..NASTY.len())] } else { f64::from_bits(self.0.u64(..)) }
    }

    fn time(&mut self) -> DateTime<Utc> {
        const EDGES: [i64; 6] = [0, -1, 1, 999_999, -62_135_596_800_000_000, 946_684_800_000_001];
        let micros = match self.0.u8(0..3) {
            0 => EDGES[self.0.usize(0..EDGES.len())],
            1 => self.0.i64(-1_000_000_000_000_000..1_700_000_000_000_000),
            _ => self.0.i64(-1_000_000..1_000_000) * 1_000_000,
        };
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    fn json(&mut self, depth: usize) -> Value {
        match self.0.u8(0..if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.0.bool()),
            2 => json!(self.0.i64(..)),
            3 => json!(self.text(200)),
            // What is not finite is no JSON, and -0 is 0 in PostgreSQL.
            4 => Some(self.float())
                .filter(|number| number.is_finite() && *number != 0.0)
                .map_or(json!(7), |number| json!(number)),
            5 => (0..self.0.usize(0..4)).map(|_| self.json(depth - 1)).collect(),
            _ => (0..self.0.usize(0..4)).map(|_| (self.text(20), self.json(depth - 1))).collect(),
        }
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.0.bool() { Some(make(self)) } else { None }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.usize(0..of.len())]
    }
}

/// Fills the four tables with rows in which everything is that might be spoiled on the way.
pub(super) fn plant(conn: &mut PgConnection, agent: &Agent, customer: &Customer, count: usize) {
    use optiinfra_db::enums::{EventSeverity, MetricType, ResourceType};
    use optiinfra_db::ingest::copy;
    let mut random = Random(fastrand::Rng::with_seed(8_062_025));
    let r = &mut random;
    let mut resource = Vec::new();
    let mut quality = Vec::new();
    let mut agents = Vec::new();
    let mut events = Vec::new();
    for at in 0..count {
        resource.push(NewResourceMetric {
            id: Some(Uuid::from_u128(r.0.u128(..))),
            agent_id: agent.id,
            customer_id: customer.id,
            instance_id: r.text(255),
            resource_type: r.pick(ResourceType::ALL),
            metric_name: r.text(100),
            metric_value: r.float(),
            unit: r.text(50),
            timestamp: r.time(),
            metadata: Some(r.json(4)),
            created_at: Some(r.time()),
        });
        quality.push(NewQualityMetric {
            id: Some(Uuid::from_u128(r.0.u128(..))),
            agent_id: agent.id,
            customer_id: customer.id,
            request_id: format!("{at}:{}", r.text(100)),
            model_name: r.text(100),
            model_version: r.text(50),
            prompt_tokens: r.maybe(|r| r.pick(&[0, 1, i32::MAX])),
            completion_tokens: r.maybe(|r| r.0.i32(0..)),
            latency_ms: r.maybe(|r| r.float().abs()),
            relevance_score: r.maybe(|r| r.0.f64()),
            coherence_score: r.maybe(|r| r.pick(&[0.0, 1.0, f64::NAN, f64::INFINITY])),
            factuality_score: r.maybe(|r| r.0.f64()),
            hallucination_detected: Some(r.0.bool()),
            toxicity_score: r.maybe(|r| r.0.f64()),
            overall_quality_score: r.0.f64(),
            timestamp: r.time(),
            metadata: Some(r.json(4)),
            created_at: Some(r.time()),
        });
        agents.push(AgentMetric {
            id: Uuid::from_u128(r.0.u128(..)),
            agent_id: agent.id,
            metric_name: r.text(255),
            metric_value: r.float().abs(),
            metric_type: r.pick(MetricType::ALL),
            // NDJSON has one null for two: see the next test.
            tags: r.maybe(|r| r.json(4)).filter(|tags| !tags.is_null()),
            recorded_at: r.time(),
        });
        events.push(NewEvent {
            id: Some(Uuid::from_u128(r.0.u128(..))),
            customer_id: customer.id,
            agent_id: r.maybe(|_| agent.id),
            event_type: r.text(100),
            severity: Some(r.pick(EventSeverity::ALL)),
            data: Some(r.json(4)),
            created_at: Some(r.time()),
        });
    }
    copy(conn, &resource).unwrap();
    copy(conn, &quality).unwrap();
    copy(conn, &agents).unwrap();
    copy(conn, &events).unwrap();
}

/// A second database with the same customer and agent and nothing else.
fn twin(agent: &Agent, customer: &Customer) -> (TestDb, PgConnection) {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    conn.batch_execute(&format!(
        "INSERT INTO customers (id, name, email, api_key) VALUES ('{}', 'Twin', 'a@example.com', 'k'); \
         INSERT INTO agents (id, type, name) VALUES ('{}', 'resource', 'twin')",
        customer.id, agent.id
    ))
    .unwrap();
    (db, conn)
}

/// Every row of a table as the server's own text, to the last bit.
fn contents(conn: &mut PgConnection, table: Table) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    conn.batch_execute("SET TimeZone = 'UTC'; SET extra_float_digits = 1").unwrap();
    let lines: Vec<Line> =
        diesel::sql_query(format!("SELECT t::text AS line FROM {table} t ORDER BY id")).load(conn).unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

#[test]
fn what_is_exported_is_imported_as_it_was() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, rounds(400, 20_000));
    for format in ["csv", "ndjson"] {
        for on_conflict in ["refuse", "skip"] {
            let (other, mut other_conn) = twin(&agent, &customer);
            for table in Table::ALL {
                let mut export = Dbctl::on(&db).spawn(&format!("export {table} --format {format}"));
                let pipe = export.stdout.take().unwrap();
                // The planted values are in the range of no unit; the test of the ranges has those.
                let run = Dbctl::on(&other)
                    .stdin(pipe)
                    .run(&format!("import {table} - --on-conflict {on_conflict} --no-range-checks"));
                assert_eq!(run.code, Some(0), "{table} {format}: {run:#?}");
                assert_eq!(Run::of(export).code, Some(0));
                let (sent, received) = (contents(&mut conn, table), contents(&mut other_conn, table));
                assert_eq!(sent.len(), rounds(400, 20_000));
                for (sent, received) in sent.iter().zip(&received) {
                    assert_eq!(sent, received, "{table} {format}");
                }
                assert_eq!(sent.len(), received.len(), "{table} {format}");
            }
        }
    }
}

#[test]
fn what_no_row_can_hold_is_exported_and_refused_by_import_for_what_it_is() {
    let (db, mut conn, _, customer) = ground(AgentType::Cost);
    let times =
        ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00", "294276-01-01 00:00:00+00"];
    let mut plant = |column: &str, value: &str| {
        let (table, customer) = (format!("events (customer_id, event_type, {column})"), customer.id);
        conn.batch_execute(&format!("INSERT INTO {table} VALUES ('{customer}', 'x', '{value}')")).unwrap();
    };
    times.into_iter().for_each(|time| plant("created_at", time));
    plant("data", &format!("{}{}", "[".repeat(200), "]".repeat(200)));
    let folder = Folder::new();
    for format in ["csv", "ndjson"] {
        let exported = Dbctl::on(&db).run(&format!("export events --format {format}")).stdout;
        let found = reasons(&import(&db, "events --dry-run", &folder.write(&format!("f.{format}"), exported)).json());
        assert_eq!(found.len(), 6, "{found:#?}");
        let of = |column: &str, words: &str| {
            found.iter().filter(|(_, at, reason)| at == column && reason.contains(words)).count()
        };
        assert_eq!(of("created_at", "is not in the years 1 to 9999"), times.len(), "{found:#?}");
        assert_eq!(of("data", "more than 127 deep"), 1, "{found:#?}");
    }
}

#[test]
fn csv_tells_a_null_of_json_from_no_json_and_ndjson_cannot() {
    let (db, mut conn, agent, customer) = ground(AgentType::Cost);
    conn.batch_execute(&format!(
        "INSERT INTO agent_metrics (agent_id, metric_name, metric_value, tags) VALUES \
         ('{agent}', 'none', 1, NULL), ('{agent}', 'json', 1, 'null'), ('{agent}', 'text', 1, '\"null\"')",
        agent = agent.id
    ))
    .unwrap();
    for (format, expected) in [("csv", ["null", "-", "\"null\""]), ("ndjson", ["-", "-", "\"null\""])] {
        let (other, mut other_conn) = twin(&agent, &customer);
        let export = Dbctl::on(&db).run(&format!("export agent_metrics --format {format}"));
        let folder = Folder::new();
        let run = import(&other, "agent_metrics", &folder.write(&format!("f.{format}"), export.stdout));
        assert_eq!(run.code, Some(0), "{run:#?}");
        for (name, expected) in ["json", "none", "text"].into_iter().zip(expected) {
            let same = format!(
                "SELECT count(*) FROM agent_metrics WHERE metric_name = '{name}' AND coalesce(tags::text, '-') = '{expected}'"
            );
            assert_eq!(number(&mut other_conn, &same), 1, "{format} {name}");
        }
    }
}

#[test]
fn an_export_is_what_copy_writes_but_for_the_times() {
    let (_db, mut conn, agent, customer) = ground_of(TestDb::plain(), AgentType::Resource);
    plant(&mut conn, &agent, &customer, 300);
    conn.batch_execute("SET TimeZone = 'UTC'").unwrap();
    let mut ours = Vec::new();
    export::run(&mut conn, Table::Events, Format::Csv, &export::Options::default(), &mut ours).unwrap();
    let mut theirs = Vec::new();
    diesel::copy_to(optiinfra_db::schema::events::table)
        .with_format(diesel::pg::CopyFormat::Csv)
        .with_header(true)
        .load_raw(&mut conn)
        .unwrap()
        .read_to_end(&mut theirs)
        .unwrap();
    let without_times = |text: Vec<u8>| -> Vec<Vec<u8>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&text[..]);
        let records = reader.byte_records().map(Result::unwrap);
        records.map(|record| record.iter().take(6).flatten().copied().collect()).collect()
    };
    assert_eq!(without_times(ours), without_times(theirs));
}
