//! Sessions from which row security hides rows.

use super::*;

#[test]
fn where_rows_are_hidden_an_export_of_all_is_refused_and_one_of_a_customer_is_whole() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let lines = [metric(&agent, &customer, "i-1", "1"), metric(&agent, &customer, "i-2", "2")];
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    assert_eq!(import(&db, "resource_metrics", &file).code, Some(0));
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    let grants =
        format!("GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}");
    conn.batch_execute(&grants).unwrap();
    let export = |arguments: &str| {
        let url = format!("{}%20-capp.customer_id%3D{}", db.url_as(name), customer.id);
        Dbctl::new().env("DATABASE_URL", &url).run(&format!("export {arguments}"))
    };
    let all = export("resource_metrics");
    assert_eq!((all.code, all.stdout.lines().count()), (Some(2), 0), "{all:#?}");
    assert!(all.stderr.contains("row-level security"), "{all:#?}");
    let own = export(&format!("resource_metrics --customer {}", customer.id));
    assert_eq!((own.code, own.stdout.lines().count()), (Some(0), 3), "{own:#?}");
    let elses = export(&format!("resource_metrics --customer {}", Uuid::nil()));
    assert_eq!(elses.code, Some(2), "{elses:#?}");
}

#[test]
fn a_session_that_sees_no_customer_is_told_so_and_not_of_every_row() {
    let (db, mut conn, agent, own) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", metric(&agent, &own, "i-1", "1")));
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    conn.batch_execute(&format!(
        "GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO {name}"
    ))
    .unwrap();
    let run = |table: &str, file: &Path, arguments: &str| {
        let run = Dbctl::new().env("DATABASE_URL", &db.url_as(name));
        run.args(&["import", table, file.to_str().unwrap()]).run(arguments)
    };
    for arguments in ["", "--on-conflict skip", "--max-rejects 10"] {
        let run = run("resource_metrics", &file, arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains("row-level security shows this session no customer"), "{run:#?}");
        assert!(run.stderr.contains("hint: name the customer"), "{run:#?}");
    }
    // The rows of agents are nobody's.
    let file = folder.write("a.csv", format!("agent,metric_name,metric_value\n{},m,1\n", agent.id));
    assert_eq!(run("agent_metrics", &file, "").code, Some(0));
}

#[test]
fn a_session_of_one_customer_imports_its_own_rows_and_no_other_customers() {
    let (db, mut conn, agent, own) = ground(AgentType::Resource);
    let other = customer(&mut conn);
    let folder = Folder::new();
    let lines = [metric(&agent, &own, "i-1", "1"), metric(&agent, &other, "i-2", "2")];
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    conn.batch_execute(&format!(
        "GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}; \
         GRANT INSERT ON resource_metrics TO {name}"
    ))
    .unwrap();
    let url = format!("{}%20-capp.customer_id%3D{}", db.url_as(name), own.id);
    for (arguments, expected) in [("--on-conflict refuse", 1), ("--on-conflict skip", 2), ("--on-conflict skip", 2)] {
        let run = Dbctl::new()
            .env("DATABASE_URL", &url)
            .args(&["import", "resource_metrics", file.to_str().unwrap(), "--format", "json", "--max-rejects", "1"])
            .run(arguments);
        assert_eq!(run.code, Some(0), "{run:#?}");
        let words = format!("no customer has the name or id '{}'", other.id);
        assert_eq!(reasons(&run.json()), [(3, "customer_id".to_owned(), words)]);
        assert_eq!(rows(&mut conn, "resource_metrics"), expected, "{arguments}");
    }
    let owned = format!("SELECT count(*) FROM resource_metrics WHERE customer_id = '{}'", own.id);
    assert_eq!(number(&mut conn, &owned), 2);
}
