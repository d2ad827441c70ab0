//! The formats of objects: one JSON array, and JSON line by line.

use std::io::{self, Write};

use super::Encode;
use crate::Row;

/// One array, an object a line: streamed, and still good to read and to compare.
pub(super) struct Json<W> {
    out: W,
    empty: bool,
}

impl<W: Write> Json<W> {
    pub(super) fn new(out: W) -> Json<W> {
        Json { out, empty: true }
    }
}

impl<W: Write> Encode for Json<W> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.out.write_all(if self.empty { b"[\n" } else { b",\n" })?;
        self.empty = false;
        Ok(serde_json::to_writer(&mut self.out, &row)?)
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.write_all(if self.empty { b"[]\n" } else { b"\n]\n" })?;
        self.out.flush()
    }
}

/// An object a line.
pub(super) struct Jsonl<W>(W);

impl<W: Write> Jsonl<W> {
    pub(super) fn new(out: W) -> Jsonl<W> {
        Jsonl(out)
    }
}

impl<W: Write> Encode for Jsonl<W> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, &row)?;
        self.0.write_all(b"\n")
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
