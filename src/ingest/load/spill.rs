//! Encoded rows on disk, apart by partition: in one file without a name, which ends with the process.
//!
//! Rows are gathered in memory and written as blocks, some megabytes at a time, by a thread of its own while further ones are
//! read. So memory does not grow with the number of rows or of partitions.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::take;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes that are gathered before they are written. Three times as many are in memory: those that are gathered, those that
/// wait and those that are written.
const MOST_GATHERED: usize = 8 << 20;
/// How much is read at a time.
const PIECE: usize = 256 * 1024;

/// The rows of one partition: the rows in the format of COPY, and beside them the length of each and where it comes from.
#[derive(Debug, Default)]
pub(super) struct Part {
    rows: Blocks,
    origins: Blocks,
    pub(super) count: u64,
}

/// Bytes in blocks of the file, the last ones still in memory.
#[derive(Debug, Default)]
struct Blocks {
    written: Vec<(u64, usize)>,
    gathered: Vec<u8>,
}

/// The file and its parts.
pub(super) struct Spill {
    file: File,
    /// None once it has failed.
    writer: Option<Writer>,
    end: u64,
    gathered: usize,
    parts: Vec<Part>,
}

type ToWrite = Vec<(u64, Vec<u8>)>;

/// The thread that writes blocks to their places in the file.
struct Writer {
    blocks: SyncSender<ToWrite>,
    thread: JoinHandle<io::Result<()>>,
}

impl Writer {
    fn start(file: File) -> io::Result<Self> {
        let (blocks, to_write) = sync_channel::<ToWrite>(1);
        let write = move || to_write.iter().flatten().try_for_each(|(at, bytes)| file.write_all_at(&bytes, at));
        Ok(Self { blocks, thread: thread::Builder::new().name("spill".to_owned()).spawn(write)? })
    }

    fn finish(self) -> io::Result<()> {
        drop(self.blocks);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes has panicked")))
    }
}

impl Spill {
    pub(super) fn create() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        let writer = Some(Writer::start(file.try_clone()?)?);
        Ok(Self { file, writer, end: 0, gathered: 0, parts: Vec::new() })
    }

    /// Appends a row to a part, which may be a new one; `origin` appends where the row comes from.
    pub(super) fn push(&mut self, part: usize, row: &[u8], origin: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if part >= self.parts.len() {
            self.parts.resize_with(part + 1, Part::default);
        }
        let part = &mut self.parts[part];
        part.count += 1;
        part.rows.gathered.extend_from_slice(row);
        let origins = &mut part.origins.gathered;
        let before = origins.len();
        origins.extend_from_slice(&length(row.len())?);
        origins.extend_from_slice(&[0; 4]);
        origin(origins);
        let of_origin = length(origins.len() - before - 8)?;
        origins[before + 4..before + 8].copy_from_slice(&of_origin);
        self.gathered += row.len() + origins.len() - before;
        if self.gathered >= MOST_GATHERED { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.gathered = 0;
        let mut to_write = Vec::new();
        for blocks in self.parts.iter_mut().flat_map(|part| [&mut part.rows, &mut part.origins]) {
            // Taken, so that a part that gets no more rows keeps no memory.
            let bytes = take(&mut blocks.gathered);
            if !bytes.is_empty() {
                let at = self.end;
                self.end += bytes.len() as u64;
                blocks.written.push((at, bytes.len()));
                to_write.push((at, bytes));
            }
        }
        match &self.writer {
            Some(writer) if writer.blocks.send(to_write).is_ok() => Ok(()),
            // It ends before its input only where it fails.
            _ => self.written(),
        }
    }

    /// The file and the parts, whole.
    pub(super) fn finish(mut self) -> io::Result<(File, Vec<Part>)> {
        self.write()?;
        self.written()?;
        Ok((self.file, self.parts))
    }

    /// Waits until everything is written.
    fn written(&mut self) -> io::Result<()> {
        self.writer.take().map_or_else(|| Err(io::Error::other("an earlier write has failed")), Writer::finish)
    }
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_le_bytes).map_err(io::Error::other)
}

impl Part {
    /// Writes the rows, but for some by their numbers, counted from 0.
    pub(super) fn write(&self, file: &File, without: &BTreeSet<u64>, sink: &mut dyn Write) -> io::Result<()> {
        if !without.is_empty() {
            let mut rows = self.read(file);
            while let Some(row) = rows.next()? {
                if !without.contains(&row.number) {
                    sink.write_all(row.row)?;
                }
            }
            return Ok(());
        }
        let (mut blocks, mut piece) = (BlocksReader::new(file, &self.rows), vec![0; PIECE]);
        loop {
            match blocks.read(&mut piece)? {
                0 => return Ok(()),
                read => sink.write_all(&piece[..read])?,
            }
        }
    }

    /// Reads row by row.
    pub(super) fn read<'a>(&'a self, file: &'a File) -> Rows<'a> {
        let buffered = |blocks| io::BufReader::with_capacity(PIECE, BlocksReader::new(file, blocks));
        Rows {
            rows: buffered(&self.rows),
            origins: buffered(&self.origins),
            next: 0,
            count: self.count,
            row: Vec::new(),
            origin: Vec::new(),
        }
    }
}

/// The rows of a part, one by one.
pub(super) struct Rows<'a> {
    rows: io::BufReader<BlocksReader<'a>>,
    origins: io::BufReader<BlocksReader<'a>>,
    next: u64,
    count: u64,
    row: Vec<u8>,
    origin: Vec<u8>,
}

/// A row of a part.
pub(super) struct Row<'r> {
    pub(super) number: u64,
    pub(super) row: &'r [u8],
    pub(super) origin: &'r [u8],
}

impl Rows<'_> {
    pub(super) fn next(&mut self) -> io::Result<Option<Row<'_>>> {
        if self.next == self.count {
            return Ok(None);
        }
        let mut lengths = [[0; 4]; 2];
        for length in &mut lengths {
            self.origins.read_exact(length)?;
        }
        let [of_row, of_origin] = lengths.map(|length| u32::from_le_bytes(length) as usize);
        self.row.resize(of_row, 0);
        self.rows.read_exact(&mut self.row)?;
        self.origin.resize(of_origin, 0);
        self.origins.read_exact(&mut self.origin)?;
        self.next += 1;
        Ok(Some(Row { number: self.next - 1, row: &self.row, origin: &self.origin }))
    }
}

struct BlocksReader<'a> {
    file: &'a File,
    blocks: std::slice::Iter<'a, (u64, usize)>,
    at: u64,
    left: usize,
}

impl<'a> BlocksReader<'a> {
    fn new(file: &'a File, blocks: &'a Blocks) -> Self {
        Self { file, blocks: blocks.written.iter(), at: 0, left: 0 }
    }
}

impl Read for BlocksReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let Some((at, length)) = self.blocks.next() else { return Ok(0) };
            (self.at, self.left) = (*at, *length);
        }
        let most = buffer.len().min(self.left);
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.at, self.left) = (self.at + read as u64, self.left - read);
        Ok(read)
    }
}
