//! Writers: rows in, bytes out, one row at a time.

mod flat;
mod markup;
mod objects;
mod yaml;

use std::io::{self, BufWriter, Write};

use crate::{Column, Format, Row, Table, Value};

/// Why a table was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where the bytes go, they could not be written.
    #[error("write the table: {0}")]
    Io(#[from] io::Error),
    /// A row does not fit the columns.
    #[error("row {row} has {cells} cells for {columns} columns")]
    Cells {
        /// Which row, from 1.
        row: u64,
        /// How many cells it has.
        cells: usize,
        /// How many columns the table has.
        columns: usize,
    },
}

/// One format's way to write rows; made with the heading already written.
trait Encode {
    /// Writes one row.
    fn row(&mut self, row: Row<'_>) -> io::Result<()>;
    /// Writes what comes after the last row, and flushes.
    fn end(&mut self) -> io::Result<()>;
}

/// Writes a table row by row; holds one row and a small buffer, however many rows there are.
///
/// [`Writer::finish`] must be called: it writes the end and reports the last error.
#[must_use]
pub struct Writer<'w> {
    columns: Vec<Column>,
    encoder: Box<dyn Encode + 'w>,
    rows: u64,
}

impl<'w> Writer<'w> {
    /// A writer of rows with these columns; writes the heading, where the format has one.
    ///
    /// # Errors
    /// `out` fails.
    pub fn new(format: Format, columns: &[Column], out: impl Write + 'w) -> Result<Writer<'w>, Error> {
        let encoder: Box<dyn Encode + 'w> = match format {
            Format::Csv => Box::new(flat::Csv::new(out, columns)?),
            Format::Tsv => Box::new(flat::Tsv::new(buffered(out), columns)?),
            Format::Name => Box::new(flat::Name::new(buffered(out), columns)),
            Format::Json => Box::new(objects::Json::new(buffered(out))),
            Format::Jsonl => Box::new(objects::Jsonl::new(buffered(out))),
            Format::Yaml => Box::new(yaml::Yaml::new(buffered(out))),
            Format::Markdown => Box::new(markup::Markdown::new(buffered(out), columns)?),
            Format::Html => Box::new(markup::Html::new(buffered(out), columns)?),
        };
        Ok(Writer { columns: columns.to_vec(), encoder, rows: 0 })
    }

    /// Writes one row: one value for each column.
    ///
    /// # Errors
    /// The row has more or fewer cells than there are columns, or `out` fails.
    pub fn row(&mut self, cells: &[Value]) -> Result<(), Error> {
        let columns = &self.columns[..];
        if cells.len() != columns.len() {
            return Err(Error::Cells { row: self.rows + 1, cells: cells.len(), columns: columns.len() });
        }
        self.encoder.row(Row { columns, cells })?;
        self.rows += 1;
        Ok(())
    }

    /// Writes the end and flushes.
    ///
    /// # Errors
    /// `out` fails.
    pub fn finish(mut self) -> Result<(), Error> {
        Ok(self.encoder.end()?)
    }
}

fn buffered<W: Write>(out: W) -> BufWriter<W> {
    BufWriter::with_capacity(64 * 1024, out)
}

/// Writes a whole table.
///
/// # Errors
/// A row does not fit the columns, or `out` fails.
pub fn write(table: &Table, format: Format, out: impl Write) -> Result<(), Error> {
    let mut writer = Writer::new(format, &table.columns, out)?;
    for row in &table.rows {
        writer.row(row)?;
    }
    writer.finish()
}
