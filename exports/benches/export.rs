//! Seconds for 100,000 rows of 8 columns in each format, beside the bare `csv` and `serde_json` writers on the same
//! rows in the same run. One line a figure: `name seconds ratio`.

use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use exports::{Column, Format, Kind, Table, Value, rfc3339};

const ROWS: i64 = 100_000;
const ROUNDS: usize = 5;

/// The same row for the bare writers: the fields of a plain struct.
#[derive(serde::Serialize)]
struct Plain {
    id: i64,
    name: String,
    site: String,
    state: String,
    since: String,
    duration_ms: i64,
    tags: Vec<String>,
    address: String,
}

fn main() {
    let table = table();
    let plain: Vec<Plain> = table.rows.iter().map(|row| plain(row)).collect();
    let bare_csv = best(|out| bare_csv(&plain, out));
    let bare_json = best(|out| serde_json::to_writer(BufWriter::new(out), &plain).expect("a sink takes all"));
    show("bare csv", bare_csv, bare_csv);
    show("bare serde_json", bare_json, bare_json);
    for format in Format::ALL {
        let took = best(|out| exports::write(&table, format, out).expect("a sink takes all"));
        let bare = match format {
            Format::Json | Format::Jsonl | Format::Yaml => bare_json,
            Format::Csv | Format::Tsv | Format::Markdown | Format::Html | Format::Name => bare_csv,
        };
        show(format.name(), took, bare);
    }
}

fn show(name: &str, took: Duration, bare: Duration) {
    let ratio = took.as_secs_f64() / bare.as_secs_f64();
    writeln!(std::io::stdout(), "{name:<16} {:.4} s per 100,000 rows, {ratio:.2} x bare", took.as_secs_f64())
        .expect("standard output takes a line");
}

/// The best of some rounds into a sink that takes everything.
fn best(mut run: impl FnMut(&mut dyn Write)) -> Duration {
    let round = || {
        let started = Instant::now();
        run(black_box(&mut std::io::sink()));
        started.elapsed()
    };
    std::iter::repeat_with(round).take(ROUNDS).min().unwrap_or_default()
}

fn table() -> Table {
    let columns = vec![
        Column::int("id", "ID"),
        Column::text("name", "NAME"),
        Column::text("site", "SITE"),
        Column::state("state", "STATE"),
        Column::time("since", "SINCE"),
        Column::span("duration_ms", "DURATION"),
        Column::new("tags", "TAGS", Kind::List),
        Column::text("address", "ADDRESS"),
    ];
    let mut table = Table::new("devices", columns);
    for id in 0..ROWS {
        table.push(vec![
            id.into(),
            format!("router-{id:05}").into(),
            format!("site {}", id % 97).into(),
            "unreachable".into(),
            Value::Time(1_795_356_000_000 + id * 1_000),
            Value::Span(id * 37),
            vec!["core", "north"].into(),
            format!("10.{}.{}.{}", id >> 16, (id >> 8) & 255, id & 255).into(),
        ]);
    }
    table
}

fn plain(row: &[Value]) -> Plain {
    let text = |at: usize| exports::text(&row[at]).into_owned();
    let number = |at: usize| match row[at] {
        Value::Int(number) | Value::Span(number) => number,
        _ => 0,
    };
    Plain {
        id: number(0),
        name: text(1),
        site: text(2),
        state: text(3),
        since: match row[4] {
            Value::Time(ms) => rfc3339(ms).unwrap_or_default(),
            _ => String::new(),
        },
        duration_ms: number(5),
        tags: vec!["core".to_owned(), "north".to_owned()],
        address: text(7),
    }
}

fn bare_csv(rows: &[Plain], out: &mut dyn Write) {
    let mut csv = csv::Writer::from_writer(out);
    for row in rows {
        let tags = row.tags.join(", ");
        csv.serialize((
            row.id,
            &row.name,
            &row.site,
            &row.state,
            &row.since,
            row.duration_ms,
            tags,
            &row.address,
        ))
        .expect("a sink takes all");
    }
    csv.flush().expect("a sink takes all");
}
