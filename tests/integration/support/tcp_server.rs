//! A server of one test that listens on 127.0.0.1, with TLS or without.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use optiinfra_db::connection::{self, Target};

use super::Scratch;
use super::certificates::Certificate;

/// A running server.
pub struct TcpServer {
    scratch: Scratch,
    pub port: u16,
}

impl TcpServer {
    /// With TLS when there is a certificate; client certificates are checked against `authority`.
    ///
    /// The rules for who may come in are the lines of `rules`, which may hold the address of the test's client.
    pub fn start(certificate: Option<(&Certificate, PathBuf)>, rules: &str) -> Self {
        let scratch = Scratch::new();
        scratch.cluster.start().expect("a cluster");
        let data = scratch.cluster.dir().join("data");
        let binary = fs::read_to_string(data.join("postmaster.opts")).expect("how the server was started");
        let binary = PathBuf::from(binary.split_whitespace().next().expect("its path"));
        scratch.cluster.stop().expect("it stops");
        fs::write(data.join("pg_hba.conf"), format!("local all all trust\n{rules}\n")).expect("rules");
        let owner = fs::metadata(&data).expect("the data directory");
        let mut settings = "fsync=off\nlisten_addresses='127.0.0.1'\n".to_owned();
        if let Some((certificate, authority)) = certificate {
            for (from, to) in
                [(&certificate.certificate, "server.crt"), (&certificate.key, "server.key"), (&authority, "root.crt")]
            {
                fs::copy(from, data.join(to)).expect("a copy");
                chown(data.join(to), Some(owner.uid()), Some(owner.gid())).expect("the server's own");
            }
            settings += "ssl=on\nssl_ca_file='root.crt'\n";
        }
        settings += &format!("unix_socket_directories='{}'\n", scratch.cluster.dir().display());
        // Another process may take the port before the server does.
        for _ in 0..5 {
            let port =
                TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
            fs::write(data.join("postgresql.auto.conf"), format!("{settings}port={port}\n")).expect("settings");
            let mut start = Command::new(binary.with_file_name("pg_ctl"));
            start.args(["start", "--wait", "--silent", "--pgdata"]).arg(&data);
            start.arg("--log").arg(scratch.cluster.dir().join("log")).stdin(Stdio::null()).current_dir("/");
            if owner.uid() != nix::unistd::geteuid().as_raw() {
                start.uid(owner.uid()).gid(owner.gid());
            }
            if start.status().expect("pg_ctl runs").success() {
                return Self { scratch, port };
            }
        }
        panic!("{}", fs::read_to_string(scratch.cluster.dir().join("log")).unwrap_or_default());
    }

    /// Through the Unix socket, where everybody is let in.
    pub fn conn(&self) -> PgConnection {
        let target = self.scratch.cluster.target().with("port", &self.port.to_string());
        connection::connect(&target, "test").expect("a connection to the test's server")
    }

    /// Over TCP, by a name that is not this machine's.
    pub fn target(&self, more: &str) -> Target {
        Target::parse(&self.keywords(more)).expect("our own connection string")
    }

    /// The same as text.
    pub fn keywords(&self, more: &str) -> String {
        format!("{} user=optiinfra {more}", self.address("db.example.test"))
    }

    /// Where it listens, under a name.
    pub fn address(&self, host: &str) -> String {
        format!("host={host} hostaddr=127.0.0.1 port={} dbname=optiinfra", self.port)
    }

    /// Makes a role.
    pub fn role(&self, definition: &str) {
        self.conn().batch_execute(&format!("CREATE ROLE {definition}")).expect("a role");
    }
}
