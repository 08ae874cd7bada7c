//! `wait` and `--wait`: a server that is not there yet.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{assert_fails, on};
use crate::support::{Dbctl, Scratch, TestDb, signal};

#[test]
fn a_server_that_comes_later_is_waited_for() {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    for arguments in ["wait", "--wait=2m migrate status"] {
        scratch.cluster.stop().unwrap();
        let mut waiting = on(&scratch.cluster.url()).spawn(arguments);
        let mut said = String::new();
        BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("waiting for "), "{said}");
        scratch.cluster.start().unwrap();
        assert!(waiting.wait().unwrap().success(), "{arguments}");
    }
}

#[test]
fn the_wait_ends_when_its_time_is_up_or_a_signal_comes() {
    let scratch = Scratch::new();
    let begin = Instant::now();
    let run = on(&scratch.cluster.url()).run("wait --wait=1s");
    assert!(run.code == Some(3) && run.stderr.contains("\nerror: cannot connect"), "{run:?}");
    assert!(begin.elapsed() >= Duration::from_secs(1));

    let mut waiting = on(&scratch.cluster.url()).spawn("--wait=10m verify");
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    signal(&waiting, Signal::SIGTERM);
    assert_eq!(waiting.wait().unwrap().code(), Some(143));
}

#[test]
fn a_refusal_that_does_not_pass_is_not_waited_for() {
    let db = TestDb::empty();
    assert_eq!(Dbctl::on(&db).run("wait").code, Some(0));
    let nowhere = db.url().replace(db.database(), "nowhere");
    assert_fails(
        &on(&nowhere).run("wait --wait=10m"),
        3,
        "database \"nowhere\" does not exist",
        "optiinfra-dbctl create",
    );
}
