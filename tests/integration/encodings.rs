//! A database in SQL_ASCII takes bytes of any encoding, which no client can read as UTF-8.

use diesel::connection::SimpleConnection;
use optiinfra_db::layer::Layer;
use optiinfra_db::seed;

use crate::support::{Dbctl, TestDb, number};

#[test]
fn bytes_that_are_no_utf_8_keep_no_command_from_its_work() {
    let db = TestDb::in_sql_ascii().migrate();
    let mut conn = db.conn();
    seed::run(&mut conn, &Layer::ALL, chrono::Utc::now()).unwrap();
    let run = |arguments: &str| Dbctl::on(&db).run(arguments);
    let clean = run("verify --seed --format json").json();
    assert_eq!(clean["failed"], 0, "{clean:#}");
    // As a script would write them that takes Latin-1 for UTF-8.
    conn.batch_execute(
        "UPDATE customers SET name = name || chr(233) WHERE email = 'admin@acme.com';
         UPDATE agents SET name = name || chr(233), endpoint = chr(233);
         UPDATE events SET data = jsonb_build_object('text', chr(233));
         UPDATE resource_metrics SET instance_id = instance_id || chr(233), metadata = jsonb_build_object('a', chr(233));
         UPDATE scaling_events SET trigger_reason = chr(233);
         UPDATE quality_metrics SET model_name = model_name || chr(233);
         UPDATE quality_regressions SET resolution_notes = chr(233);
         UPDATE workflow_steps SET step_name = step_name || chr(233)",
    )
    .unwrap();
    let odd = "SELECT count(*) FROM agents WHERE position('\\xe9'::bytea IN convert_to(name, 'SQL_ASCII')) > 0";
    assert_eq!(number(&mut conn, odd), 5);
    for (command, code) in [
        ("migrate status --check", 0),
        ("stats", 0),
        ("stats --exact", 0),
        ("stats --exact --format json", 0),
        ("stats --format csv", 0),
        ("stats --format prometheus", 0),
        ("verify", 1),
        ("migrate plan", 0),
        ("seed --all --plan", 0),
        ("roles plan", 0),
        ("doctor", 1),
    ] {
        let run = run(command);
        assert_eq!(run.code, Some(code), "{command}: {run:#?}");
        assert!(!run.stderr.contains("error"), "{command}: {run:#?}");
    }
    let stats = run("stats --exact --format json").json();
    assert_eq!(stats["skipped"], serde_json::json!([]), "{:#}", stats["skipped"]);
    // What was changed is found, and nothing else: no check fails because its rows cannot be read.
    let verified = run("verify --format json").json();
    let checks = verified["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check["outcome"] == "failed").map(|check| &check["id"]).collect();
    assert_eq!(
        failed,
        [
            "core.seed.customers",
            "core.seed.agents",
            "resource.seed.instances",
            "resource.seed.samples",
            "resource.seed.latest_gpu",
            "resource.seed.time_range",
            "application.seed.models",
            "application.seed.quality",
        ]
    );
    assert_eq!(verified["skipped"], 0, "{verified:#}");
}
