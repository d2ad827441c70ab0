//! The formats that people read: tables of Markdown and of HTML.

use std::io::{self, Write};

use super::Encode;
use crate::{Column, Kind, Row, text};

/// A table of GitHub's Markdown.
pub(super) struct Markdown<W>(W);

impl<W: Write> Markdown<W> {
    pub(super) fn new(mut out: W, columns: &[Column]) -> io::Result<Markdown<W>> {
        for column in columns {
            write!(out, "| {} ", markdown(column.title))?;
        }
        out.write_all(b"|\n")?;
        for column in columns {
            out.write_all(if is_number(*column) { b"| ---: " } else { b"| --- " })?;
        }
        out.write_all(b"|\n")?;
        Ok(Markdown(out))
    }
}

impl<W: Write> Encode for Markdown<W> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        for value in row.cells {
            write!(self.0, "| {} ", markdown(&text(value)))?;
        }
        self.0.write_all(b"|\n")
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Escapes what Markdown would read as its own; a line's end becomes `<br>`.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = letters.next() {
        match c {
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' | '\r' => escaped.push_str("<br>"),
            '_' if before.is_alphanumeric()
                && letters.peek().is_some_and(|after| after.is_alphanumeric()) =>
            {
                escaped.push('_');
            }
            '|' | '\\' | '<' | '&' | '*' | '`' | '[' | ']' | '~' | '_' => escaped.extend(['\\', c]),
            other => escaped.push(other),
        }
        before = c;
    }
    escaped
}

/// A page with one table and nothing else.
pub(super) struct Html<W>(W);

impl<W: Write> Html<W> {
    pub(super) fn new(mut out: W, columns: &[Column]) -> io::Result<Html<W>> {
        out.write_all(b"<!doctype html>\n<meta charset=\"utf-8\">\n<title>lineman</title>\n")?;
        out.write_all(b"<table>\n<thead>\n<tr>")?;
        for column in columns {
            write!(out, "<th>{}</th>", html(column.title))?;
        }
        out.write_all(b"</tr>\n</thead>\n<tbody>\n")?;
        Ok(Html(out))
    }
}

impl<W: Write> Encode for Html<W> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.0.write_all(b"<tr>")?;
        for (column, value) in row.columns.iter().zip(row.cells) {
            let open = if is_number(*column) { "<td align=\"right\">" } else { "<td>" };
            write!(self.0, "{open}{}</td>", html(&text(value)))?;
        }
        self.0.write_all(b"</tr>\n")
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.write_all(b"</tbody>\n</table>\n")?;
        self.0.flush()
    }
}

/// Escapes what HTML would read as its own; a line's end becomes `<br>`. What no page may hold (control characters)
/// becomes U+FFFD.
fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' | '\r' => escaped.push_str("<br>"),
            '\t' => escaped.push('\t'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

fn is_number(column: Column) -> bool {
    matches!(column.kind, Kind::Int | Kind::Span | Kind::Money)
}
