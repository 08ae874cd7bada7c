//! A private cluster that one test may stop, kill and destroy.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::unistd::Pid;
use optiinfra_db::local::{Cluster, Status};

/// A cluster in a directory that goes with the test.
pub struct Scratch {
    pub cluster: Cluster,
    _parent: tempfile::TempDir,
}

impl Scratch {
    /// Nothing is there yet.
    pub fn new() -> Self {
        // Whoever owns the cluster has to get to it through its parents.
        let open = fs::Permissions::from_mode(0o755);
        let parent = tempfile::Builder::new().prefix("oi-").permissions(open).tempdir().expect("a directory");
        Self { cluster: Cluster::at(parent.path().join("c")), _parent: parent }
    }

    /// The running server.
    pub fn pid(&self) -> Pid {
        match self.cluster.status().expect("our own cluster") {
            Status::Running { pid, .. } => Pid::from_raw(i32::try_from(pid).expect("a process id")),
            other => panic!("not running: {other:?}"),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.destroy() {
            eprintln!("a test's cluster stays: {error}");
        }
    }
}
