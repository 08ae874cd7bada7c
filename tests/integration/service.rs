//! The example service over HTTP: it migrates when it starts, and its readiness follows the schema and not its peers.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use diesel::connection::SimpleConnection;
use optiinfra_db::layer::Layer;
use optiinfra_db::migrate::{Goal, Migrator};
use optiinfra_db::seed;

use crate::support::{TestDb, example};

/// The example, serving on a port of its own until dropped.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    fn start(db: &TestDb) -> Self {
        let mut run = example("service_startup", &db.url());
        let mut process = run.env("LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, address: line.trim().strip_prefix("listening on ").unwrap().to_owned() }
    }

    /// Status and body of a request.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_service_migrates_when_it_starts_and_answers() {
    let db = TestDb::empty();
    let service = Service::start(&db);
    assert_eq!(service.get("/healthz"), (200, "alive".to_owned()));
    assert_eq!(service.get("/readyz"), (200, "ready".to_owned()));
    assert_eq!(service.get("/elsewhere").0, 404);
    seed::run(&mut db.conn(), &[Layer::Core], chrono::Utc::now()).unwrap();
    let (status, body) = service.get("/agents");
    let agents: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, agents.as_array().unwrap().len()), (200, 5));
    assert_eq!(agents[0]["name"], "orchestrator-main");
}

#[test]
fn readiness_follows_what_this_build_needs() {
    let db = TestDb::empty();
    let service = Service::start(&db);
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')";
    db.conn().batch_execute(newer).unwrap();
    assert_eq!(service.get("/readyz").0, 200, "a newer peer has migrated");
    db.conn().batch_execute("DELETE FROM __diesel_schema_migrations WHERE version = '99990101000000'").unwrap();
    Migrator::default().run(&mut db.conn(), &Goal::Back(1)).unwrap();
    assert_eq!(service.get("/readyz"), (503, "migrations are pending".to_owned()));
    assert_eq!(service.get("/healthz").0, 200);
}

#[test]
fn several_services_that_start_at_once_all_become_ready() {
    let db = TestDb::empty();
    std::thread::scope(|scope| {
        let services: Vec<_> = (0..4).map(|_| scope.spawn(|| Service::start(&db))).collect();
        for service in services {
            assert_eq!(service.join().unwrap().get("/readyz").0, 200);
        }
    });
}
