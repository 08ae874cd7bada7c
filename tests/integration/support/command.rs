//! Runs the binary as a user does.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::TestDb;

/// Sends a signal to an invocation that runs.
pub fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a process id")), signal).expect("the process is there");
}

/// An invocation of the binary, without anything of the tester's environment that would tell it where to connect.
pub struct Dbctl {
    command: Command,
}

/// What came of an invocation.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    /// Without the line that says where a command writes.
    pub stderr: String,
    /// That line, if the command wrote one: `optiinfra on db1:5432 as app`.
    pub place: Option<String>,
}

impl Dbctl {
    pub fn new() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_optiinfra-dbctl"));
        for (name, _) in std::env::vars() {
            if name.starts_with("PG") || name.starts_with("OPTIINFRA_LOCAL") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        // An empty directory of our own: no .env to find.
        command.current_dir(Path::new("/")).env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped());
        Self { command }
    }

    /// An invocation that works on a test's schema.
    pub fn on(db: &TestDb) -> Self {
        Self::new().env("DATABASE_URL", &db.url())
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Gives it something to read.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Gives it another place for its result.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Runs with the arguments, which stand in one text as in a shell.
    pub fn run(self, arguments: &str) -> Run {
        Run::of(self.spawn(arguments))
    }

    /// Runs with arguments that may hold spaces.
    pub fn run_with(mut self, arguments: &[&str]) -> Run {
        self.command.args(arguments);
        self.run("")
    }

    /// Takes arguments that may hold spaces.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Runs on a terminal of its own, on which somebody types a line. The terminal shows both streams.
    pub fn run_on_terminal(self, arguments: &str, line: &str) -> Run {
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{} {arguments}", env!("CARGO_BIN_EXE_optiinfra-dbctl")), "/dev/null"]);
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("script");
        writeln!(child.stdin.take().expect("piped"), "{line}").expect("typed");
        Run::of(child)
    }

    /// The same as `run` without waiting for the end.
    pub fn spawn(mut self, arguments: &str) -> Child {
        self.command.args(arguments.split_whitespace()).stderr(Stdio::piped());
        self.command.spawn().expect("the binary runs")
    }
}

impl Run {
    /// Waits for the end of an invocation.
    pub fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("the binary ends");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8 on stderr");
        let is_place = |line: &&str| matches!(line.split(' ').collect::<Vec<_>>()[..], [_, "on", _, "as", _, ..]);
        let place = stderr.lines().find(is_place).map(str::to_owned);
        let stderr = match &place {
            Some(place) => stderr.replacen(&format!("{place}\n"), "", 1),
            None => stderr,
        };
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            stderr,
            place,
        }
    }

    /// The error as it reads without `--format json`: what failed, and the hint.
    pub fn failure(&self) -> String {
        let last = self.stderr.lines().last().unwrap_or_default();
        let error: serde_json::Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("{error} in {self:#?}"));
        let part = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("no {name} in {self:#?}"));
        format!("error: {}\nhint: {}\n", part("error"), part("hint"))
    }

    /// The result, which must be JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }
}
