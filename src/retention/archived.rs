//! Removes rows once an archive holds them.
//!
//! A partition is taken out of its table, so that nobody writes to it any more, then written to a file, and dropped when both
//! are proven equal. Rows of other tables are written week by week, and each one goes that is still what the file says.

use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;

use super::Event;
use super::archive::{self, Folder};
use super::error::Error;
use super::plan::{Part, detached_comment};
use super::rows::{self, Sums};
use super::run::Run;
use super::trim::{Pace, Trim};
use crate::catalog::HotTable;
use crate::error::{Doing, Result};
use crate::migrate::Migrator;
use crate::partitions::{self, ACCESS_EXCLUSIVE, Live, Period, SHARE_ROW_EXCLUSIVE, Step};
use crate::raw::{RunSql, Sql, raw, sql_query};
use crate::transfer::{self, Names, Table};

impl Run<'_> {
    /// Archives a partition and drops it.
    pub fn archive_partition(&mut self, conn: &mut PgConnection, folder: &Folder<'_>, part: &mut Part) -> Result<i64> {
        let (name, table) = (part.name.as_str(), archived(self.hot)?);
        if !part.detached && !self.change_partition(conn, part, detach(self.hot, name))? {
            return Ok(0);
        }
        (self.observer)(Event::Archiving(name));
        let sums = rows::sums(conn, table, name).doing(format!("read {name}"))?;
        if sums != Sums::default() {
            let file = file_of(conn, folder, table, name, sums)?;
            part.archives.push(file);
        }
        // Before it is read once more: a customer that goes would take rows along, and to drop it would lock their tables.
        if let Some(step) = keys_of(&Live::read(conn)?, &part.name) {
            Migrator::default().lock_wait(self.options.lock_wait).under_lock(conn, |conn| self.step(conn, step))?;
        }
        let name = Sql::identifier(&part.name);
        let is_equal = self.trim(&part.name).in_transaction(conn, |conn| {
            conn.batch(raw!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE", name = &name))?;
            let is_equal = rows::sums(conn, table, &part.name)? == sums;
            if is_equal {
                conn.batch(raw!("DROP TABLE {name}", name = &name))?;
            }
            Ok(is_equal)
        })?;
        if is_equal { Ok(sums.rows) } else { Err(Error::ArchiveDiffers(part.name.clone()).into()) }
    }

    /// Archives the rows of a table that are past their time, a file a week, and deletes them.
    pub fn archive_rows(&mut self, conn: &mut PgConnection, folder: &Folder<'_>, part: &mut Part) -> Result<i64> {
        let (table, name) = (archived(self.hot)?, part.name.as_str());
        let (trim, time) = (self.trim(name), self.hot.time_in_sql());
        let mut deleted = 0;
        for week in weeks(conn, self.hot, name, self.cutoff)? {
            let (to, of) = (Period::Week.next(week), format!("{name}_week_{}", week.format("%Y%m%d")));
            (self.observer)(Event::Archiving(&of));
            let names = Names::load(conn)?;
            for path in folder.files(&of)? {
                deleted += prune(conn, &trim, table, &names, &path)?;
            }
            if self.deadline.has_passed() {
                break;
            }
            if rows::any(conn, (name, time), week, to).doing(format!("look for rows of {name}"))? {
                let path = folder.write(conn, (table, name), &of, Some((week, to)))?;
                deleted += prune(conn, &trim, table, &names, &path)?;
                part.archives.push(path);
            }
            (self.observer)(Event::Deleted(name, deleted));
        }
        if deleted > 0 {
            trim.vacuum(conn)?;
        }
        Ok(deleted)
    }
}

/// The file that holds exactly these rows of a partition, which is written where there is none.
fn file_of(conn: &mut PgConnection, folder: &Folder<'_>, table: Table, name: &str, sums: Sums) -> Result<PathBuf> {
    let names = Names::load(conn)?;
    let of_file = |path: &Path| archive::read(path, table, names.clone(), |_, _| Ok(true));
    for path in folder.files(name)? {
        if of_file(&path)? == sums {
            return Ok(path);
        }
    }
    let path = folder.write(conn, (table, name), name, None)?;
    if of_file(&path)? == sums { Ok(path) } else { Err(Error::ArchiveDiffers(name.to_owned()).into()) }
}

fn archived(hot: &HotTable) -> Result<Table> {
    Ok(hot.name.parse().map_err(|transfer::UnknownTable(name)| partitions::Error::UnknownTable(name))?)
}

/// Takes a partition out of its table, and remembers why.
fn detach(hot: &HotTable, name: &str) -> Step {
    let (table, partition) = (hot.name, Sql::identifier(name));
    let comment = Sql::literal(&detached_comment(hot));
    let statements = [
        raw!("ALTER TABLE {table} DETACH PARTITION {partition}", table, partition = &partition),
        raw!("COMMENT ON TABLE {partition} IS {comment}", partition, comment),
    ];
    let step = Step::transaction(format!("take the partition {name} out of the table"), &statements);
    let referenced = crate::catalog::contract().foreign_keys().filter(|(key, _)| key.table == table);
    let step = step.locking_each(referenced.map(|(_, key)| key.references.as_str()), SHARE_ROW_EXCLUSIVE);
    step.locking(table, ACCESS_EXCLUSIVE)
}

/// Removes the foreign keys of a table that was a partition; `None` where it has none.
fn keys_of(live: &Live, name: &str) -> Option<Step> {
    let keys: Vec<_> = live.catalog.foreign_keys().filter(|(constraint, _)| constraint.table == name).collect();
    let drops = keys.iter().map(|(key, _)| raw!("DROP CONSTRAINT {name}", name = Sql::identifier(&key.name)));
    let drop = raw!("ALTER TABLE {name} {drops}", name = Sql::identifier(name), drops = Sql::join(drops, ", "));
    let step = Step::transaction(format!("remove the foreign keys of {name}"), &[drop]);
    let referenced = keys.iter().map(|(_, key)| key.references.as_str());
    (!keys.is_empty()).then(|| step.locking_each(referenced, ACCESS_EXCLUSIVE))
}

/// The weeks of which a table has rows that are past their time, the oldest first; without those of which a file cannot
/// hold the time.
fn weeks(conn: &mut PgConnection, hot: &HotTable, name: &str, cutoff: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Week {
        #[diesel(sql_type = Timestamptz)]
        week: DateTime<Utc>,
    }
    let query = raw!(
        "SELECT DISTINCT date_trunc('week', {time}, 'UTC') AS week FROM {name}
         WHERE {time} >= '0001-01-01' AND {time} < $1 ORDER BY week",
        time = hot.time_in_sql(),
        name = Sql::identifier(name)
    );
    let weeks: Vec<Week> = sql_query(query)
        .bind::<Timestamptz, _>(cutoff)
        .load(conn)
        .doing(format!("look for the weeks of {name} that are past their time"))?;
    Ok(weeks.into_iter().map(|Week { week }| week).collect())
}

/// Deletes the rows that an archive holds, once all of it has been read. Returns how many went.
fn prune(conn: &mut PgConnection, trim: &Trim<'_>, table: Table, names: &Names, path: &Path) -> Result<i64> {
    archive::read(path, table, names.clone(), |_, _| Ok(true))?;
    let (mut deleted, mut pace) = (0, Pace::new());
    let (mut ids, mut hashes) = (Vec::new(), Vec::new());
    archive::read(path, table, names.clone(), |id, hash| {
        ids.push(id);
        hashes.push(hash.to_vec());
        if ids.len() >= pace.batch() as usize {
            let begun = Instant::now();
            deleted += trim.delete_archived(conn, table, &ids, &hashes)?;
            pace.pause(begun.elapsed(), trim.deadline);
            ids.clear();
            hashes.clear();
        }
        Ok(!trim.deadline.has_passed())
    })?;
    if !ids.is_empty() {
        deleted += trim.delete_archived(conn, table, &ids, &hashes)?;
    }
    Ok(deleted)
}
