//! What gets into a statement as a name is a name, whatever it holds.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};
use optiinfra_db::layer;
use optiinfra_db::raw::{Sql, sql_query};

use crate::support::{Dbctl, TestDb, number};

/// Names that a quoting function gets wrong sooner or later, letters of all widths among them. The server cuts a name
/// to 63 bytes and takes no empty one.
fn name(random: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 24] = [
        "\"", "\"\"", "'", "\\", ";", "--", "/*", "*/", "$$", "$1", "%", " ", "\n", "\t", "\u{1b}", "select", "User",
        "_", "0", "é", "名", "🦀", "\u{202e}", "x",
    ];
    let mut name = String::new();
    let wanted = random.usize(1..12);
    for _ in 0..wanted {
        let piece = PIECES[random.usize(..PIECES.len())].to_owned();
        let letter = random.char('\u{1}'..).to_string();
        let piece = if random.bool() { piece } else { letter };
        if name.len() + piece.len() <= 63 {
            name += &piece;
        }
    }
    name
}

/// Plain words too, among them each key word of the server.
fn names(conn: &mut PgConnection) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Word {
        #[diesel(sql_type = Text)]
        word: String,
    }
    let words: Vec<Word> = diesel::sql_query("SELECT word FROM pg_get_keywords()").load(conn).unwrap();
    let mut random = fastrand::Rng::with_seed(6);
    let mut names: Vec<_> = words.into_iter().map(|word| word.word).collect();
    assert!(names.len() > 400, "{}", names.len());
    names.extend((0..10_000).map(|_| name(&mut random)));
    names.sort();
    names.dedup();
    while names.len() < 10_000 {
        names.push(format!("{}{}", name(&mut random).chars().take(8).collect::<String>(), names.len()));
    }
    names
}

/// The server's `quote_ident` leaves the quotes out where it knows that they are not needed, which depends on its
/// key words; ours never does. Both are the same name to the server, which is asked in three ways.
#[test]
fn ten_thousand_names_are_quoted_as_the_server_quotes_them() {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        theirs: String,
        #[diesel(sql_type = Array<Text>)]
        parsed: Vec<String>,
        #[diesel(sql_type = Bool)]
        theirs_is_the_same: bool,
    }
    let db = TestDb::empty();
    let conn = &mut db.conn();
    let names = names(conn);
    let ours: Vec<_> = names.iter().map(|name| Sql::identifier(name)).collect();
    let texts: Vec<_> = ours.iter().map(Sql::as_str).collect();
    let answers: Vec<Answer> = diesel::sql_query(
        "SELECT quote_ident(name) AS theirs, parse_ident(ours) AS parsed,
                parse_ident(ours) = parse_ident(quote_ident(name)) AS theirs_is_the_same
         FROM unnest($1, $2) WITH ORDINALITY AS n (name, ours, place) ORDER BY place",
    )
    .bind::<Array<Text>, _>(&names)
    .bind::<Array<Text>, _>(&texts)
    .load(conn)
    .unwrap();
    assert_eq!(answers.len(), names.len());
    let mut equal = 0;
    for ((name, ours), answer) in names.iter().zip(&texts).zip(answers) {
        assert!(answer.theirs == *ours || answer.theirs == *name, "{name:?}: {ours:?}, not {:?}", answer.theirs);
        assert_eq!(answer.parsed, [name.as_str()]);
        assert!(answer.theirs_is_the_same, "{name:?}");
        equal += usize::from(answer.theirs == *ours);
    }
    assert!(equal > 9_000, "most of them need the quotes: {equal}");
}

/// The parser itself: the names go in as those of columns and come back from the server as keys.
#[test]
fn ten_thousand_names_come_back_from_the_server_as_they_were() {
    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = Text)]
        key: String,
    }
    let db = TestDb::empty();
    let conn = &mut db.conn();
    let names = names(conn);
    for names in names.chunks(1_000) {
        let columns = names.iter().map(|name| Sql::join([Sql::from("1 AS"), Sql::identifier(name)], " "));
        let text = Sql::join(
            [
                "SELECT k.key FROM (SELECT".into(),
                Sql::join(columns, ", "),
                ") AS whole, json_each(row_to_json(whole)) WITH ORDINALITY AS k (key, value, place) ORDER BY k.place"
                    .into(),
            ],
            " ",
        );
        let keys: Vec<Key> = sql_query(text).load(conn).unwrap();
        let keys: Vec<_> = keys.into_iter().map(|key| key.key).collect();
        assert_eq!(keys, names);
    }
}

/// A name as bad as can be, for a table, a column, an index and a customer: everything that counts, compares, describes
/// or removes meets it, and all it ever is, is a name.
#[test]
fn a_hostile_name_changes_nothing() {
    const HOSTILE: &str = "x\"; DROP TABLE customers CASCADE; --'; DELETE FROM agents; $1 \\";
    let db = TestDb::seeded_now();
    let conn = &mut db.conn();
    let customer = "UPDATE customers SET name = $1 WHERE id = (SELECT id FROM customers ORDER BY id LIMIT 1)";
    diesel::sql_query(customer).bind::<Text, _>(HOSTILE).execute(conn).unwrap();
    let name = Sql::identifier(HOSTILE);
    conn.batch_execute(&format!(
        "CREATE TABLE {name} ({name} uuid REFERENCES customers ON DELETE CASCADE);
         CREATE INDEX ON {name} ({name});
         ALTER TABLE {name} ADD CONSTRAINT {name} CHECK (true);
         CREATE FUNCTION {name}(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         INSERT INTO {name} SELECT id FROM customers"
    ))
    .unwrap();
    let before = layer::row_counts(conn).unwrap();
    for (arguments, code) in [
        ("verify", 1),
        ("verify --format json", 1),
        ("verify --probes", 1),
        ("stats --exact --format json", 0),
        ("stats --format html", 0),
        ("stats --format csv --section customers", 0),
        ("stats --format prometheus", 0),
        ("migrate status", 0),
        ("seed --all --reset --yes", 2),
        ("seed --all --remove --yes", 2),
    ] {
        let ran = Dbctl::on(&db).run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments}: {}{}", ran.stdout, ran.stderr);
        assert!(!ran.stderr.contains("syntax error"), "{arguments}: {}", ran.stderr);
    }
    let refused = Dbctl::on(&db).run("seed --all --remove --yes").stderr;
    assert!(refused.contains("3 rows of ") || refused.contains("4 rows of "), "{refused}");
    let named = Dbctl::on(&db).run_with(&["stats", "--customer", HOSTILE, "--format", "json"]);
    assert_eq!(named.json()["core"]["customers"][0]["name"], HOSTILE, "{}", named.stderr);
    let verified = Dbctl::on(&db).run("verify --format json").json();
    let checks = verified["checks"].as_array().unwrap().iter();
    let findings = checks.flat_map(|check| check["findings"].as_array().into_iter().flatten());
    let mut suggested = findings.filter_map(|finding| finding["mend"].as_str());
    conn.batch_execute(suggested.find(|sql| sql.starts_with("DROP ROUTINE")).unwrap()).unwrap();
    assert_eq!(number(conn, "SELECT count(*) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"), 1);
    assert_eq!(layer::row_counts(conn).unwrap(), before);
    let customers = before.iter().find(|(table, _)| *table == "customers").unwrap().1;
    assert_eq!(number(conn, &format!("SELECT count(*) FROM {name}")), customers);
}
