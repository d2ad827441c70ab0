//! The one place that prints: what a command answers, in the form that was asked for.

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::{Args, ValueEnum};
use exports::{Format, Row, Table};
use schedules::Clock;

use crate::failure::Failure;
use crate::grid::{self, Look, Widths};
use crate::jq::Jq;
use crate::words::Times;

/// What a command answers.
#[derive(Clone, Debug)]
pub enum Output {
    /// Nothing.
    Nothing,
    /// Text as it is, in every form.
    Text(String),
    /// A list.
    Table(Table),
    /// A list that is an answer as well: where it says that something is wrong, the program ends with that failure.
    Judged(Table, Option<Failure>),
    /// One thing: to people a line a column, to machines an object.
    Record(Table),
    /// One thing that is now as it was to be: to people its line of the list, and what else there is to say; to
    /// machines an object.
    Changed(Table, String),
    /// One thing that is an answer: a text to people, the object to machines; where it says that something is wrong, the
    /// program ends with that failure.
    Answer(Table, String, Option<Failure>),
    /// What was answered to the same call before, as JSON.
    Again(String),
    /// One thing that is gone, or that only a sentence tells of: the sentence to people, the object to machines.
    Said(Table, String),
}

/// How output is written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// How to print: table, json, jsonl, yaml, csv, tsv, md, html, name
    #[arg(short, long, global = true, value_name = "FORMAT", value_parser = form)]
    output: Option<Form>,
    /// Print JSON: all fields, or those named, with commas between them
    #[arg(long, global = true, value_name = "FIELDS", num_args = 0..=1, default_missing_value = "")]
    json: Option<String>,
    /// Print what this expression of jq makes of the JSON
    #[arg(long, global = true, value_name = "EXPR")]
    jq: Option<String>,
    /// Whether to use colour
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = false
    )]
    color: Color,
}

/// When colour is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A form in which output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// For machines.
    Format(Format),
}

fn form(text: &str) -> Result<Form, String> {
    if text.eq_ignore_ascii_case("table") {
        return Ok(Form::Table);
    }
    text.parse().map(Form::Format).map_err(|e: exports::UnknownFormat| format!("{e} (and table)"))
}

/// Prints.
pub struct Printer {
    form: Form,
    asked: bool,
    fields: Fields,
    jq: Option<Jq>,
    colour: bool,
    terminal: bool,
    clock: Clock,
}

/// The fields that were asked for; none: all.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<String>);

impl Fields {
    /// The table with those fields alone.
    pub fn of(&self, table: Table) -> Result<Table, Failure> {
        if self.0.is_empty() { Ok(table) } else { Ok(table.select(&self.0)?) }
    }

    /// Whether an answer has them: asked before it is made true, so that a misspelt field changes nothing.
    pub fn check(&self, output: &Output) -> Result<(), Failure> {
        match output {
            Output::Nothing | Output::Text(_) | Output::Again(_) => Ok(()),
            Output::Table(table)
            | Output::Judged(table, _)
            | Output::Record(table)
            | Output::Changed(table, _)
            | Output::Answer(table, ..)
            | Output::Said(table, _) => self.of(Table { rows: Vec::new(), ..table.clone() }).map(drop),
        }
    }
}

impl Printer {
    /// One that prints nothing: what is answered goes elsewhere.
    pub fn silent(clock: Clock) -> Printer {
        let form = Form::Format(Format::Json);
        Printer {
            form,
            asked: true,
            fields: Fields::default(),
            jq: None,
            colour: false,
            terminal: false,
            clock,
        }
    }

    /// What the options ask for.
    pub fn new(options: &OutputOptions, clock: Clock) -> Result<Printer, Failure> {
        let json = Form::Format(Format::Json);
        let is_json = |form| matches!(form, Form::Format(Format::Json | Format::Jsonl));
        let wants_json = options.json.is_some() || options.jq.is_some();
        let form = match options.output {
            Some(form) if wants_json && !is_json(form) => {
                return Err(Failure::usage("--json and --jq print JSON: leave out -o, or say -o json"));
            }
            Some(form) => form,
            None if wants_json => json,
            None => Form::Table,
        };
        let fields = options.json.iter().flat_map(|text| text.split(','));
        let fields = fields.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()).collect();
        let terminal = io::stdout().is_terminal();
        Ok(Printer {
            form,
            asked: options.output.is_some() || wants_json,
            fields: Fields(fields),
            jq: options.jq.as_deref().map(Jq::new).transpose()?,
            colour: options.colour(terminal),
            terminal,
            clock,
        })
    }

    /// The form that was asked for by name.
    pub fn asked(&self) -> Option<Form> {
        self.asked.then_some(self.form)
    }

    /// Whether an expression of jq was asked for.
    pub fn has_expression(&self) -> bool {
        self.jq.is_some()
    }

    /// The fields that were asked for.
    pub fn fields(&self) -> Fields {
        self.fields.clone()
    }

    /// Prints an answer.
    pub fn print(&self, output: Output) -> Result<(), Failure> {
        match output {
            Output::Nothing => Ok(()),
            Output::Text(text) | Output::Again(text) => put(&text),
            Output::Table(table) => self.list(self.fields.of(table)?),
            Output::Answer(table, said, failure) => {
                self.one(table, |_, _| said)?;
                failure.map_or(Ok(()), Err)
            }
            Output::Judged(table, failure) => {
                self.list(self.fields.of(table)?)?;
                failure.map_or(Ok(()), Err)
            }
            Output::Record(table) => self.one(table, grid::record),
            Output::Changed(table, more) => self.one(table, |table, look| grid::table(table, look) + &more),
            Output::Said(table, said) => self.one(table, |_, _| said),
        }
    }

    fn list(&self, table: Table) -> Result<(), Failure> {
        match (self.form, &self.jq) {
            (Form::Table, _) if table.rows.is_empty() => self.nothing(&table),
            (Form::Table, _) => put(&grid::table(&table, self.look())),
            (Form::Format(_), Some(jq)) => lines(jq, [json(table.rows())?]),
            (Form::Format(format), None) => Ok(exports::write(&table, format, io::stdout().lock())?),
        }
    }

    /// An empty list is said to people on a terminal; a pipe gets nothing.
    fn nothing(&self, table: &Table) -> Result<(), Failure> {
        if self.terminal {
            put(&format!("no {}\n", table.name))?;
        }
        Ok(())
    }

    fn one(&self, table: Table, people: impl FnOnce(&Table, Look) -> String) -> Result<(), Failure> {
        let Form::Format(format) = self.form else { return put(&people(&table, self.look())) };
        let table = self.fields.of(table)?;
        let Some(row) = table.rows().next() else { return Ok(()) };
        match (format, &self.jq) {
            (Format::Json | Format::Jsonl, Some(jq)) => lines(jq, [object(row)?]),
            (Format::Json | Format::Jsonl, None) => {
                let text =
                    serde_json::to_string(&row).map_err(|e| Failure::failed(format!("write JSON: {e}")))?;
                put(&(text + "\n"))
            }
            (Format::Yaml, _) => put(&one_map(&table)?),
            (Format::Csv | Format::Tsv | Format::Markdown | Format::Html | Format::Name, _) => {
                Ok(exports::write(&table, format, io::stdout().lock())?)
            }
        }
    }

    /// How a list looks that goes on: a line stays while time passes, so its times are those on the clock.
    fn lasting_look(&self) -> Look {
        Look { times: Times::Exact, ..self.look() }
    }

    fn look(&self) -> Look {
        if !self.terminal {
            return Look { colour: self.colour, width: None, times: Times::Exact };
        }
        let width = terminal_size::terminal_size().map(|(width, _)| width.0.into());
        Look { colour: self.colour, width, times: Times::From(self.clock.now()) }
    }

    /// Prints the next rows of a list that goes on. Formats that need an end are none for it.
    pub fn follow(&self, table: Table, widths: &mut Widths, first: bool) -> Result<(), Failure> {
        let table = self.fields.of(table)?;
        let format = match self.form {
            Form::Table => return put(&grid::piece(&table, self.lasting_look(), widths)),
            Form::Format(Format::Json) => Format::Jsonl,
            Form::Format(Format::Markdown | Format::Html) => {
                return Err(Failure::usage("a list that goes on has no end, which md and html need")
                    .hint("use -o table, jsonl, yaml, csv, tsv or name"));
            }
            Form::Format(format) => format,
        };
        if let Some(jq) = &self.jq {
            return lines(jq, table.rows().map(object).collect::<Result<Vec<_>, _>>()?);
        }
        if table.rows.is_empty() && !(first && matches!(format, Format::Csv | Format::Tsv)) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        exports::write(&table, format, &mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        match (first, format) {
            (false, Format::Csv | Format::Tsv) => put(text.split_once('\n').map_or("", |(_, rows)| rows)),
            _ => put(&text),
        }
    }
}

impl OutputOptions {
    /// Whether colour is used on something that is a terminal or not.
    pub fn colour(&self, terminal: bool) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

/// Prints text at once.
pub fn put(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn json<'a>(rows: impl Iterator<Item = Row<'a>>) -> Result<serde_json::Value, Failure> {
    Ok(serde_json::Value::Array(rows.map(object).collect::<Result<Vec<_>, _>>()?))
}

fn object(row: Row<'_>) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(row).map_err(|e| Failure::failed(format!("write JSON: {e}")))
}

/// Prints what an expression makes of each input; what it made before it failed is printed too.
fn lines(jq: &Jq, inputs: impl IntoIterator<Item = serde_json::Value>) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let made = inputs.into_iter().try_for_each(|input| jq.run(input, &mut out));
    let printed = out.flush();
    made?;
    Ok(printed?)
}

/// A list of one map in YAML, as the map alone.
fn one_map(table: &Table) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    exports::write(table, Format::Yaml, &mut bytes)?;
    let mut map = String::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        map.push_str(line.strip_prefix("- ").or_else(|| line.strip_prefix("  ")).unwrap_or(line));
        map.push('\n');
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use exports::{Column, Value};

    use super::*;

    fn one() -> Table {
        let columns =
            vec![Column::text("name", "NAME"), Column::list("tags", "TAGS"), Column::text("note", "NOTE")];
        let mut table = Table::new("devices", columns);
        table.push(vec!["gw".into(), vec!["a", "b"].into(), "two\nlines".into()]);
        table
    }

    #[test]
    fn one_thing_in_yaml_is_a_map() {
        let text = one_map(&one()).unwrap();
        let read: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"name": "gw", "tags": ["a", "b"], "note": "two\nlines"}),
            "{text}"
        );
    }

    #[test]
    fn a_misspelt_field_is_found_before_anything_is_done() {
        let fields = Fields(vec!["nam".into()]);
        for output in [Output::Record(one()), Output::Changed(one(), String::new()), Output::Table(one())] {
            assert_eq!(fields.check(&output).unwrap_err().code, crate::failure::Code::Usage);
        }
        assert!(fields.check(&Output::Text("x".into())).is_ok());
        assert_eq!(Fields(vec!["note".into()]).of(one()).unwrap().rows, [[Value::from("two\nlines")]]);
    }

    #[test]
    fn a_form_is_named_as_it_is_printed() {
        assert_eq!(form("table"), Ok(Form::Table));
        assert_eq!(form("yml"), Ok(Form::Format(Format::Yaml)));
        assert!(form("xml").unwrap_err().contains("table"));
    }
}
