//! Where the rows that are on their way to the server are in the file, in case it refuses one.

use crate::ingest;

/// Where the rows of a chunk are in the file.
#[derive(Default)]
pub(super) struct Origins {
    bytes: Vec<u8>,
    /// The line of each row, and where its bytes end.
    rows: Vec<(u64, usize)>,
}

impl Origins {
    pub fn push(&mut self, line: u64, raw: &[u8]) {
        self.bytes.extend_from_slice(raw);
        self.rows.push((line, self.bytes.len()));
    }

    pub fn get(&self, row: usize) -> Option<(u64, &[u8])> {
        let (line, end) = *self.rows.get(row)?;
        let start = row.checked_sub(1).map_or(0, |before| self.rows[before].1);
        Some((line, &self.bytes[start..end]))
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }
}

impl ingest::Origins for Origins {
    fn put(&self, row: usize, out: &mut Vec<u8>) {
        if let Some((line, raw)) = self.get(row) {
            out.extend_from_slice(&line.to_le_bytes());
            out.extend_from_slice(raw);
        }
    }

    fn take(&mut self, row: &[u8]) {
        if let Some((line, raw)) = row.split_first_chunk() {
            self.push(u64::from_le_bytes(*line), raw);
        }
    }
}
