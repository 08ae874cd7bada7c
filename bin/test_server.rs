//! `local test-server`: databases for tests that are not written in Rust.
//!
//! A protocol of lines, since every language has those: a runner of tests starts the command and keeps its input open.

use std::collections::HashMap;
use std::io::{self, BufRead};

use anyhow::bail;
use optiinfra_db::testing::{Content, Database, Server};

use crate::hints::Hinted;
use crate::output::{Output, printable};

/// Answers each line of the input until that ends, or nobody reads the answers.
pub fn run(out: &mut Output) -> anyhow::Result<()> {
    let server = Server::start()?;
    let mut databases = HashMap::new();
    for line in io::stdin().lock().lines() {
        let answer = answer(&server, &mut databases, line?.trim())?;
        out.line(&answer)?;
        if out.is_closed() {
            break;
        }
    }
    Ok(())
}

fn answer(server: &Server, databases: &mut HashMap<String, Database>, request: &str) -> anyhow::Result<String> {
    let content = match request.split_once(' ') {
        None if request == "migrated" => Content::Migrated,
        None if request == "seeded" => Content::Seeded,
        Some(("drop", url)) if databases.remove(url).is_some() => return Ok("dropped".to_owned()),
        _ => {
            let message = format!("'{}' is not a request that a server for tests answers", printable(request));
            bail!(Hinted::new(message, "send a line `migrated`, `seeded`, or `drop` with a URL that it answered"));
        }
    };
    let database = server.database(content)?;
    let url = database.url().to_owned();
    databases.insert(url.clone(), database);
    Ok(url)
}
