//! A running `serve`, and a client that sends what it likes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Dbctl, Run, signal};

/// An invocation of `serve` on a port of its own. It is killed with its test.
pub struct Server {
    child: Option<Child>,
    pub address: SocketAddr,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub headers: String,
    pub body: String,
}

impl Server {
    pub fn start(dbctl: Dbctl, arguments: &str) -> Self {
        let mut child = dbctl.spawn(&format!("serve --listen 127.0.0.1:0 {arguments}"));
        let stderr = child.stderr.as_mut().expect("piped");
        let mut line = String::new();
        // Byte by byte, so that nothing behind the line is taken.
        BufReader::with_capacity(1, stderr).read_line(&mut line).expect("a line");
        let address = line.strip_prefix("serving http://").and_then(|rest| rest.split('/').next()?.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{line}"));
        Self { child: Some(child), address }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What of its memory is in use, in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        stream
    }

    /// Sends bytes, and reads what comes until the connection ends.
    pub fn send(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that has heard enough may close before all is sent, and what it said may be lost with it.
        let sent = stream.write_all(request);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        assert!(sent.is_ok() && read.is_ok() || request.len() > 4096, "{sent:?} {read:?}");
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let text = self.send(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes());
        Answer::read(&text)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// Sends a signal, and waits for the end.
    pub fn end(mut self, with: Signal) -> Run {
        let child = self.child.take().expect("it runs");
        signal(&child, with);
        Run::of(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }
}

impl Answer {
    pub fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("{line}")),
            headers: headers.to_lowercase(),
            body: body.to_owned(),
        }
    }

    /// The value of a series of the metrics, by the whole name with its labels.
    pub fn series(&self, name: &str) -> Option<f64> {
        self.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }
}
