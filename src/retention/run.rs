//! Removes one part after the other.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;

use super::archive::Folder;
use super::plan::{self, Part, TablePlan};
use super::rollup::Rollup;
use super::trim::Trim;
use super::{Event, Options};
use crate::catalog::HotTable;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::migrate::Migrator;
use crate::partitions::{self, ACCESS_EXCLUSIVE, Live, Step, run_steps};
use crate::raw::{Sql, raw};

/// A run over one table.
pub(super) struct Run<'a> {
    pub options: &'a Options,
    /// Where rows are written before they go.
    pub folder: Option<&'a Folder<'a>>,
    pub deadline: Deadline,
    pub hot: &'static HotTable,
    pub is_distributed: bool,
    /// Rows before this time go.
    pub cutoff: DateTime<Utc>,
    pub observer: &'a mut dyn FnMut(Event<'_>),
}

impl Run<'_> {
    /// Sums the hours of the table where it is asked for; whether its rows may go.
    pub fn roll_up(&mut self, conn: &mut PgConnection, table: &mut TablePlan) -> Result<bool> {
        let Some(rollup) = Rollup::of(self.hot).filter(|_| self.options.rollup && table.left_alone.is_none()) else {
            return Ok(true);
        };
        let (hours, is_done) = rollup.write(conn, self.deadline)?;
        table.sums_written = hours;
        Ok(is_done)
    }

    /// Removes what is past its time of a part, as long as there is time, and makes of the part what went.
    pub fn remove(&mut self, conn: &mut PgConnection, part: &mut Part, may_go: bool) -> Result<()> {
        let may_go = may_go && !self.deadline.has_passed();
        if may_go && !part.whole {
            self.finish_sums(conn, &part.name)?;
        }
        let rows = match (self.folder, part.whole) {
            _ if !may_go => 0,
            (Some(folder), true) => self.archive_partition(conn, folder, part)?,
            (Some(folder), false) => self.archive_rows(conn, folder, part)?,
            (None, true) => self.drop_partition(conn, part)?,
            (None, false) => self.delete_rows(conn, part)?,
        };
        part.scale_to(rows);
        Ok(())
    }

    /// Before samples go.
    fn finish_sums(&self, conn: &mut PgConnection, part: &str) -> Result<()> {
        Rollup::of(self.hot).map_or(Ok(()), |rollup| rollup.finish(conn, part, self.cutoff))
    }

    fn delete_rows(&mut self, conn: &mut PgConnection, part: &Part) -> Result<i64> {
        let trim = self.trim(&part.name);
        let rows = trim.run(conn, |rows| (self.observer)(Event::Deleted(&part.name, rows)))?;
        if rows > 0 {
            trim.vacuum(conn)?;
        }
        Ok(rows)
    }

    /// Drops a partition, for which it locks the table and its default partition, which takes the rows of that time from
    /// then on. The server removes the files after it has released the locks.
    fn drop_partition(&mut self, conn: &mut PgConnection, part: &Part) -> Result<i64> {
        let drop = raw!("DROP TABLE {name}", name = Sql::identifier(&part.name));
        let step = Step::transaction(format!("drop the partition {}", part.name), &[drop]);
        let is_dropped = self.change_partition(conn, part, step.locking(self.hot.name, ACCESS_EXCLUSIVE))?;
        Ok(if is_dropped { part.rows } else { 0 })
    }

    /// Does something to a partition that is past its time; whether it still was one.
    pub fn change_partition(&mut self, conn: &mut PgConnection, part: &Part, step: Step) -> Result<bool> {
        let (table, cutoff) = (self.hot.name, self.cutoff);
        Migrator::default().lock_wait(self.options.lock_wait).under_lock(conn, |conn| {
            // Another run may have changed everything while this one waited.
            let live = Live::read(conn)?;
            let is_there = live.catalog.partitions(table).any(|it| it.name == part.name && plan::is_past(it, cutoff));
            if is_there {
                self.finish_sums(conn, &part.name)?;
                self.step(conn, step)?;
            }
            Ok(is_there)
        })
    }

    /// Does a step, again and again where it meets a lock.
    pub fn step(&mut self, conn: &mut PgConnection, step: Step) -> Result<()> {
        let observer = &mut |event: partitions::Event<'_>| (self.observer)(Event::Step(event));
        run_steps(conn, self.hot.name, &[step], self.options.lock_wait, observer)
    }

    pub fn trim<'t>(&self, table: &'t str) -> Trim<'t> {
        let lock_wait = self.options.lock_wait;
        let Self { hot, is_distributed, cutoff, deadline, .. } = *self;
        Trim { hot, table, is_distributed, cutoff, deadline, lock_wait }
    }
}
