//! How rows get into a table that is partitioned, and which partitions were loaded whole.

use std::time::Duration;

use serde::Serialize;

use crate::migrate::DEFAULT_LOCK_WAIT;
use crate::raw::{Sql, raw};

/// How rows get into a table that is partitioned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// By partitions, where the input has at least 5,000 rows.
    #[default]
    Auto,
    /// Into the table.
    Rows,
    /// Rows of partitions that are empty or not there go into tables of their own; the others into the table.
    Partitions,
}

/// How whole partitions are loaded.
#[derive(Debug, Clone)]
pub struct Loading {
    /// Whether they are.
    pub load: Load,
    /// Memory to build an index with, in MiB; `None` is what the server is set to.
    pub index_memory: Option<u32>,
    /// Processes that help to build an index; `None` is what the server is set to.
    pub index_workers: Option<u32>,
    /// How long locks are waited for.
    pub lock_wait: Duration,
}

impl Default for Loading {
    fn default() -> Self {
        Self { load: Load::default(), index_memory: None, index_workers: None, lock_wait: DEFAULT_LOCK_WAIT }
    }
}

impl Loading {
    /// By rows.
    pub fn rows() -> Self {
        Self { load: Load::Rows, ..Self::default() }
    }

    pub(super) fn settings(&self) -> Vec<Sql> {
        let memory = self.index_memory.map(|mib| raw!("SET LOCAL maintenance_work_mem = '{mib}MB'", mib));
        let workers = self.index_workers.map(|n| raw!("SET LOCAL max_parallel_maintenance_workers = {n}", n));
        memory.into_iter().chain(workers).collect()
    }
}

/// A partition that was loaded whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Loaded {
    /// Its name.
    pub partition: String,
    /// Its rows.
    pub rows: u64,
    /// How long COPY took.
    pub copy_seconds: f64,
    /// How long its indexes took.
    pub index_seconds: f64,
    /// How long the primary key, the foreign keys and the attaching took.
    pub keys_seconds: f64,
}
