//! The columns of the tables, and their defaults.

use super::*;

#[test]
fn a_name_that_two_customers_have_is_nobodys() {
    let (db, mut conn, agent, first) = ground(AgentType::Resource);
    let second = customer(&mut conn);
    assert_eq!(first.name, second.name);
    let folder = Folder::new();
    let mut twin = first.clone();
    twin.id = second.id;
    let line = metric(&agent, &twin, "i-1", "1");
    let by_name = line.replace(&second.id.to_string(), &first.name);
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{by_name}\n{line}\n"));
    let run = import(&db, "resource_metrics --max-rejects 1", &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let words = format!("2 customers are called '{}': name one by its id", first.name);
    assert_eq!(reasons(&run.json()), [(2, "customer_id".to_owned(), words)]);
    let owned = format!("SELECT count(*) FROM resource_metrics WHERE customer_id = '{}'", second.id);
    assert_eq!(number(&mut conn, &owned), 1);
}

#[test]
fn every_column_of_the_contract_can_be_held_by_a_file() {
    for table in Table::ALL {
        assert_eq!(table.columns()[0].kind, Kind::Uuid);
        let time = table.columns().iter().find(|column| column.name == table.time_column()).unwrap();
        assert_eq!((time.kind, time.is_nullable), (Kind::Time, false), "{table}");
    }
    let events: Vec<_> = Table::Events.columns().iter().map(|column| (column.kind, column.is_nullable)).collect();
    let (label, text) = (Kind::Label("eventseverity"), Kind::Text { longest: 100 });
    let kinds = [Kind::Uuid, Kind::Customer, Kind::Agent, text, label, Kind::Json, Kind::Time];
    assert_eq!(events, kinds.map(|kind| (kind, kind == Kind::Agent)));
}

#[test]
fn what_a_file_leaves_out_takes_the_defaults_of_the_server() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let values = |name: &str| match name {
        "agent_id" => agent.id.to_string(),
        "customer_id" => customer.id.to_string(),
        "resource_type" => "gpu".to_owned(),
        "timestamp" => "2025-10-20T12:00:00Z".to_owned(),
        "metric_value" | "overall_quality_score" => "0.5".to_owned(),
        _ => "x".to_owned(),
    };
    let folder = Folder::new();
    for table in Table::ALL {
        let required: Vec<_> = table.columns().iter().filter(|column| column.is_required()).map(|c| c.name).collect();
        let row: Vec<_> = required.iter().map(|name| values(name)).collect();
        let file = folder.write("least.csv", format!("{}\n{}\n", required.join(","), row.join(",")));
        let run = import(&db, table.as_str(), &file);
        assert_eq!(run.code, Some(0), "{run:#?}");
        let quoted: Vec<_> = row.iter().map(|value| format!("'{value}'")).collect();
        let unique = |value: String| value.replace("'x'", "'y'");
        conn.batch_execute(&unique(format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            required.join(", "),
            quoted.join(", ")
        )))
        .unwrap();
        // All but what has to differ: ids, the texts of the two rows, and times of now.
        let compared: Vec<_> = table
            .columns()
            .iter()
            .filter(|column| column.name != "id" && !matches!(column.kind, Kind::Text { .. }))
            .map(|column| match column.default {
                Some(DefaultValue::Now) => format!("now() - {} < interval '1 minute'", column.name),
                _ => column.name.to_owned(),
            })
            .collect();
        let kinds = format!("SELECT count(*) FROM (SELECT DISTINCT {} FROM {table}) s", compared.join(", "));
        assert_eq!((rows(&mut conn, table.as_str()), number(&mut conn, &kinds)), (2, 1), "{table}");
    }
}
