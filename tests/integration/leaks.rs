//! No password in anything that is printed: generated ones through every way in which a connection string can be
//! written and can fail, in the library and in the binary.
//!
//! A hit is a piece of four characters of the password that the same way does not print for other passwords.

use std::collections::HashMap;
use std::error::Error as _;

use diesel::connection::SimpleConnection;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::{Error, Result};

use crate::support::{Dbctl, Run, Scratch, TestDb, figures, rounds};

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
    /// To a server that asks for a password and gets this one, which is wrong.
    Wrong,
}

impl Way {
    const ALL: [Self; 5] = [Self::Url, Self::RawUrl, Self::Keywords, Self::RawKeywords, Self::Wrong];

    /// The connection string; all but the last lead to a closed port or are malformed.
    fn write(self, password: &str, server: &Scratch) -> String {
        match self {
            Self::Url => format!("postgresql://u:{}@127.0.0.1:1/d", percent_encoded(password)),
            Self::RawUrl => format!("postgresql://u:{password}@127.0.0.1:1/d"),
            Self::Keywords => format!("host=127.0.0.1 port=1 user=u dbname=d password='{}'", quoted(password)),
            Self::RawKeywords => format!("host=127.0.0.1 port=1 user=u password={password} dbname=d"),
            Self::Wrong => {
                let url = server.cluster.url().replace("user=optiinfra", &format!("user={ROLE}"));
                format!("{url}&password={}", percent_encoded(password))
            }
        }
    }
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
    let mut text = format!("{error} {error:?} {error:#?} {:?}", error.hint());
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

fn shown_unless_ok<T>(result: Result<T>) -> String {
    result.err().map(|error| shown(&error)).unwrap_or_default()
}

/// Everything that the library says about a connection string.
fn library(way: Way, password: &str, server: &Scratch) -> String {
    match Target::parse(&way.write(password, server)) {
        Err(error) => shown(&error),
        Ok(target) => {
            let connected = shown_unless_ok(connection::connect(&target, "test"));
            assert!(connected.contains("cannot connect"), "{way:?}: {connected}");
            let pool = shown_unless_ok(connection::pool(&target, 2, "test"));
            format!("{target} {target:?} {target:#?} {connected} {pool}")
        }
    }
}

/// Everything that the binary says about a connection string.
fn binary(way: Way, password: &str, server: &Scratch) -> String {
    let text = way.write(password, server);
    let set = || Dbctl::new().env("DATABASE_URL", &text);
    let mut runs = vec![
        set().run("migrate status -vv"),
        set().run("stats --format json"),
        set().run("--help"),
        Dbctl::new().run_with(&["verify", "-vv", "--database-url", &text]),
        Dbctl::new().run_with(&["verify", "--local", "--database-url", &text]),
        // Where it does not belong.
        Dbctl::new().run_with(&["migrate", &text]),
        Dbctl::new().run_with(&["seed", &text]),
        Dbctl::new().run_with(&["stats", &format!("--databaseurl={text}")]),
        Dbctl::new().run_with(&["migrate", "--to", &text]),
    ];
    if way == Way::Wrong {
        let url = server.cluster.url().replace("user=optiinfra", &format!("user={ROLE}"));
        runs.push(Dbctl::new().env("DATABASE_URL", &url).env("PGPASSWORD", password).run("migrate -vv"));
    }
    let texts = runs.into_iter().map(|Run { code, stdout, stderr }| {
        assert!(matches!(code, Some(0 | 2 | 3)), "{code:?} {stderr}");
        stdout + &stderr
    });
    texts.collect()
}

/// Puts passwords through a way to say something, and counts those of which a piece comes out.
fn hits(count: usize, shapes: &[&str], say: impl Fn(Way, &str, &Scratch) -> String) -> Vec<String> {
    let server = server_with_passwords();
    let mut usual: HashMap<Way, String> = HashMap::new();
    for way in Way::ALL {
        let texts: Vec<_> = shapes.iter().map(|shape| say(way, shape, &server)).collect();
        usual.insert(way, texts.concat());
    }
    let mut random = fastrand::Rng::with_seed(2025);
    let mut hits = Vec::new();
    for _ in 0..count {
        let password = password(&mut random);
        let characters: Vec<char> = password.chars().collect();
        let pieces: Vec<String> = characters.windows(PIECE).map(|piece| piece.iter().collect()).collect();
        for way in Way::ALL {
            let text = say(way, &password, &server);
            let found = |usual: &str| pieces.iter().any(|piece| text.contains(piece) && !usual.contains(piece));
            // The shape may lead to a message that is not among the usual ones.
            if found(&usual[&way]) && found(&say(way, &masked(&password), &server)) {
                hits.push(format!("{way:?} {password:?}: {text}"));
            }
        }
    }
    hits
}

#[test]
fn the_library_says_nothing_of_a_password() {
    let count = rounds(500, 10_000);
    let hits = hits(count, &SHAPES, library);
    assert!(hits.is_empty(), "{} hits: {:#?}", hits.len(), &hits[..hits.len().min(3)]);
    figures(&format!("{count} passwords through {} ways in the library: 0 leaks", Way::ALL.len()));
}

#[test]
fn the_binary_says_nothing_of_a_password() {
    let count = rounds(10, 200);
    let hits = hits(count, &SHAPES[..4], binary);
    assert!(hits.is_empty(), "{} hits: {:#?}", hits.len(), &hits[..hits.len().min(3)]);
    figures(&format!("{count} passwords through {} ways in the binary: 0 leaks", Way::ALL.len()));
}

#[test]
fn what_works_says_nothing_of_its_password_either() {
    let db = TestDb::empty();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..rounds(20, 200) {
        let password = format!("{}Tr0ub4dor", password(&mut random));
        let target = db.target().with("password", &password);
        let pool = connection::pool(&target, 1, "test").unwrap();
        let conn = pool.get().unwrap();
        let text = format!("{target} {target:?} {pool:?}");
        assert!(!text.contains("Tr0u") && !text.contains(&password), "{text}");
        drop(conn);
    }
}

#[test]
fn a_planted_leak_is_found() {
    let planted = |way: Way, password: &str, _: &Scratch| match way {
        Way::RawUrl => format!("there is no host {}", password.chars().take(5).collect::<String>()),
        _ => "there is no host".to_owned(),
    };
    let hits = hits(20, &SHAPES, planted);
    assert!(hits.len() >= 19 && hits.iter().all(|hit| hit.starts_with("RawUrl")), "{hits:#?}");
}
