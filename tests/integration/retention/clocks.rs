//! A clock that is ahead removes nothing.

use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use optiinfra_db::Error;
use optiinfra_db::retention::{self, Options};

use super::{keep, plain, rows_since, run, samples};
use crate::support::TestDb;

#[test]
fn two_clocks_that_differ_are_refused() {
    let db = plain();
    let before = rows_since(&mut db.conn(), "-infinity");
    for clock in [|| Utc::now() - TimeDelta::days(365), || Utc::now() + TimeDelta::minutes(6)] {
        let refused = retention::run(&mut db.conn(), &Options { clock, ..keep(30) }, |_| ()).unwrap_err();
        assert!(matches!(refused, Error::Retention(retention::Error::ClocksDiffer { .. })), "{refused:?}");
    }
    assert_eq!(rows_since(&mut db.conn(), "-infinity"), before);
    run(&db, &Options { clock: || Utc::now() - TimeDelta::minutes(4), ..keep(30) });
}

/// Both clocks a year ahead are what rows look like that are all a year older.
#[test]
fn a_clock_that_no_row_confirms_is_refused() {
    let db = TestDb::seeded_now();
    let mut conn = db.conn();
    conn.batch_execute("DELETE FROM resource_metrics").unwrap();
    samples(20).insert(&mut conn);
    conn.batch_execute("UPDATE resource_metrics SET \"timestamp\" = \"timestamp\" - interval '365 days'").unwrap();
    // Rows that were written since the clock went wrong confirm nothing.
    for written_since in ["-1 second", "1 hour", "23 hours"] {
        conn.batch_execute(&format!(
            "INSERT INTO resource_metrics SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),
                 'timestamp', now() - interval '{written_since}'))).* FROM resource_metrics r LIMIT 1"
        ))
        .unwrap();
        let before = rows_since(&mut conn, "-infinity");
        let refused = retention::run(&mut conn, &keep(30), |_| ()).unwrap_err();
        let Error::Retention(retention::Error::ClockUnconfirmed { rows, newest, .. }) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(*rows, 480);
        assert!(*newest < Utc::now() - TimeDelta::days(364));
        assert_eq!(rows_since(&mut conn, "-infinity"), before);
    }
    let report = run(&db, &Options { trust_clock: true, ..keep(30) });
    assert_eq!((report.tables[0].rows(), report.left), (480, 0));
}

#[test]
fn a_table_that_got_no_rows_for_days_loses_what_went_by_an_earlier_clock_too() {
    let db = TestDb::seeded_now();
    let mut conn = db.conn();
    conn.batch_execute("DELETE FROM resource_metrics").unwrap();
    samples(100).insert(&mut conn);
    // The newest row is a week old, and the rows that this clock alone would remove are not there.
    conn.batch_execute(
        "DELETE FROM resource_metrics WHERE \"timestamp\" > now() - interval '7 days'
             OR \"timestamp\" BETWEEN now() - interval '36 days' AND now() - interval '30 days'",
    )
    .unwrap();
    let report = run(&db, &keep(30));
    assert!(report.tables[0].rows() > 1400, "{report:?}");
}
