//! Rows as files that `import` reads back: written whole, flushed to the disk, and read again before any row goes.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::error::Error;
use super::rows::Sums;
use crate::error::Result;
use crate::transfer::{self, Format, Mapping, Names, Table, export, read};

/// Where rows are written before they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The folder, which has to be there.
    pub dir: PathBuf,
    /// How the files hold their rows, in gzip.
    pub format: Format,
}

/// A folder of archives that no other run uses at the same time.
pub(super) struct Folder<'a> {
    archive: &'a Archive,
    /// Keeps other runs away, and is flushed where a file in it got its name.
    dir: File,
}

impl<'a> Folder<'a> {
    pub fn open(archive: &'a Archive) -> Result<Self, Error> {
        let failed = |source| Error::Archive { path: archive.dir.clone(), source };
        let dir = File::open(&archive.dir).map_err(failed)?;
        match dir.try_lock() {
            Ok(()) => Ok(Self { archive, dir }),
            Err(TryLockError::WouldBlock) => Err(Error::ArchiveInUse(archive.dir.clone())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The archives of some rows, the oldest first.
    pub fn files(&self, of: &str) -> Result<Vec<PathBuf>, Error> {
        let list = || -> io::Result<Vec<PathBuf>> {
            let mut files = Vec::new();
            for entry in fs::read_dir(&self.archive.dir)? {
                let name = entry?.file_name();
                let is_of =
                    name.to_str().and_then(|name| name.strip_prefix(of)).is_some_and(|rest| rest.starts_with('.'));
                if is_of {
                    files.push(self.archive.dir.join(name));
                }
            }
            files.sort();
            Ok(files)
        };
        let mut files = list().map_err(|source| Error::Archive { path: self.archive.dir.clone(), source })?;
        // What a run left that was killed: no other one writes here now.
        for unfinished in files.extract_if(.., |file| file.extension().is_some_and(|extension| extension == UNFINISHED))
        {
            fs::remove_file(&unfinished).map_err(|source| Error::Archive { path: unfinished, source })?;
        }
        Ok(files)
    }

    /// Writes the rows of a table that has the columns of `table`: all, or those from a time on and before another.
    pub fn write(
        &self,
        conn: &mut PgConnection,
        (table, from): (Table, &str),
        of: &str,
        span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    ) -> Result<PathBuf> {
        let extension = if self.archive.format == Format::Csv { "csv" } else { "ndjson" };
        let name = format!("{of}.{}.{extension}.gz", Utc::now().format("%Y%m%dT%H%M%S%6fZ"));
        let unfinished = self.archive.dir.join(format!("{name}.{UNFINISHED}"));
        let path = self.archive.dir.join(name);
        let failed = |source| Error::Archive { path: path.clone(), source };
        let file = File::create_new(&unfinished).map_err(failed)?;
        let mut gzip = GzEncoder::new(BufWriter::new(file), flate2::Compression::default());
        let written = export::rows_of(conn, (table, from), self.archive.format, span, &mut gzip);
        let finish = || -> io::Result<()> {
            let mut file = gzip.finish()?;
            file.flush()?;
            file.get_ref().sync_all()?;
            fs::rename(&unfinished, &path)?;
            self.dir.sync_all()
        };
        if let Err(error) = written.and_then(|_| Ok(finish().map_err(failed)?)) {
            // The error that is returned says more.
            let _ = fs::remove_file(&unfinished);
            return Err(match error {
                crate::Error::Transfer(transfer::Error::Output { source }) => failed(source).into(),
                error => error,
            });
        }
        Ok(path)
    }
}

/// What the name of a file ends in that is not whole yet.
const UNFINISHED: &str = "part";

/// Reads an archive as an import would; `each` gets the id and the hash of every row, and says whether to go on.
pub(super) fn read(
    path: &Path,
    table: Table,
    names: Names,
    mut each: impl FnMut(Uuid, &[u8]) -> Result<bool>,
) -> Result<Sums> {
    let failed = |source| Error::Archive { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let is_csv = path.file_stem().is_some_and(|stem| Path::new(stem).extension().is_some_and(|it| it == "csv"));
    let options = read::Options {
        format: Some(if is_csv { Format::Csv } else { Format::Ndjson }),
        mapping: Mapping { check_ranges: false, ..Mapping::default() },
        ..read::Options::default()
    };
    let mut reader = read::Reader::new(file, table, &options, names)?;
    let (mut sums, mut bytes) = (Sums::default(), Vec::new());
    while let Some(row) = reader.next_row().map_err(failed)? {
        let unreadable = |line, reason| Error::ArchiveUnreadable { path: path.to_owned(), line, reason };
        let row = row.map_err(|reject| unreadable(reject.line, reject.reason))?;
        bytes.clear();
        row.put(&mut bytes).map_err(|error| unreadable(row.line, error.to_string()))?;
        let hash = Sha256::digest(&bytes);
        sums.add(&hash);
        if !each(row.id(), &hash)? {
            break;
        }
    }
    Ok(sums)
}
