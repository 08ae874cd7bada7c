//! `serve`: what it answers, to whom, and that neither clients nor the database get it into trouble.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use optiinfra_db::connection;

use crate::support::{Answer, Dbctl, Scratch, Server, TestDb, figures, number, rounds, until};

const UP: &str = "optiinfra_db_up";
const COLLECTIONS: &str = "optiinfra_db_collections_total";
/// How long a test waits for figures, as Prometheus says it.
const IN_A_SECOND: &str = "X-Prometheus-Scrape-Timeout-Seconds: 1\r\n";

fn serving(db: &TestDb, arguments: &str) -> Server {
    Server::start(Dbctl::on(db), arguments)
}

#[test]
fn the_metrics_and_the_page_are_served_and_nothing_else() {
    let db = TestDb::seeded_now();
    let server = serving(&db, "");
    let metrics = server.get("/metrics");
    let figures = (metrics.status, metrics.series(UP), metrics.series(COLLECTIONS));
    assert_eq!(figures, (200, Some(1.0), Some(1.0)), "{}", server.get("/readyz").body);
    assert!(metrics.headers.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{metrics:?}");
    assert!(metrics.body.contains("optiinfra_db_verify_violations{check=\"schema.tables\"} 0\n"));
    let collected = metrics.series("optiinfra_db_collected_timestamp_seconds").unwrap();
    let verified = metrics.series("optiinfra_db_verified_timestamp_seconds").unwrap();
    assert!(verified <= collected && verified > collected - 10.0, "{verified} and {collected}");
    let page = server.get("/?anything");
    assert!(page.status == 200 && page.body.contains("checks passed</strong>"), "{page:?}");
    assert!(page.body.contains("verify at ") && page.body.contains(" passed, 0 failed, 0 skipped"), "{page:?}");
    assert!(page.body.contains("data-refresh=\"15\"") && page.headers.contains("content-type: text/html"), "{page:?}");
    let (alive, ready) = (server.get("/healthz"), server.get("/readyz"));
    assert_eq!((alive.status, ready.status, ready.body.as_str()), (200, 200, "ok\n"));
    for answer in [&metrics, &page, &alive, &ready, &server.get("/nothing")] {
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "frame-ancestors 'none'",
            "connection: close",
        ] {
            assert!(answer.headers.contains(header), "{header} in {answer:?}");
        }
        assert!(!answer.headers.contains("unsafe-inline"), "{answer:?}");
    }
    let head = server.ask("HEAD", "/metrics", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.headers.contains(&format!("content-length: {}", metrics.body.len())), "{head:?}");
    for path in ["/metrics/", "//metrics", "/../etc/passwd", "/%2e%2e/metrics", "/metrics%00", "/.env", "/Metrics", "*"]
    {
        assert!([404, 400].contains(&server.get(path).status), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let answer = server.ask(method, "/metrics", "");
        assert!(answer.status == 405 && answer.headers.contains("allow: get, head"), "{method}: {answer:?}");
    }
    assert_eq!(server.get("/metrics").series(COLLECTIONS), Some(1.0), "all of this was one");
}

#[test]
fn many_scrapes_at_once_are_one_collection_and_take_no_memory() {
    let db = TestDb::seeded_now();
    let server = serving(&db, "--interval 1h");
    let commits = || {
        let query = format!("SELECT xact_commit FROM pg_stat_database WHERE datname = '{}'", db.database());
        number(&mut db.conn(), &query)
    };
    let before = commits();
    let scrape = || {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..200).map(|_| scope.spawn(|| server.get("/metrics"))).collect();
            for client in clients {
                let answer = client.join().unwrap();
                assert_eq!((answer.series(UP), answer.series(COLLECTIONS)), (Some(1.0), Some(1.0)));
            }
        });
    };
    scrape();
    let memory = server.memory();
    for _ in 0..rounds(3, 30) {
        scrape();
    }
    let grown = server.memory().saturating_sub(memory);
    let commits = commits() - before;
    figures(&format!("200 scrapes at once: {commits} commits of all sessions, {} KiB more memory", grown / 1024));
    assert!(commits < 60, "as the database counts: {commits}");
    assert!(grown < 16 << 20, "{grown}");
    let sessions = "SELECT count(*) FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'optiinfra-dbctl/serve'";
    assert_eq!(number(&mut db.conn(), sessions), 1);
}

#[test]
fn each_interval_has_new_figures_for_who_asks() {
    let db = TestDb::seeded_now();
    let server = serving(&db, "--interval 0.1");
    let customers = |answer: &Answer| answer.body.contains("Newcomer");
    assert!(!customers(&server.get("/")));
    db.conn().batch_execute("UPDATE quality_metrics SET model_name = 'Newcomer' WHERE model_name = 'gpt-4'").unwrap();
    until("the page is of now", Duration::from_secs(1), || customers(&server.get("/")));
}

#[test]
fn a_database_that_goes_away_is_a_metric_and_one_that_comes_back_is_found() {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    let url = scratch.cluster.url().replace("user=optiinfra", "user=optiinfra&password=hunter2secret");
    let dbctl = |url: &str| Dbctl::new().env("DATABASE_URL", url);
    let server = Server::start(dbctl(&url), "--interval 0.1");
    let behind = server.get("/metrics");
    assert_eq!((behind.series(UP), behind.series("optiinfra_db_migrations_applied")), (Some(1.0), Some(0.0)));
    assert_eq!(server.get("/readyz").status, 503, "there is nothing to report");
    assert_eq!(dbctl(&url).run("migrate").code, Some(0));
    until("it is ready", Duration::from_secs(2), || server.get("/readyz").status == 200);

    scratch.cluster.stop().unwrap();
    until("it is down", Duration::from_secs(2), || server.get("/metrics").series(UP) == Some(0.0));
    let (ready, page, metrics) = (server.get("/readyz"), server.get("/"), server.get("/metrics"));
    assert_eq!((ready.status, page.status, metrics.status, server.get("/healthz").status), (503, 503, 200, 200));
    assert!(page.body.contains("id=\"problem\">cannot connect to ") && page.body.contains("data-refresh"), "{page:?}");
    assert!(metrics.series("optiinfra_db_collection_failures_total") >= Some(1.0), "{metrics:?}");
    for answer in [ready, page, metrics] {
        assert!(!answer.body.contains("hunter2secret"), "{answer:?}");
    }
    scratch.cluster.start().unwrap();
    until("it is up", Duration::from_secs(2), || server.get("/metrics").series(UP) == Some(1.0));
    // A session that is gone is replaced without a failure in between.
    let failures = |answer: &Answer| answer.series("optiinfra_db_collection_failures_total");
    let before = failures(&server.get("/metrics"));
    let mut conn = connection::connect(&scratch.cluster.target(), "test").unwrap();
    conn.batch_execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'optiinfra-dbctl/serve'",
    )
    .unwrap();
    assert_eq!(failures(&server.get("/metrics")), before);
    let run = server.end(Signal::SIGTERM);
    assert_eq!(run.code, Some(143));
    assert!(run.stderr.contains("no figures: cannot connect") && run.stderr.contains("figures again"), "{run:?}");
    assert!(!run.stderr.contains("hunter2secret"), "{run:?}");
}

/// The server process of the session of `serve` that is not among these.
fn backend(db: &TestDb, others: &[Pid]) -> Pid {
    let others: Vec<_> = others.iter().map(ToString::to_string).collect();
    let pid = format!(
        "SELECT coalesce(max(pid), 0)::bigint FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'optiinfra-dbctl/serve' AND pid != ALL ('{{{}}}')",
        others.join(",")
    );
    Pid::from_raw(number(&mut db.conn(), &pid).try_into().unwrap())
}

#[test]
fn a_database_that_is_silent_costs_a_scrape_its_limit_and_no_more() {
    let db = TestDb::seeded_now();
    let server = serving(&db, "--interval 0.1");
    let collections = || server.ask("GET", "/metrics", IN_A_SECOND).series(COLLECTIONS);
    until("the first collection", Duration::from_secs(10), || collections() >= Some(1.0));
    let backend = backend(&db, &[]);
    kill(backend, Signal::SIGSTOP).unwrap();
    let before = collections();
    let (stopped, page) = (server.ask("GET", "/metrics", IN_A_SECOND), server.ask("GET", "/", IN_A_SECOND));
    kill(backend, Signal::SIGCONT).unwrap();
    assert_eq!((stopped.series(UP), stopped.series(COLLECTIONS)), (Some(1.0), before), "the last good ones");
    assert!(page.body.contains("checks passed</strong>"));
    until("it goes on", Duration::from_secs(2), || collections() > before);
}

#[test]
fn a_session_that_hangs_is_given_up_and_a_new_one_takes_its_place() {
    let db = TestDb::seeded_now();
    let server = serving(&db, "--interval 0.1 --timeout 2");
    let is_up = || server.ask("GET", "/metrics", IN_A_SECOND).series(UP) == Some(1.0);
    let why = || server.get("/readyz").body;
    let mut stopped = Vec::new();
    for _ in 0..3 {
        until("there are figures", Duration::from_secs(10), is_up);
        let backend = backend(&db, &stopped);
        kill(backend, Signal::SIGSTOP).unwrap();
        stopped.push(backend);
        until("it is down", Duration::from_secs(10), || !is_up());
    }
    let reason = "no figures: the database has not answered within 2 s, and the session was given up";
    until("no further session is begun", Duration::from_secs(10), || why() == "3 sessions hang\n");
    assert_eq!(backend(&db, &stopped).as_raw(), 0);
    stopped.iter().for_each(|backend| kill(*backend, Signal::SIGCONT).unwrap());
    until("it is up again", Duration::from_secs(10), is_up);
    let is_there =
        |pid: &Pid| number(&mut db.conn(), &format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}")) == 1;
    until("the others have ended", Duration::from_secs(10), || !stopped.iter().any(is_there));
    let run = server.end(Signal::SIGTERM);
    assert!(run.code == Some(143) && run.stderr.contains(reason), "{run:?}");
}

#[test]
fn a_database_that_never_answers_is_down() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgresql://u:hunter2secret@127.0.0.1:{}/d", silent.local_addr().unwrap().port());
    let server = Server::start(Dbctl::new().env("DATABASE_URL", &url), "");
    let metrics = server.ask("GET", "/metrics", IN_A_SECOND);
    assert_eq!((metrics.status, metrics.series(UP)), (200, Some(0.0)));
    let ready = server.ask("GET", "/readyz", IN_A_SECOND);
    assert_eq!((ready.status, ready.body.as_str()), (503, "the database has not answered within 0.8 s\n"));
    assert_eq!(server.get("/healthz").status, 200);
    // Neither does a signal wait for it.
    assert_eq!(server.end(Signal::SIGINT).code, Some(130));
}

#[test]
fn slow_and_malicious_clients_get_nothing_and_keep_nobody_out() {
    let db = TestDb::migrated();
    let server = serving(&db, "--interval 1h");
    assert_eq!(server.get("/metrics").series(UP), Some(1.0), "{}", server.get("/readyz").body);
    let slow: Vec<_> = (0..rounds(400, 1000))
        .map(|at| {
            let mut client = server.connect();
            // Some say nothing at all.
            if at % 3 > 0 {
                client.write_all(b"GET /metrics HTTP/1.1\r\nHost: loc").unwrap();
            }
            client
        })
        .collect();
    assert_eq!(server.get("/metrics").series(UP), Some(1.0), "the oldest slow one makes way");
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    figures(&format!("{} slow clients: {open} files open, {} KiB of memory", slow.len(), server.memory() / 1024));
    assert!(open < 300, "{open}");
    let mut last = slow.into_iter().last().unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(!answer.contains("200"), "it is closed in the end: {answer}");

    let memory = server.memory();
    let long = "x".repeat(10 << 20);
    for request in [
        format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(200)),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{long}", long.len()),
        "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "\0\0\0\x16\x03\x01 nonsense\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".to_owned(),
    ] {
        let answer = server.send(request.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(server.memory() < memory + (8 << 20), "{memory} and then {}", server.memory());
    let pipelined = server.send(&b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50));
    assert_eq!(pipelined.matches("HTTP/1.1 200").count(), 1, "one request a connection");
    assert_eq!(server.get("/metrics").series(UP), Some(1.0));
}

#[test]
fn only_this_machine_is_served_unless_others_are_allowed() {
    let db = TestDb::migrated();
    let open = |arguments: &str| Dbctl::on(&db).run(&format!("serve --listen {arguments}"));
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9187"] {
        let run = open(address);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
        assert!(run.stderr.contains("the pages have no password") && run.stderr.contains("--allow-remote"), "{run:?}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let run = open(&taken.local_addr().unwrap().to_string());
    assert!(run.code == Some(2) && run.stderr.contains("pass another --listen"), "{run:?}");
    assert_eq!(open("localhost").code, Some(2));
    assert_eq!(Dbctl::new().run("serve").code, Some(2), "no database is named");

    let ask = |server: &Server, host: &str| {
        Answer::read(&server.send(format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())).status
    };
    let server = serving(&db, "");
    for host in ["localhost", "LOCALHOST:9187", "127.0.0.1:80", "[::1]:9187", "127.1.2.3"] {
        assert_eq!(ask(&server, host), 200, "{host}");
    }
    // A page from elsewhere whose name was made to mean this machine.
    for host in ["evil.example", "localhost.evil.example:9187", "10.0.0.1", "", "[::1"] {
        assert_eq!(ask(&server, host) / 100, 4, "{host}");
    }
    assert_eq!(ask(&serving(&db, "--allow-remote"), "metrics.example"), 200);
}

#[test]
fn a_monitor_that_may_read_no_table_has_metrics_too_and_writes_nothing() {
    let db = TestDb::seeded_now();
    let role = db.role();
    db.conn()
        .batch_execute(&format!("GRANT USAGE ON SCHEMA {} TO {1}; GRANT pg_monitor TO {1}", db.schema(), role.name))
        .unwrap();
    let server = Server::start(Dbctl::new().env("DATABASE_URL", &db.url_as(&role.name)), "");
    let metrics = server.get("/metrics");
    assert_eq!((metrics.series(UP), metrics.series("optiinfra_db_blocked_sessions")), (Some(1.0), Some(0.0)));
    assert!(metrics.body.contains("optiinfra_db_skipped_info{what=\"layer resource\"} 1\n"), "{metrics:?}");
    assert_eq!(server.get("/").status, 200);
    let written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables";
    let before = number(&mut db.conn(), written);
    let reader = serving(&db, "--interval 0.1");
    until("it has looked twice", Duration::from_secs(2), || reader.get("/metrics").series(COLLECTIONS) > Some(1.0));
    assert_eq!(number(&mut db.conn(), written), before);
}

#[test]
fn a_signal_ends_it_at_once_with_its_code_and_answers_what_was_asked() {
    let db = TestDb::seeded_now();
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let server = serving(&db, "");
        let mut idle = server.connect();
        let mut asking = server.connect();
        asking.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // It has been heard when the next one is.
        assert_eq!(server.get("/healthz").status, 200);
        let run = server.end(signal);
        assert_eq!((run.code, run.stderr.as_str(), run.stdout.as_str()), (Some(code), "", ""));
        let mut answer = String::new();
        asking.read_to_string(&mut answer).unwrap();
        assert_eq!(Answer::read(&answer).series(UP), Some(1.0));
        assert_eq!(idle.read(&mut [0]).unwrap_or_default(), 0, "closed");
    }
}
