//! A table as people see it: columns side by side, and one thing as lines of `key: value`.

use exports::{Column, Kind, Table, Value};
use tabled::grid::dimension::Dimension;
use tabled::grid::util::string::{get_char_width, get_line_width};
use tabled::settings::{Padding, Style};
use tabled::tables::CompactTable;

use crate::words::{self, Times};

/// How a table is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether words are coloured.
    pub colour: bool,
    /// The width of the terminal; absent: nothing is cut.
    pub width: Option<usize>,
    /// How times are shown.
    pub times: Times,
}

/// The narrowest a column is cut to.
const NARROWEST: usize = 8;
/// The space between two columns.
const GAP: usize = 2;

/// The columns' widths, kept from one piece of a table to the next.
#[derive(Clone, Debug, Default)]
pub struct Widths(Vec<usize>);

impl Dimension for Widths {
    fn get_width(&self, column: usize) -> usize {
        let last = column + 1 == self.0.len();
        self.0.get(column).map_or(0, |width| width + if last { 0 } else { GAP })
    }

    fn get_height(&self, _row: usize) -> usize {
        1
    }
}

/// A table with its heading.
pub fn table(table: &Table, look: Look) -> String {
    pieces(table, look, &mut Widths::default(), Part::Whole)
}

/// The rows of a table that goes on: the first piece has the heading, and the columns never get narrower.
pub fn piece(table: &Table, look: Look, widths: &mut Widths) -> String {
    let part = if widths.0.is_empty() { Part::First } else { Part::Next };
    pieces(table, look, widths, part)
}

/// Which part of a table is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// Its beginning: no column is left out, for something may stand in it further on.
    First,
    /// More rows under the heading that is there.
    Next,
}

fn pieces(table: &Table, look: Look, widths: &mut Widths, part: Part) -> String {
    let heading = part != Part::Next;
    let mut shown: Vec<(usize, &Column)> =
        table.columns.iter().enumerate().filter(|(_, column)| column.shown).collect();
    let mut rows: Vec<Vec<String>> = Vec::with_capacity(table.rows.len() + 1);
    if heading {
        rows.push(shown.iter().map(|(_, column)| column.title.to_owned()).collect());
    }
    for row in &table.rows {
        let cell = |&(at, _): &(usize, &Column)| {
            row.get(at).map_or_else(String::new, |v| words::line(v, look.times))
        };
        rows.push(shown.iter().map(cell).collect());
    }
    widths.0.resize(shown.len(), 0);
    for row in &rows {
        for (width, cell) in widths.0.iter_mut().zip(row) {
            *width = (*width).max(text_width(cell));
        }
    }
    if let Some(most) = look.width {
        if part == Part::Whole && over(&widths.0, most) > 0 {
            leave_out_empty(&mut shown, &mut rows, &mut widths.0);
        }
        narrow(&mut widths.0, &shown, most);
    }
    let titles = usize::from(heading);
    for (number, row) in rows.iter_mut().enumerate() {
        for ((cell, &width), (_, column)) in row.iter_mut().zip(&widths.0).zip(&shown) {
            fit(cell, width, column.kind);
            if look.colour {
                colour(cell, column.kind, number < titles);
            }
        }
    }
    aligned(rows, widths)
}

fn aligned(rows: Vec<Vec<String>>, widths: &Widths) -> String {
    let columns = widths.0.len();
    let text = CompactTable::with_dimension(rows, widths)
        .columns(columns)
        .with(Style::empty())
        .with(Padding::zero())
        .to_string();
    let mut trimmed = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        trimmed.push_str(line.trim_end());
        trimmed.push('\n');
    }
    trimmed
}

/// By how much a table is too wide.
fn over(widths: &[usize], most: usize) -> usize {
    let gaps = GAP * widths.len().saturating_sub(1);
    (widths.iter().sum::<usize>() + gaps).saturating_sub(most)
}

/// Leaves out the columns in which nothing stands, to make room for those in which something does.
fn leave_out_empty(shown: &mut Vec<(usize, &Column)>, rows: &mut [Vec<String>], widths: &mut Vec<usize>) {
    let full: Vec<bool> =
        (0..shown.len()).map(|at| rows.iter().skip(1).any(|row| row[at] != words::NOTHING)).collect();
    if !full.contains(&true) {
        return;
    }
    let keep = |at: &mut usize| {
        *at += 1;
        full[*at - 1]
    };
    let mut at = 0;
    shown.retain(|_| keep(&mut at));
    let mut at = 0;
    widths.retain(|_| keep(&mut at));
    for row in rows {
        let mut at = 0;
        row.retain(|_| keep(&mut at));
    }
}

/// Takes from the widest columns of text until all fit; then, where they still do not, from the last ones.
fn narrow(widths: &mut [usize], columns: &[(usize, &Column)], most: usize) {
    let mut over = over(widths, most);
    while over > 0 {
        let widest = (0..widths.len()).filter(|&i| can_be_cut(columns[i].1.kind)).max_by_key(|&i| widths[i]);
        match widest {
            Some(i) if widths[i] > NARROWEST => widths[i] -= 1,
            Some(_) | None => break,
        }
        over -= 1;
    }
    for width in widths.iter_mut().rev() {
        let less = over.min(width.saturating_sub(1));
        *width -= less;
        over -= less;
    }
}

fn can_be_cut(kind: Kind) -> bool {
    match kind {
        Kind::Text | Kind::List | Kind::Object => true,
        Kind::State | Kind::Bool | Kind::Int | Kind::Time | Kind::Span | Kind::Money => false,
    }
}

/// Cuts a cell to its width; numbers stand at the right.
fn fit(cell: &mut String, width: usize, kind: Kind) {
    let own = text_width(cell);
    if own > width {
        *cell = cut(cell, width);
    } else if own < width && matches!(kind, Kind::Int | Kind::Money) {
        cell.insert_str(0, &" ".repeat(width - own));
    }
}

fn cut(text: &str, width: usize) -> String {
    let mut left = width.saturating_sub(1);
    let mut kept = String::new();
    for c in text.chars() {
        let own = get_char_width(c);
        if own > left {
            break;
        }
        left -= own;
        kept.push(c);
    }
    kept.push('…');
    kept
}

fn colour(cell: &mut String, kind: Kind, title: bool) {
    let code = if title {
        Some("1")
    } else if kind == Kind::State {
        words::colour(cell.trim())
    } else {
        None
    };
    if let Some(code) = code {
        *cell = format!("\u{1b}[{code}m{cell}\u{1b}[0m");
    }
}

fn text_width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { get_line_width(text) }
}

/// One thing: a line for each of its columns, shown in lists or not. Text of several lines is indented.
pub fn record(table: &Table, look: Look) -> String {
    let Some(row) = table.rows.first() else { return String::new() };
    let title = |column: &Column| format!("{}:", column.title.to_lowercase());
    let widest = table.columns.iter().map(|column| text_width(&title(column))).max().unwrap_or(0);
    let mut text = String::new();
    for (column, value) in table.columns.iter().zip(row) {
        let title = title(column);
        let space = widest - text_width(&title) + 1;
        text.push_str(&title);
        match value {
            Value::List(values) if values.iter().any(|v| matches!(v, Value::Object(_))) => {
                text.push('\n');
                values.iter().for_each(|value| indented(&mut text, value, look));
                continue;
            }
            value => {
                let mut cell = words::line(value, look.times);
                if look.colour {
                    colour(&mut cell, column.kind, false);
                }
                text.push_str(&" ".repeat(space));
                text.push_str(&cell);
            }
        }
        text.push('\n');
    }
    text
}

/// One of several named values under its heading: the short ones on one line, then the text.
fn indented(text: &mut String, value: &Value, look: Look) {
    let Value::Object(fields) = value else {
        text.push_str(&format!("  {}\n", words::line(value, look.times)));
        return;
    };
    let (long, short): (Vec<_>, Vec<_>) = fields.iter().partition(|(key, _)| *key == "text");
    let head: Vec<String> = short.iter().map(|(_, value)| words::line(value, look.times)).collect();
    text.push_str(&format!("  {}\n", head.join(", ")));
    for (_, value) in long {
        for line in words::lines(&exports::text(value)) {
            text.push_str(&format!("    {line}\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use schedules::Time;

    use super::*;

    fn devices() -> Table {
        let columns = vec![
            Column::int("id", "ID"),
            Column::text("name", "NAME"),
            Column::state("state", "STATE"),
            Column::time("since", "SINCE"),
            Column::list("tags", "TAGS"),
            Column::text("note", "NOTE").hidden(),
        ];
        let mut table = Table::new("devices", columns);
        let row = |id: i64, name: &str, state: &str, since: i64| {
            vec![
                Value::Int(id),
                name.into(),
                state.into(),
                Value::Time(1_795_356_000_000 - since),
                vec!["core", "north"].into(),
                "hidden".into(),
            ]
        };
        table.push(row(1, "gateway", "up", 180_000));
        table.push(row(12, "a-switch-with-quite-a-long-name-in-the-attic", "down", 5_000));
        table.push(row(3, "テレビ", "unknown", 0));
        table
    }

    fn terminal(width: usize, colour: bool) -> Look {
        Look { colour, width: Some(width), times: Times::From(Time(1_795_356_000_000)) }
    }

    #[test]
    fn a_pipe_gets_everything_uncut() {
        let look = Look { colour: false, width: None, times: Times::Exact };
        insta::assert_snapshot!(table(&devices(), look), @r"
        ID  NAME                                          STATE    SINCE                 TAGS
         1  gateway                                       up       2026-11-22T13:57:00Z  core, north
        12  a-switch-with-quite-a-long-name-in-the-attic  down     2026-11-22T13:59:55Z  core, north
         3  テレビ                                        unknown  2026-11-22T14:00:00Z  core, north
        ");
    }

    #[test]
    fn a_terminal_gets_what_fits() {
        insta::assert_snapshot!(table(&devices(), terminal(60, false)), @r"
        ID  NAME                     STATE    SINCE      TAGS
         1  gateway                  up       3 min ago  core, north
        12  a-switch-with-quite-a-…  down     5 s ago    core, north
         3  テレビ                   unknown  now        core, north
        ");
        for width in 1..200 {
            for line in table(&devices(), terminal(width, false)).lines() {
                assert!(get_line_width(line) <= width.max(13), "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_column_in_which_nothing_stands_makes_room_for_the_others() {
        let mut all = devices();
        all.columns.push(Column::text("marks", "MARKS"));
        all.rows.iter_mut().for_each(|row| row.push(Value::Null));
        assert!(table(&all, terminal(200, false)).contains("MARKS"));
        assert_eq!(table(&all, terminal(60, false)), table(&devices(), terminal(60, false)));
    }

    #[test]
    fn a_state_has_its_colour_and_the_columns_still_stand_straight() {
        insta::assert_snapshot!(table(&devices(), terminal(60, true)).replace('\u{1b}', "^"), @r"
        ^[1mID^[0m  ^[1mNAME^[0m                     ^[1mSTATE^[0m    ^[1mSINCE^[0m      ^[1mTAGS^[0m
         1  gateway                  ^[32mup^[0m       3 min ago  core, north
        12  a-switch-with-quite-a-…  ^[31mdown^[0m     5 s ago    core, north
         3  テレビ                   ^[2munknown^[0m  now        core, north
        ");
    }

    #[test]
    fn one_thing_is_a_line_a_column() {
        let mut one = devices();
        one.columns.push(Column::list("comments", "COMMENTS"));
        one.rows.truncate(1);
        let comment = Value::Object(vec![
            ("at", Value::Time(1_795_355_990_000)),
            ("author", "ana".into()),
            ("text", "looked at it\nthe cable is broken".into()),
        ]);
        one.rows[0].push(Value::List(vec![comment]));
        insta::assert_snapshot!(record(&one, terminal(60, false)), @r"
        id:       1
        name:     gateway
        state:    up
        since:    3 min ago
        tags:     core, north
        note:     hidden
        comments:
          10 s ago, ana
            looked at it
            the cable is broken
        ");
    }

    #[test]
    fn a_table_that_goes_on_keeps_the_columns_in_which_nothing_stands_yet() {
        let mut all = devices();
        all.columns.insert(1, Column::text("site", "SITE"));
        all.rows.iter_mut().for_each(|row| row.insert(1, Value::Null));
        let mut widths = Widths::default();
        let first = piece(&all, terminal(50, false), &mut widths);
        all.rows.iter_mut().for_each(|row| row[1] = "north".into());
        let more = piece(&all, terminal(50, false), &mut widths);
        insta::assert_snapshot!(first + &more, @r"
        ID  SITE  NAME       STATE    SINCE      TAGS
         1  -     gateway    up       3 min ago  core, no…
        12  -     a-switch…  down     5 s ago    core, no…
         3  -     テレビ     unknown  now        core, no…
         1  north  gateway    up       3 min ago  core, n…
        12  north  a-switch…  down     5 s ago    core, n…
         3  north  テレビ     unknown  now        core, n…
        ");
    }

    #[test]
    fn a_table_that_goes_on_has_one_heading_and_never_gets_narrower() {
        let mut widths = Widths::default();
        let look = Look { colour: false, width: None, times: Times::Exact };
        let mut all = devices();
        let rest = all.rows.split_off(1);
        let first = piece(&all, look, &mut widths);
        let narrow = piece(&all, look, &mut Widths::default());
        let more = piece(&Table { rows: rest, ..all.clone() }, look, &mut widths);
        assert_eq!(first, narrow);
        assert!(!more.contains("NAME"), "{more}");
        assert!(
            piece(&all, look, &mut widths).starts_with(" 1  gateway            "),
            "as wide as the widest"
        );
    }
}
