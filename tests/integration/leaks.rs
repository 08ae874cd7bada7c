//! No secret in anything that is printed. Generated passwords go through every way in which a connection can be asked
//! for and can fail, in the library and in the binary; generated API keys stand in a database that every command works
//! on, in every format, and fails on.
//!
//! A hit is a piece of a secret, four characters of a password that the same way does not print for other passwords,
//! or eight of a key.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::os::unix::fs::PermissionsExt;

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use optiinfra_db::Error;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::layer::Layer;
use optiinfra_db::models::{ApiKey, Customer, CustomerChanges, NewCustomer};
use optiinfra_db::schema::customers;
use optiinfra_db::seed;

use crate::support::{Dbctl, Scratch, TestDb, figures, number, rounds};

const PIECE: usize = 4;

/// A role that must give a password, and does not get it right.
const ROLE: &str = "locked";

/// Passwords whose shape leads to every kind of message. None has a word in it.
const SHAPES: [&str; 12] = [
    "Qq7Qq7",
    "Qq@q7/",
    "Qq/7@q",
    "7/q?q=7",
    "q?q=7@q",
    "%zz7q7",
    "%41%20",
    "q q=7q",
    " 'q7q ",
    "'q'q7q",
    "q:7q/7",
    "\\q\\'7\\",
];

/// Printable ASCII, the troublesome ones more often, and some that take several bytes.
fn password(random: &mut fastrand::Rng) -> String {
    let troublesome: Vec<char> = "'\"%@/:?#&= \\".chars().collect();
    let wide: Vec<char> = "äßéñøłжщ中文字한국ﬁ🔑€".chars().collect();
    let length = random.usize(6..=40);
    let mut character = || match random.u8(0..10) {
        0 | 1 => random.choice(&troublesome).copied().unwrap(),
        2 => random.choice(&wide).copied().unwrap(),
        _ => char::from(random.u8(b' '..=b'~')),
    };
    (0..length).map(|_| character()).collect()
}

/// The same shape with other letters and digits.
fn masked(password: &str) -> String {
    let mask = |c: char| match c {
        'a'..='z' => 'q',
        'A'..='Z' => 'Q',
        '0'..='9' => '7',
        c if c.is_ascii() => c,
        _ => 'ŋ',
    };
    password.chars().map(mask).collect()
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

/// A way to write a connection string with a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Url,
    RawUrl,
    Keywords,
    RawKeywords,
    /// To a server that asks for a password and gets this one, which is wrong; likewise the following.
    Wrong,
    Passfile,
    /// In `PGPASSWORD`.
    Variable,
    /// In a service file.
    Service,
    /// In a service file, where none belongs.
    RawService,
}

impl Way {
    const ALL: [Self; 9] = [
        Self::Url,
        Self::RawUrl,
        Self::Keywords,
        Self::RawKeywords,
        Self::Wrong,
        Self::Passfile,
        Self::Variable,
        Self::Service,
        Self::RawService,
    ];
    /// Those that need no variable: the library's tests share one process.
    const IN_STRING: usize = 6;

    /// The connection string; the first four lead to a closed port or are malformed.
    fn write(self, password: &str, server: &Scratch) -> String {
        match self {
            Self::Url => format!("postgresql://u:{}@127.0.0.1:1/d", percent_encoded(password)),
            Self::RawUrl => format!("postgresql://u:{password}@127.0.0.1:1/d"),
            Self::Keywords => format!("host=127.0.0.1 port=1 user=u dbname=d password='{}'", quoted(password)),
            Self::RawKeywords => format!("host=127.0.0.1 port=1 user=u password={password} dbname=d"),
            Self::Wrong => format!("{}&password={}", locked(server), percent_encoded(password)),
            Self::Passfile => format!("{}&passfile={}", locked(server), percent_encoded(&passfile(password, server))),
            Self::Variable => locked(server),
            Self::Service | Self::RawService => "service=ours".to_owned(),
        }
    }

    /// The environment of a run.
    fn variables(self, password: &str, server: &Scratch) -> Vec<(&'static str, String)> {
        let file = |line: String| {
            let path = server.cluster.dir().join(format!("services-{self:?}"));
            std::fs::write(
                &path,
                format!(
                    "[ours]\nhost={}\n{line}\nport=5432\nuser={ROLE}\ndbname=optiinfra\n",
                    server.cluster.dir().display()
                ),
            )
            .unwrap();
            vec![("PGSERVICEFILE", path.display().to_string())]
        };
        match self {
            Self::Variable => vec![("PGPASSWORD", password.to_owned())],
            Self::Service => file(format!("password={password}")),
            Self::RawService => file(password.to_owned()),
            _ => Vec::new(),
        }
    }
}

/// The role that needs a password.
fn locked(server: &Scratch) -> String {
    server.cluster.url().replace("user=optiinfra", &format!("user={ROLE}"))
}

fn passfile(password: &str, server: &Scratch) -> String {
    let path = server.cluster.dir().join("passwords");
    std::fs::write(&path, format!("*:*:*:{ROLE}:{}\n", password.replace('\\', "\\\\").replace(':', "\\:"))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// A server of its own, where a role needs a password.
fn server_with_passwords() -> Scratch {
    let server = Scratch::new();
    server.cluster.start().unwrap();
    let mut conn = connection::connect(&server.cluster.target(), "test").unwrap();
    conn.batch_execute(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD 'another one'")).unwrap();
    let rules = server.cluster.dir().join("data/pg_hba.conf");
    let old = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("local all {ROLE} scram-sha-256\n{old}")).unwrap();
    conn.batch_execute("SELECT pg_reload_conf()").unwrap();
    let wrong = Target::parse(&Way::Wrong.write("x", &server)).unwrap();
    // The server reads its rules again when it gets round to it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while connection::connect(&wrong, "test").is_ok() {
        assert!(std::time::Instant::now() < deadline, "the server lets everybody in");
    }
    server
}

fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

fn shown_unless_ok<T>(result: connection::Result<T>) -> String {
    result.err().map(|error| shown(&error.into())).unwrap_or_default()
}

/// Everything that the library says about a connection string.
fn library(way: Way, _: usize, password: &str, server: &Scratch) -> String {
    match Target::parse(&way.write(password, server)) {
        Err(error) => shown(&error.into()),
        Ok(target) => {
            let connected = shown_unless_ok(connection::connect(&target, "test"));
            // A password as it stands may hide the name behind it.
            let is_refused = connected.contains("cannot connect") || connected.contains("no database is named");
            assert!(is_refused, "{way:?}: {connected}");
            let pool = shown_unless_ok(connection::pool(&target, "test").max_size(2).build());
            format!("{target} {target:?} {target:#?} {connected} {pool}")
        }
    }
}

/// Every command, in every format, as talkative as it gets.
const COMMANDS: [&str; 31] = [
    "migrate -vv",
    "migrate --to 20251019120000 -vv",
    "migrate status -vv",
    "migrate status --format json",
    "migrate plan -vv",
    "migrate plan --format json",
    "migrate revert --all --yes -vv",
    "migrate redo --yes -vv",
    "migrate adopt --dry-run -vv",
    "migrate repair --reason why -vv",
    "seed --all -vv",
    "seed --all --plan --format json",
    "seed core --reset --yes -vv",
    "seed core --remove --yes -vv",
    "seed fleet --customers 1 --instances 2 --hours 1 -vv",
    "verify -vv",
    "verify --probes --format json",
    "verify --seed --format junit -vv",
    "stats -vv",
    "stats --exact --format json",
    "stats --format csv",
    "stats --format prometheus",
    "stats --format html -vv",
    "stats --customer nobody -vv",
    "roles plan -vv",
    "roles check --format json",
    "roles apply -vv",
    "export events -vv",
    "export resource_metrics --format csv",
    "import events /nowhere.csv -vv",
    "--help",
];
/// Where a connection string belongs, and where it does not.
const PLACES: [&[&str]; 7] = [
    &["verify", "-vv", "--database-url", "{}"],
    &["verify", "--local", "--database-url", "{}"],
    &["migrate", "{}"],
    &["seed", "{}"],
    &["stats", "--databaseurl={}"],
    &["migrate", "--to", "{}"],
    &["stats", "-vv", "--require-tls", "--database-url", "{}"],
];
const CALLS: usize = COMMANDS.len() + PLACES.len();

/// What the binary says in one of the calls. The log holds everything that any crate has to say.
fn binary(way: Way, call: usize, password: &str, server: &Scratch) -> String {
    let text = way.write(password, server);
    let variables = way.variables(password, server);
    let with = |run: Dbctl| variables.iter().fold(run, |run, (name, value)| run.env(name, value));
    let run = match COMMANDS.get(call % CALLS) {
        Some(command) => with(Dbctl::new().env("DATABASE_URL", &text).env("RUST_LOG", "trace")).run(command),
        None => {
            let place = PLACES[call % CALLS - COMMANDS.len()].iter().map(|argument| argument.replace("{}", &text));
            let arguments: Vec<_> = place.collect();
            with(Dbctl::new()).run_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        }
    };
    assert!(matches!(run.code, Some(0 | 2 | 3)), "{run:#?}");
    run.stdout + &run.stderr
}

/// Puts passwords through ways to say something, and counts those of which a piece comes out. Where there is more than
/// one call, a password goes through one way and one call, and the next through the next of both.
fn hits(
    (count, calls): (usize, usize),
    ways: &[Way],
    shapes: &[&str],
    say: impl Fn(Way, usize, &str, &Scratch) -> String,
) -> Vec<String> {
    let server = server_with_passwords();
    let mut usual: HashMap<Way, String> = HashMap::new();
    for way in ways {
        let texts = shapes.iter().flat_map(|shape| (0..calls).map(|call| say(*way, call, shape, &server)));
        usual.insert(*way, texts.collect());
    }
    let mut random = fastrand::Rng::with_seed(2025);
    let mut hits = Vec::new();
    for call in 0..count {
        let password = password(&mut random);
        let characters: Vec<char> = password.chars().collect();
        let pieces: Vec<String> = characters.windows(PIECE).map(|piece| piece.iter().collect()).collect();
        let turn = if calls == 1 { ways } else { &ways[call % ways.len()..][..1] };
        for way in turn {
            let text = say(*way, call, &password, &server);
            let found = |usual: &str| pieces.iter().any(|piece| text.contains(piece) && !usual.contains(piece));
            // The shape may lead to a message that is not among the usual ones.
            if found(&usual[way]) && found(&say(*way, call, &masked(&password), &server)) {
                hits.push(format!("{way:?} {password:?}: {text}"));
            }
        }
    }
    hits
}

#[test]
fn the_library_says_nothing_of_a_password() {
    let count = rounds(150, 10_000);
    let ways = &Way::ALL[..Way::IN_STRING];
    let hits = hits((count, 1), ways, &SHAPES, library);
    assert!(hits.is_empty(), "{} hits: {:#?}", hits.len(), &hits[..hits.len().min(3)]);
    figures(&format!("{count} passwords through {} ways in the library: 0 leaks", ways.len()));
}

/// The numbers of ways and calls have no common divisor: all pairs have their turn.
#[test]
fn the_binary_says_nothing_of_a_password() {
    let count = rounds(Way::ALL.len() * CALLS, 10_000);
    let hits = hits((count, CALLS), &Way::ALL, &SHAPES[..1], binary);
    assert!(hits.is_empty(), "{} hits: {:#?}", hits.len(), &hits[..hits.len().min(3)]);
    figures(&format!("{count} passwords through {} ways in {CALLS} calls of the binary: 0 leaks", Way::ALL.len()));
}

#[test]
fn what_works_says_nothing_of_its_password_either() {
    let db = TestDb::empty();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..rounds(20, 200) {
        let password = format!("{}Tr0ub4dor", password(&mut random));
        let target = db.target().with("password", &password);
        let pool = connection::pool(&target, "test").max_size(1).build().unwrap();
        let conn = pool.get().unwrap();
        let text = format!("{target} {target:?} {pool:?}");
        assert!(!text.contains("Tr0u") && !text.contains(&password), "{text}");
        drop(conn);
    }
}

#[test]
fn a_planted_leak_is_found() {
    let planted = |way: Way, _: usize, password: &str, _: &Scratch| match way {
        Way::RawUrl => format!("there is no host {}", password.chars().take(5).collect::<String>()),
        _ => "there is no host".to_owned(),
    };
    let hits = hits((20, 1), &Way::ALL, &SHAPES, planted);
    assert!(hits.len() >= 19 && hits.iter().all(|hit| hit.starts_with("RawUrl")), "{hits:#?}");
}

/// Letters and digits as in the keys that platforms hand out.
fn key(random: &mut fastrand::Rng) -> String {
    (0..40).map(|_| random.alphanumeric()).collect()
}

/// Pieces of eight characters of keys; by chance one turns up in a text once in millions of tests.
struct Pieces(HashSet<Vec<u8>>);

impl Pieces {
    const LENGTH: usize = 8;

    fn of<'a>(keys: impl IntoIterator<Item = &'a String>) -> Self {
        Self(keys.into_iter().flat_map(|key| key.as_bytes().windows(Self::LENGTH)).map(<[u8]>::to_vec).collect())
    }

    fn are_in(&self, text: &str) -> bool {
        text.as_bytes().windows(Self::LENGTH).any(|piece| self.0.contains(piece))
    }
}

/// Fills a database with customers and their keys; the seed's own get new ones too.
fn with_keys(conn: &mut PgConnection, count: usize) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(9);
    let keys: Vec<_> = (0..count).map(|_| key(&mut random)).collect();
    let statement = "WITH keys AS (SELECT key, place FROM unnest($1) WITH ORDINALITY AS k (key, place)),
        old AS (SELECT id, row_number() OVER () AS place FROM customers),
        renewed AS (UPDATE customers SET api_key = key FROM keys JOIN old USING (place) WHERE customers.id = old.id)
        INSERT INTO customers (name, email, api_key, created_at)
        SELECT 'customer ' || place, place || '@example.com', key, now() + interval '1 year' FROM keys
        WHERE place > (SELECT count(*) FROM old)";
    diesel::sql_query(statement).bind::<Array<Text>, _>(&keys).execute(conn).unwrap();
    assert_eq!(number(conn, "SELECT count(*) FROM customers"), i64::try_from(count).unwrap());
    keys
}

/// Every command and format over a database full of keys, with findings of every kind, another session that holds
/// rows of customers and has a key in its statement, and one that waits for it.
#[test]
fn no_command_shows_a_key() {
    let count = rounds(1_000, 10_000);
    let db = TestDb::plain_seeded_now();
    let conn = &mut db.conn();
    let keys = with_keys(conn, count);
    let pieces = Pieces::of(&keys);
    let broken = "DROP INDEX idx_customer_api_key; ALTER TABLE customers ALTER api_key TYPE varchar(65),
        DROP CONSTRAINT customers_api_key_key; UPDATE agents SET created_at = now() + interval '1 year'";
    conn.batch_execute(broken).unwrap();
    let other = &mut db.conn();
    other
        .batch_execute(&format!("BEGIN; UPDATE customers SET api_key = '{0}' WHERE api_key = '{0}'", keys[0]))
        .unwrap();

    // Those that would wait for the other session come after it, and those that leave nothing come last.
    let reads = |command: &&&str| {
        [
            "migrate status",
            "migrate plan",
            "verify -vv",
            "verify --seed",
            "stats",
            "roles plan",
            "roles check",
            "export",
            "import",
            "--help",
        ]
        .iter()
        .any(|begin| command.starts_with(begin))
    };
    let empties = |command: &&&str| ["migrate --to", "migrate revert"].iter().any(|begin| command.starts_with(begin));
    // Its roles would be those of every test of the suite.
    let is_ours = |command: &&&str| !command.starts_with("roles apply");
    let changes = |command: &&&str| !reads(command) && !empties(command) && is_ours(command);
    let mut bytes = 0;
    let mut run = |command: &str| {
        let run = Dbctl::on(&db).env("RUST_LOG", "trace").run(command);
        assert!(matches!(run.code, Some(0..=2)), "{command}: {run:#?}");
        bytes += run.stdout.len() + run.stderr.len();
        for text in [run.stdout, run.stderr] {
            assert!(!pieces.are_in(&text), "{command}: {text}");
        }
    };
    COMMANDS.iter().filter(reads).for_each(|command| run(command));
    other.batch_execute("COMMIT").unwrap();
    run("stats --customer 00000000-0000-0000-0000-000000000001 --format html");
    COMMANDS.iter().filter(changes).for_each(|command| run(command));
    COMMANDS.iter().filter(empties).for_each(|command| run(command));
    figures(&format!("{count} keys, {} runs, {bytes} bytes: 0 leaks", COMMANDS.len()));
}

/// What a customer's row may run into, so that the server refuses it and shows it.
const OBSTACLES: [(&str, &str); 4] = [
    (
        "is there twice",
        "INSERT INTO customers (name, email, api_key) SELECT 'x', gen_random_uuid()::text, key FROM keys",
    ),
    ("a check", "ALTER TABLE customers ADD CONSTRAINT long_names CHECK (length(name) > 1000)"),
    ("a value that is missing", "ALTER TABLE customers ADD COLUMN needed integer NOT NULL"),
    (
        "a view that checks its rows",
        "ALTER TABLE customers RENAME TO people;
         CREATE VIEW customers AS SELECT * FROM people WHERE name = 'x' WITH CHECK OPTION",
    ),
];

#[test]
fn what_the_server_says_of_a_refused_customer_shows_no_key() {
    for (obstacle, statement) in OBSTACLES {
        let db = TestDb::migrated();
        assert_eq!(Dbctl::on(&db).run("seed core").code, Some(0));
        let conn = &mut db.conn();
        let keys = customers::table.select(customers::api_key).load::<String>(conn).unwrap();
        let pieces = Pieces::of(&keys);
        conn.batch_execute("CREATE TEMPORARY TABLE keys AS SELECT api_key AS key FROM customers").unwrap();
        assert_eq!(Dbctl::on(&db).run("seed core --remove --yes").code, Some(0));
        conn.batch_execute(statement).unwrap();

        // The server does show it.
        let insert = "INSERT INTO customers (id, name, email, api_key) SELECT gen_random_uuid(), 'y', gen_random_uuid()::text, key FROM keys";
        let detail = match diesel::sql_query(insert).execute(conn) {
            Err(diesel::result::Error::DatabaseError(_, info)) => info.details().unwrap_or_default().to_owned(),
            other => panic!("{obstacle}: {other:?}"),
        };
        assert!(pieces.are_in(&detail), "{obstacle}: {detail}");

        let run = Dbctl::on(&db).env("RUST_LOG", "trace").run("seed core --yes");
        assert_eq!(run.code, Some(2), "{obstacle}: {run:#?}");
        assert!(run.stderr.contains("  detail: withheld, because it may show a secret\n"), "{obstacle}: {run:#?}");
        assert!(!pieces.are_in(&run.stderr) && !pieces.are_in(&run.stdout), "{obstacle}: {run:#?}");
        let error = seed::run(conn, &[Layer::Core], chrono::Utc::now()).unwrap_err();
        assert!(!pieces.are_in(&shown(&error)), "{obstacle}: {}", shown(&error));
    }
}

#[test]
fn no_type_that_holds_a_secret_shows_it() {
    let mut random = fastrand::Rng::with_seed(11);
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    for _ in 0..rounds(100, 1_000) {
        let key = key(&mut random);
        let pieces = Pieces::of([&key]);
        let new = NewCustomer::builder()
            .name("x")
            .email(format!("{}@example.com", random.u64(..)))
            .api_key(key.clone())
            .build();
        let insert = diesel::insert_into(customers::table).values(&new);
        let changes = CustomerChanges { api_key: Some(ApiKey::from(key.clone())), ..CustomerChanges::default() };
        let mut texts = vec![
            format!("{new:?} {new:#?} {changes:?} {changes:#?} {:?}", ApiKey::from(key.as_str())),
            diesel::debug_query::<Pg, _>(&insert).to_string(),
            format!("{:?}", diesel::debug_query::<Pg, _>(&diesel::update(customers::table).set(&changes))),
        ];
        let customer: Customer = insert.returning(Customer::as_returning()).get_result(conn).unwrap();
        assert_eq!(customer.api_key.expose(), key);
        texts.push(format!("{customer:?} {customer:#?}"));
        texts.push(serde_json::to_string(&customer).unwrap());
        assert!(texts.iter().all(|text| !pieces.are_in(text)), "{texts:#?}");
    }
}
