//! The formats there are, and their names.

use std::fmt;
use std::str::FromStr;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Comma separated (RFC 4180), with a heading; lines end in LF. A text that begins like a formula has a `'` before it.
    Csv,
    /// Tab separated; tab, line feed, carriage return and backslash are written `\t`, `\n`, `\r`, `\\`. A text that begins like
    /// a formula has a `'` before it.
    Tsv,
    /// One array of objects, an object a line.
    Json,
    /// An object a line.
    Jsonl,
    /// A list of maps; every text is a text to YAML 1.1 readers too.
    Yaml,
    /// A table of GitHub's Markdown.
    Markdown,
    /// A page with one table.
    Html,
    /// The names alone, a line each.
    Name,
}

impl Format {
    /// All formats, in the order in which help shows them.
    pub const ALL: [Format; 8] = [
        Format::Json,
        Format::Jsonl,
        Format::Yaml,
        Format::Csv,
        Format::Tsv,
        Format::Markdown,
        Format::Html,
        Format::Name,
    ];

    /// The name a person writes; also the ending of a file in this format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::Jsonl => "jsonl",
            Format::Yaml => "yaml",
            Format::Markdown => "md",
            Format::Html => "html",
            Format::Name => "name",
        }
    }

    /// The media type (RFC 6838) under which a web server sends it.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Tsv => "text/tab-separated-values; charset=utf-8",
            Format::Json => "application/json",
            Format::Jsonl => "application/jsonl",
            Format::Yaml => "application/yaml",
            Format::Markdown => "text/markdown; charset=utf-8",
            Format::Html => "text/html; charset=utf-8",
            Format::Name => "text/plain; charset=utf-8",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A format that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no format '{0}': there are json, jsonl, yaml, csv, tsv, md, html and name")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    /// Reads a format's name, in any case; `yml`, `markdown`, `htm` and `ndjson` mean what they say.
    fn from_str(text: &str) -> Result<Format, UnknownFormat> {
        let name = match text.to_ascii_lowercase().as_str() {
            "yml" => "yaml".to_owned(),
            "markdown" => "md".to_owned(),
            "htm" => "html".to_owned(),
            "ndjson" => "jsonl".to_owned(),
            other => other.to_owned(),
        };
        Format::ALL.into_iter().find(|f| f.name() == name).ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_reads_back_by_its_name() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert!(UnknownFormat(String::new()).to_string().contains(format.name()));
        }
        assert_eq!("YML".parse(), Ok(Format::Yaml));
        assert_eq!("markdown".parse(), Ok(Format::Markdown));
        assert!("xml".parse::<Format>().unwrap_err().to_string().contains("'xml'"));
    }
}
