//! `lineman export`: a whole list, to standard output or to a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use exports::{Format, Writer};
use lineman::app::App;
use lineman::reports;
use lineman::store::filter::{Page, Selection};
use lineman::store::{Error, Mode, checks, devices, events, outages, sites, tickets};

use crate::data::Context;
use crate::failure::Failure;
use crate::list::selection;
use crate::output::{Form, Output};

/// Write a whole list, to standard output or to a file
#[derive(Args)]
#[command(
    after_help = "Example:\n  lineman export outages 'started:<30d' -o csv --to outages.csv\n  lineman export devices -o yaml"
)]
pub struct ExportOptions {
    /// Which list
    #[arg(value_enum)]
    table: Tables,
    /// What of it: as in its `list`
    query: Vec<String>,
    /// The file to write; it is there whole or not at all. Its ending names the format where -o does not
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// What can be exported.
#[derive(Clone, Copy, ValueEnum)]
enum Tables {
    Devices,
    Tickets,
    Outages,
    Events,
    Sites,
    Checks,
}

impl ExportOptions {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        let format = self.format(context)?;
        let app = context.app(Mode::Existing)?;
        let now = app.clock.now();
        let (columns, texts) = match self.table {
            Tables::Devices => (devices::QUERY, devices::TEXT),
            Tables::Tickets => (tickets::QUERY, tickets::TEXT),
            Tables::Outages => (outages::QUERY, outages::TEXT),
            Tables::Events => (events::QUERY, events::TEXT),
            Tables::Sites => (sites::QUERY, sites::TEXT),
            Tables::Checks => (checks::QUERY, checks::TEXT),
        };
        let wanted = selection(&self.query.join(" "), columns, texts, now)?;
        match &self.to {
            None => self.write(&app, &wanted, format, io::stdout().lock())?,
            Some(file) => beside(file, |out| self.write(&app, &wanted, format, out))?,
        }
        Ok(Output::Nothing)
    }

    fn format(&self, context: &Context) -> Result<Format, Failure> {
        let ending = self.to.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        match (context.printer.asked(), ending) {
            (Some(Form::Format(format)), _) => Ok(format),
            (Some(Form::Table), _) => {
                Err(Failure::usage("an export is no table for people")
                    .hint("use -o csv, json, yaml, md or html"))
            }
            (None, Some(ending)) => Ok(ending.parse().map_err(|e: exports::UnknownFormat| {
                Failure::usage(format!("{e}: the file's ending names none")).hint("say -o FORMAT")
            })?),
            (None, None) => Err(Failure::usage("an export needs a format")
                .hint("say -o csv, tsv, json, jsonl, yaml, md, html or name")),
        }
    }

    fn write(&self, app: &App, wanted: &Selection, format: Format, out: impl Write) -> Result<(), Failure> {
        let all = Page::default();
        if let Tables::Events = self.table {
            return events_one_by_one(app, wanted, format, out);
        }
        let table = app.store.read(|tx| match self.table {
            Tables::Devices => reports::devices::list(tx, wanted, &all),
            Tables::Tickets => reports::tickets::list(tx, wanted, &all),
            Tables::Outages => reports::outages::list(tx, wanted, &all),
            Tables::Events => reports::events::list(tx, wanted, &all),
            Tables::Sites => reports::sites::list(tx, wanted, &all),
            Tables::Checks => reports::checks::list(tx, wanted, &all),
        })?;
        Ok(exports::write(&table, format, out)?)
    }
}

/// The log may be long: one event is held at a time.
fn events_one_by_one(app: &App, wanted: &Selection, format: Format, out: impl Write) -> Result<(), Failure> {
    let mut writer = Writer::new(format, &reports::events::columns(), out)?;
    let mut failed = None;
    let read = app.store.read(|tx| {
        events::each(tx, wanted, &Page::default(), |event| {
            writer.row(&reports::events::row(&event)).map_err(|error| {
                failed = Some(error);
                Error::Other("the output failed".to_owned())
            })
        })
    });
    match failed {
        Some(error) => Err(error.into()),
        None => {
            read?;
            Ok(writer.finish()?)
        }
    }
}

/// Writes a file beside the one that is meant, and puts it in its place when it is whole.
fn beside(file: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::failed(format!("write {}: {e}", file.display()));
    let mut name = file
        .file_name()
        .map(std::ffi::OsStr::to_os_string)
        .ok_or_else(|| Failure::usage(format!("--to {}: this names no file", file.display())))?;
    name.push(format!(".{}.part", std::process::id()));
    let part = file.with_file_name(name);
    let mut out = BufWriter::new(File::create(&part).map_err(failed)?);
    let written = write(&mut out).and_then(|()| {
        out.flush().map_err(failed)?;
        out.get_ref().sync_all().map_err(failed)?;
        fs::rename(&part, file).map_err(failed)
    });
    if written.is_err() {
        drop(fs::remove_file(&part));
    }
    written.map_err(|failure| match failure.message.strip_prefix("write the output: ") {
        Some(why) => Failure { message: format!("write {}: {why}", file.display()), ..failure },
        None => failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("devices.csv");
        fs::write(&file, "old").unwrap();
        let failed = beside(&file, |out| {
            out.write_all(b"half")?;
            Err(Failure::failed("the disk is gone"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        beside(&file, |out| Ok(out.write_all(b"new")?)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
