//! `lineman export`: a whole list, to standard output or to a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use exports::{Column, Format, Table, Value, Writer};
use lineman::app::App;
use lineman::domain::ids::EventId;
use lineman::reports;
use lineman::store::filter::{Page, Selection};
use lineman::store::notify::{entries, outbox};
use lineman::store::{Mode, checks, devices, events, maintenance, outages, sites, tickets};

use crate::data::Context;
use crate::event;
use crate::failure::Failure;
use crate::list::selection;
use crate::output::{Fields, Form, Output, Printer};
use crate::remote::Server;

/// How many events of a server elsewhere are asked for at once.
const AT_ONCE: i64 = 10_000;

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
    Maintenance,
    Notifications,
    Deliveries,
}

impl ExportOptions {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        let (format, fields) = (self.format(&context.printer)?, context.printer.fields());
        let app = context.app(Mode::Existing)?;
        let now = app.clock.now();
        let (columns, texts) = match self.table {
            Tables::Devices => (devices::QUERY, devices::TEXT),
            Tables::Tickets => (tickets::QUERY, tickets::TEXT),
            Tables::Outages => (outages::QUERY, outages::TEXT),
            Tables::Events => (events::QUERY, events::TEXT),
            Tables::Sites => (sites::QUERY, sites::TEXT),
            Tables::Checks => (checks::QUERY, checks::TEXT),
            Tables::Maintenance => (maintenance::QUERY, maintenance::TEXT),
            Tables::Notifications => (entries::QUERY, entries::TEXT),
            Tables::Deliveries => (outbox::QUERY, outbox::TEXT),
        };
        let wanted = selection(&self.query.join(" "), columns, texts, now)?;
        self.put(|out| self.write(&app, &wanted, (format, &fields), out))
    }

    /// Does it with the lists of a server elsewhere.
    pub fn run_at(self, server: &Server, printer: &Printer) -> Result<Output, Failure> {
        let (format, fields) = (self.format(printer)?, printer.fields());
        let query = self.query.join(" ");
        let list = match self.table {
            Tables::Devices => ("device", "list"),
            Tables::Tickets => ("ticket", "list"),
            Tables::Outages => ("outage", "list"),
            Tables::Events => return self.put(|out| events_at(server, &query, (format, &fields), out)),
            Tables::Sites => ("site", "list"),
            Tables::Checks => ("check", "list"),
            Tables::Maintenance => ("maintenance", "list"),
            Tables::Notifications => ("notify", "list"),
            Tables::Deliveries => ("notify", "outbox"),
        };
        let table = server.list(list, &query, &[("limit", 0)])?;
        self.put(|out| Ok(exports::write(&fields.of(table)?, format, out)?))
    }

    /// Has it written where it was asked for.
    fn put(&self, write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<Output, Failure> {
        match &self.to {
            None => write(&mut io::stdout().lock())?,
            Some(file) => beside(file, write)?,
        }
        Ok(Output::Nothing)
    }

    fn format(&self, printer: &Printer) -> Result<Format, Failure> {
        if printer.has_expression() {
            return Err(Failure::usage("an export writes the list as it is, without --jq")
                .hint("use --jq with `list`, as in `lineman device list --jq EXPR`"));
        }
        let ending = self.to.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        match (printer.asked(), ending) {
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

    fn write(
        &self,
        app: &App,
        wanted: &Selection,
        (format, fields): (Format, &Fields),
        out: impl Write,
    ) -> Result<(), Failure> {
        let all = Page::default();
        if let Tables::Events = self.table {
            return events_one_by_one(app, wanted, (format, fields), out);
        }
        let table = app.store.read(|tx| match self.table {
            Tables::Devices => reports::devices::list(tx, wanted, &all),
            Tables::Tickets => reports::tickets::list(tx, wanted, &all),
            Tables::Outages => reports::outages::list(tx, wanted, &all),
            Tables::Events => reports::events::list(tx, wanted, &all),
            Tables::Sites => reports::sites::list(tx, wanted, &all),
            Tables::Checks => reports::checks::list(tx, wanted, &all),
            Tables::Maintenance => reports::maintenance::list(tx, wanted, &all),
            Tables::Notifications => reports::notify::list(tx, wanted, &all),
            Tables::Deliveries => reports::notify::deliveries(tx, wanted, &all),
        })?;
        Ok(exports::write(&fields.of(table)?, format, out)?)
    }
}

/// The log may be long: so many events are held at a time.
fn events_one_by_one(
    app: &App,
    wanted: &Selection,
    (format, fields): (Format, &Fields),
    out: impl Write,
) -> Result<(), Failure> {
    let all = reports::events::columns();
    let columns = fields.of(Table::new("events", all.clone()))?.columns;
    let place = |wanted: &Column| all.iter().position(|column| column.key == wanted.key);
    let places: Vec<usize> = columns.iter().filter_map(place).collect();
    let mut writer = Writer::new(format, &columns, out)?;
    // Piece by piece: whoever reads slowly must not hold one view of the database all the while.
    let (mut last, newest) = (EventId(0), app.store.read(events::newest)?);
    let limit = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
    loop {
        let some = app.store.read(|tx| events::after(tx, last, wanted, limit))?;
        let is_last = some.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        for event in some.iter().filter(|event| event.id <= newest) {
            let mut row = reports::events::row(event);
            if columns != all {
                row = places.iter().map(|&at| row[at].clone()).collect::<Vec<Value>>();
            }
            writer.row(&row)?;
        }
        match some.last() {
            Some(event) if !is_last && event.id < newest => last = event.id,
            Some(_) | None => return Ok(writer.finish()?),
        }
    }
}

/// The log of a server elsewhere, piece by piece.
fn events_at(
    server: &Server,
    query: &str,
    (format, fields): (Format, &Fields),
    out: impl Write,
) -> Result<(), Failure> {
    let page = |after| server.list(event::LIST, query, &[("limit", AT_ONCE), ("after", after)]);
    let mut table = page(0)?;
    let mut writer =
        Writer::new(format, &fields.of(Table::new("events", table.columns.clone()))?.columns, out)?;
    loop {
        let is_last = table.rows.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        let last = table.rows.last().and_then(|row| row.first()).cloned();
        for row in fields.of(table)?.rows {
            writer.row(&row)?;
        }
        let (false, Some(Value::Int(last))) = (is_last, last) else { return Ok(writer.finish()?) };
        table = page(last)?;
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
    use clap::Parser;
    use schedules::{Clock, Time};

    use super::*;
    use crate::failure::Code;
    use crate::{Cli, Global, Noun};

    /// Runs a command line over the data in `folder`.
    fn run(folder: &Path, line: &[&str]) -> Result<Output, Failure> {
        let cli = Cli::try_parse_from([&["lineman"], line].concat()).unwrap();
        let Global { output, yes, .. } = cli.global;
        let clock = Clock::manual(Time(1_795_356_000_000));
        let printer = Printer::new(&output, clock.clone())?;
        let noun: Noun = cli.noun;
        noun.run(&Context {
            data: folder.to_owned(),
            clock,
            printer,
            yes,
            server: None,
            reach: crate::data::Reach::Folder,
        })
    }

    #[test]
    fn an_export_has_the_fields_that_were_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &["site", "add", "north"]).unwrap();
        let file = folder.path().join("out");
        let to = file.to_str().unwrap();
        for (table, fields, wanted) in [
            ("events", "kind,id", r#"{"kind":"site.added","id":1}"#),
            ("sites", "name", r#"{"name":"north"}"#),
        ] {
            run(folder.path(), &["export", table, "-o", "jsonl", "--to", to, "--json", fields]).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap().trim_end(), wanted);
        }
        fs::remove_file(&file).unwrap();
        for refused in [["--json", "nope"], ["--jq", "."]] {
            for table in ["events", "sites"] {
                let line = [&["export", table, "--to", to], &refused[..]].concat();
                assert_eq!(run(folder.path(), &line).unwrap_err().code, Code::Usage);
                assert!(!file.exists());
            }
        }
    }

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
