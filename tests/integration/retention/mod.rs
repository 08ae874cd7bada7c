//! Rows that are past their time go, and nothing else does.

mod archive;
mod clocks;
mod command;
mod others;
mod removal;
mod rollups;

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use optiinfra_db::catalog::HotTable;
use optiinfra_db::retention::{self, Options, Report};

use crate::partitions::{WEEKS, run as partition};
use crate::support::{TestDb, text};

pub const DAY: Duration = Duration::from_secs(86_400);

/// Keeps the samples of so many days.
pub fn keep(days: u32) -> Options {
    Options { keep: vec![(HotTable::named("resource_metrics").unwrap(), DAY * days)], ..Options::default() }
}

pub fn run(db: &TestDb, options: &Options) -> Report {
    retention::run(&mut db.conn(), options, |_| ()).expect("what is past its time goes")
}

/// A sample every hour of the last so many days.
pub const fn samples(days: u32) -> Samples {
    Samples { days }
}

pub struct Samples {
    days: u32,
}

impl Samples {
    pub fn insert(&self, conn: &mut PgConnection) {
        let insert = format!(
            "INSERT INTO resource_metrics (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value, unit,
                 \"timestamp\")
             SELECT a.id, c.id, 'i-old', 'gpu', 'utilization', 100 * random(), 'percent', t
             FROM (SELECT id FROM agents LIMIT 1) a, (SELECT id FROM customers LIMIT 1) c,
                  generate_series(now() - interval '{} days', now() - interval '1 minute', interval '1 hour') t",
            self.days
        );
        conn.batch_execute(&insert).unwrap();
    }
}

/// A plain table with the samples of 100 days.
pub fn plain() -> TestDb {
    let db = TestDb::plain_seeded_now();
    samples(100).insert(&mut db.conn());
    db
}

/// A table with a partition for each of the last 15 weeks, and samples of 100 days.
pub fn weekly() -> TestDb {
    let db = TestDb::seeded_now();
    let mut conn = db.conn();
    conn.batch_execute("CREATE TEMP TABLE seed AS SELECT * FROM resource_metrics; DELETE FROM resource_metrics")
        .unwrap();
    partition(&db, &[HotTable::named("resource_metrics").unwrap()], WEEKS);
    conn.batch_execute(
        "DO $$ DECLARE
             last timestamptz := (SELECT min(to_timestamp(substring(relname from '[0-9]{8}$'), 'YYYYMMDD'))
                                  FROM pg_class WHERE relname ~ '^resource_metrics_[0-9]{8}$');
             week timestamptz;
         BEGIN
             DROP TABLE resource_metrics_first;
             FOR week IN SELECT last - n * interval '7 days' FROM generate_series(15, 1, -1) n LOOP
                 EXECUTE format('CREATE TABLE %I PARTITION OF resource_metrics FOR VALUES FROM (%L) TO (%L)',
                     'resource_metrics_' || to_char(week, 'YYYYMMDD'), week, week + interval '7 days');
                 EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY',
                     'resource_metrics_' || to_char(week, 'YYYYMMDD'));
             END LOOP;
         END $$;
         INSERT INTO resource_metrics SELECT * FROM seed",
    )
    .unwrap();
    samples(100).insert(&mut conn);
    db
}

/// The rows of the table of a time and later: their number and a hash of all that they say.
pub fn rows_since(conn: &mut PgConnection, since: &str) -> String {
    text(
        conn,
        &format!(
            "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0)
             FROM resource_metrics t WHERE \"timestamp\" >= '{since}'"
        ),
    )
}
