//! One awkward table in every format, and what other programs read from it.

use exports::{Column, Error, Format, Kind, Table, Value, Writer, unguarded, write};
use proptest::prelude::*;

fn awkward() -> Table {
    let columns = vec![
        Column::int("id", "ID"),
        Column::text("name", "NAME"),
        Column::state("state", "STATE"),
        Column::time("since", "SINCE"),
        Column::span("duration_ms", "DURATION"),
        Column::money("total", "TOTAL"),
        Column::list("tags", "TAGS"),
        Column::object("verdict", "VERDICT").hidden(),
    ];
    let mut table = Table::new("devices", columns);
    table.push(vec![
        1.into(),
        "gw, \"north\" | <b>\tR&D\\".into(),
        "up".into(),
        Value::Time(1_795_356_000_000),
        Value::Span(90_000),
        Value::money(1250, "EUR"),
        vec!["no", "1e3", "a,b"].into(),
        vec![("code", "power".into()), ("sure", true.into())].into(),
    ]);
    table.push(vec![
        Value::Int(-2),
        "two\nlines: *yes*\r\n# end".into(),
        "no".into(),
        Value::Time(1_795_356_000_123),
        Value::Span(0),
        Value::money(-1250, "KWD"),
        Value::List(Vec::new()),
        Value::Null,
    ]);
    table.push(vec![
        Value::Int(-3),
        "=HYPERLINK(\"x\")".into(),
        "'@".into(),
        Value::Time(0),
        Value::Span(-1),
        Value::money(-1250, "EUR"),
        vec!["+1", "+2"].into(),
        Value::Null,
    ]);
    table.push(vec![
        Value::Null,
        "\u{1b}[31mröt\u{9b}\u{2028}".into(),
        "10:20:30".into(),
        Value::Time(i64::MAX),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
    ]);
    table
}

fn written(table: &Table, format: Format) -> String {
    let mut bytes = Vec::new();
    write(table, format, &mut bytes).expect("memory takes all");
    String::from_utf8(bytes).expect("every format is UTF-8")
}

#[test]
fn an_awkward_table_in_every_format() {
    for format in Format::ALL {
        insta::assert_snapshot!(format.name(), written(&awkward(), format));
    }
}

#[test]
fn an_empty_table_is_a_heading_or_an_empty_list() {
    let table = Table::new("devices", vec![Column::text("name", "NAME"), Column::money("total", "TOTAL")]);
    for (format, text) in [
        (Format::Json, "[]\n"),
        (Format::Jsonl, ""),
        (Format::Yaml, "[]\n"),
        (Format::Csv, "name,total,total_currency\n"),
        (Format::Tsv, "name\ttotal\ttotal_currency\n"),
        (Format::Markdown, "| NAME | TOTAL |\n| --- | ---: |\n"),
        (Format::Name, ""),
    ] {
        assert_eq!(written(&table, format), text);
    }
}

#[test]
fn a_row_that_does_not_fit_is_refused_by_its_number() {
    let columns = [Column::text("name", "NAME")];
    let mut out = Vec::new();
    let mut writer = Writer::new(Format::Json, &columns, &mut out).unwrap();
    writer.row(&["gw".into()]).unwrap();
    let error = writer.row(&[]).unwrap_err();
    assert_eq!(error.to_string(), "row 2 has 0 cells for 1 columns");
}

#[test]
fn a_failing_output_is_an_error_of_its_kind() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for format in Format::ALL {
        let error = write(&awkward(), format, Full).unwrap_err();
        assert!(matches!(error, Error::Io(e) if e.kind() == std::io::ErrorKind::BrokenPipe), "{format}");
    }
}

/// Texts that break writers: any characters, and the words and shapes that formats read as something else.
fn any_text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "no",
        "Yes",
        "y",
        "ON",
        "~",
        "null",
        "1e3",
        "0x1f",
        "017",
        "1_000",
        "10:20:30",
        "2026-11-22",
        "=",
        "=HYPERLINK(\"x\")",
        "+49 30",
        "'=",
        "''-",
        "＝1",
        "<<",
        ".inf",
        "- a",
        "a: b",
        "a #b",
        "{}",
        "[]",
        "'",
        "\"",
        "|",
        ">",
        "%",
        "@",
        "`",
        "\n",
        "\n\n a\n",
        " a",
        "a ",
        "a\n",
        "\t",
        "\r",
        "\r\n",
        "--- \n",
        "...",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "\u{7f}",
        "\u{ffff}",
        "",
        " \n a\n  b \n\n",
    ]);
    prop_oneof![
        word.clone().prop_map(str::to_owned),
        prop::collection::vec(word, 1..4).prop_map(|parts| parts.concat()),
        prop::collection::vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect()),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Span),
        any::<i64>().prop_map(Value::Time),
        (-100_000_000_000_000_i64..300_000_000_000_000).prop_map(Value::Time),
        any_text().prop_map(Value::Text),
        (any::<i64>(), "[A-Z]{3}").prop_map(|(minor, currency)| Value::Money { minor, currency }),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            inner.prop_map(|value| Value::Object(vec![("no", value)])),
        ]
    })
}

fn any_table(cell: impl Strategy<Value = Value>) -> impl Strategy<Value = Table> {
    let row = prop::collection::vec(cell, 2);
    prop::collection::vec(row, 0..5).prop_map(|rows| {
        let columns = vec![Column::text("a", "A"), Column::new("no", "B", Kind::Object)];
        Table { name: "things".to_owned(), columns, rows }
    })
}

fn as_json(table: &Table) -> Vec<serde_json::Value> {
    table.rows().map(|row| serde_json::to_value(row).expect("a row is JSON")).collect()
}

proptest! {
    #[test]
    fn csv_reads_back(table in any_table(any_text().prop_map(Value::Text))) {
        let text = written(&table, Format::Csv);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read: Vec<Vec<Value>> =
            reader.records().map(|r| r.unwrap().iter().map(unguarded).map(Value::from).collect()).collect();
        prop_assert_eq!(read, table.rows);
    }

    #[test]
    fn no_spreadsheet_takes_a_text_for_a_formula(table in any_table(any_text().prop_map(Value::Text))) {
        let csv = written(&table, Format::Csv);
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let lines = reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect::<Vec<_>>());
        let tsv = written(&table, Format::Tsv);
        let tabbed = tsv.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect());
        for cell in lines.chain(tabbed).flatten() {
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝']), "{cell:?}");
        }
    }

    #[test]
    fn tsv_has_a_line_a_row_and_a_tab_a_column(table in any_table(any_value())) {
        let text = written(&table, Format::Tsv);
        prop_assert_eq!(text.matches('\n').count(), table.rows.len() + 1);
        prop_assert!(text.lines().all(|line| line.matches('\t').count() == 1));
    }

    #[test]
    fn json_reads_back(table in any_table(any_value())) {
        let read: Vec<serde_json::Value> = serde_json::from_str(&written(&table, Format::Json)).unwrap();
        prop_assert_eq!(&read, &as_json(&table));
        let lines = written(&table, Format::Jsonl);
        let read: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(read, as_json(&table));
    }

    #[test]
    fn yaml_reads_back_as_the_json_does(table in any_table(any_value())) {
        let text = written(&table, Format::Yaml);
        let read: Result<Vec<serde_json::Value>, _> = serde_yaml::from_str(&text);
        prop_assert!(read.is_ok(), "{:?}: {}", read, text);
        prop_assert_eq!(read.unwrap(), as_json(&table), "{}", text);
    }

    #[test]
    fn html_has_no_tag_but_its_own(cell in any_text()) {
        let columns = vec![Column::text("a", "A")];
        let table = Table { name: String::new(), columns, rows: vec![vec![Value::Text(cell)]] };
        let text = written(&table, Format::Html);
        let body = text.split("<td>").nth(1).unwrap().split("</td>").next().unwrap().replace("<br>", "");
        prop_assert!(!body.contains(['<', '>', '"', '\'']), "{}", body);
    }

    #[test]
    fn markdown_has_a_line_a_row(cell in any_text()) {
        let columns = vec![Column::text("a", "A")];
        let table = Table { name: String::new(), columns, rows: vec![vec![Value::Text(cell)]] };
        prop_assert_eq!(written(&table, Format::Markdown).split('\n').count(), 4);
    }
}
