//! The one language in which every list is asked: `state:open priority:P1,P2 site:north opened:<7d -tag:lab "some text"`.
//!
//! Words are joined by *and*; values behind one key, with commas between them, by *or*; a `-` in front means *not*. What
//! has no key is looked for in the list's texts. What a key takes is the list's own business.

use std::fmt;

/// The longest query, in bytes.
pub const MAX_LEN: usize = 4_000;
/// The most terms, and the most values of one.
pub const MAX_TERMS: usize = 100;

/// A query that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// What must all hold.
    pub terms: Vec<Term>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// It must not hold.
    pub negated: bool,
    /// The key; absent: any text.
    pub key: Option<String>,
    /// Any of these.
    pub values: Vec<String>,
}

/// Why a query is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// It is too long.
    #[error("the query is longer than {MAX_LEN} bytes or {MAX_TERMS} terms")]
    TooLong,
    /// A quotation mark without its other half.
    #[error("the quotation mark at character {0} of the query is never closed")]
    OpenQuote(usize),
    /// A key with nothing behind it.
    #[error("nothing stands behind '{0}:': write {0}:VALUE")]
    NoValue(String),
    /// A key that the list does not have.
    #[error("'{asked}' is nothing to ask this list for: there are {}{}", .known.join(", "), meant(.near))]
    UnknownKey {
        /// What was written.
        asked: String,
        /// What there is.
        known: Vec<&'static str>,
        /// The nearest of those, where one is near.
        near: Option<&'static str>,
    },
    /// A value that the key does not take.
    #[error("{key}:{value}: {why}")]
    BadValue {
        /// The key.
        key: String,
        /// What was written.
        value: String,
        /// What it takes.
        why: String,
    },
}

fn meant(near: &Option<&'static str>) -> String {
    near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default()
}

impl std::str::FromStr for Query {
    type Err = BadQuery;

    fn from_str(text: &str) -> Result<Query, BadQuery> {
        if text.len() > MAX_LEN {
            return Err(BadQuery::TooLong);
        }
        let mut reader = Reader { rest: text.chars().peekable(), at: 0 };
        let mut terms = Vec::new();
        while reader.skip_spaces() {
            terms.push(reader.term()?);
            if terms.len() > MAX_TERMS {
                return Err(BadQuery::TooLong);
            }
        }
        Ok(Query { terms })
    }
}

/// The word with which an unfinished query ends, and what may still become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished<'t> {
    /// What stands before it, and stays as it is.
    pub kept: &'t str,
    /// The key it is a value of; absent: it may become a key, or is any text.
    pub key: Option<&'t str>,
    /// What there is of it, without quotation marks.
    pub word: String,
}

/// Where somebody is who types a query.
#[must_use]
pub fn unfinished(text: &str) -> Unfinished<'_> {
    let (mut begin, mut key, mut quoted, mut escaped) = (0, None, false, false);
    for (at, c) in text.char_indices() {
        let after = at + c.len_utf8();
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            c if c.is_whitespace() => (begin, key) = (after, None),
            '-' if at == begin && key.is_none() => begin = after,
            ':' if key.is_none() => (begin, key) = (after, Some(&text[begin..at])),
            ',' if key.is_some() => begin = after,
            _ => {}
        }
    }
    let (kept, rest) = text.split_at(begin);
    let mut word = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {}
            '\\' if rest.starts_with('"') => word.extend(chars.next()),
            c => word.push(c),
        }
    }
    Unfinished { kept, key, word }
}

/// A value as a query holds it: with quotation marks, where it would not be read as one word.
#[must_use]
pub fn quoted(value: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\\' | ',' | ':');
    if !value.is_empty() && value.chars().all(is_plain) && !value.starts_with('-') {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

struct Reader<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.at += 1;
        Some(c)
    }

    /// Whether anything is left after the spaces.
    fn skip_spaces(&mut self) -> bool {
        while self.rest.peek().is_some_and(|c| c.is_whitespace()) {
            self.next();
        }
        self.rest.peek().is_some()
    }

    fn term(&mut self) -> Result<Term, BadQuery> {
        let mut negated = false;
        if self.rest.peek() == Some(&'-') {
            self.next();
            match self.rest.peek() {
                Some(c) if !c.is_whitespace() => negated = true,
                Some(_) | None => {
                    return Ok(Term { negated: false, key: None, values: vec!["-".to_owned()] });
                }
            }
        }
        let (first, quoted) = self.word(&[':'])?;
        if quoted || self.rest.peek() != Some(&':') {
            return Ok(Term { negated, key: None, values: vec![first] });
        }
        self.next();
        let mut values = Vec::new();
        loop {
            let (value, quoted) = self.word(&[','])?;
            if value.is_empty() && !quoted {
                return Err(BadQuery::NoValue(first));
            }
            values.push(value);
            if values.len() > MAX_TERMS {
                return Err(BadQuery::TooLong);
            }
            if self.rest.peek() != Some(&',') {
                return Ok(Term { negated, key: Some(first), values });
            }
            self.next();
        }
    }

    /// Up to white space or one of `ends`, or all between quotation marks; whether there were such.
    fn word(&mut self, ends: &[char]) -> Result<(String, bool), BadQuery> {
        let mut word = String::new();
        let mut quoted = false;
        while let Some(&c) = self.rest.peek() {
            if c.is_whitespace() || ends.contains(&c) {
                break;
            }
            self.next();
            if c != '"' {
                word.push(c);
                continue;
            }
            quoted = true;
            let opened = self.at;
            loop {
                match self.next() {
                    None => return Err(BadQuery::OpenQuote(opened)),
                    Some('"') => break,
                    Some('\\') => word.extend(self.next()),
                    Some(c) => word.push(c),
                }
            }
        }
        Ok((word, quoted))
    }
}

impl fmt::Display for Query {
    /// A text that reads back as the same query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            if term.negated {
                f.write_str("-")?;
            }
            if let Some(key) = &term.key {
                write!(f, "{key}:")?;
            }
            for (at, value) in term.values.iter().enumerate() {
                if at > 0 {
                    f.write_str(",")?;
                }
                write!(f, "\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

/// The nearest of `known` to `asked`, where one is near: what a person meant who mistyped it.
#[must_use]
pub fn nearest(asked: &str, known: &[&'static str]) -> Option<&'static str> {
    let most = asked.chars().count() / 3 + 1;
    known
        .iter()
        .map(|word| (distance(asked, word), *word))
        .filter(|(far, _)| *far <= most)
        .min()
        .map(|(_, word)| word)
}

/// Levenshtein's distance between two short words, where one letter for another counts as two steps: a letter that was
/// left out is the commoner slip.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(40).enumerate() {
        let mut before = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let here = row[j + 1];
            row[j + 1] = (before + 2 * usize::from(from != *to)).min(row[j] + 1).min(here + 1);
            before = here;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(bool, Option<String>, Vec<String>)> {
        let query: Query = text.parse().unwrap();
        query.terms.into_iter().map(|t| (t.negated, t.key, t.values)).collect()
    }

    fn key(key: &str, values: &[&str]) -> (bool, Option<String>, Vec<String>) {
        (false, Some(key.to_owned()), values.iter().map(|v| (*v).to_owned()).collect())
    }

    #[test]
    fn a_query_is_read_word_by_word() {
        assert_eq!(read(""), []);
        assert_eq!(read("  state:open "), [key("state", &["open"])]);
        assert_eq!(
            read("priority:P1,P2 opened:<7d"),
            [key("priority", &["P1", "P2"]), key("opened", &["<7d"])]
        );
        assert_eq!(read("site:\"head office\""), [key("site", &["head office"])]);
        assert_eq!(read("site:\"a,b\",c"), [key("site", &["a,b", "c"])]);
        assert_eq!(read("-tag:lab"), [(true, Some("tag".to_owned()), vec!["lab".to_owned()])]);
        assert_eq!(read("\"state:open\""), [(false, None, vec!["state:open".to_owned()])]);
        assert_eq!(read("gw -"), [(false, None, vec!["gw".to_owned()]), (false, None, vec!["-".to_owned()])]);
        assert_eq!(read("at:10:30"), [key("at", &["10:30"])]);
    }

    #[test]
    fn what_is_no_query_is_told_where() {
        for (text, error) in [
            ("state:", "nothing stands behind 'state:': write state:VALUE"),
            ("state:a,", "nothing stands behind 'state:': write state:VALUE"),
            ("gw \"north", "the quotation mark at character 4 of the query is never closed"),
        ] {
            assert_eq!(text.parse::<Query>().unwrap_err().to_string(), error);
        }
        assert_eq!("x".repeat(MAX_LEN + 1).parse::<Query>(), Err(BadQuery::TooLong));
        assert_eq!("x ".repeat(MAX_TERMS + 1).parse::<Query>(), Err(BadQuery::TooLong));
    }

    #[test]
    fn who_mistypes_is_told_the_nearest() {
        assert_eq!(nearest("sate", &["state", "site", "since"]), Some("state"));
        assert_eq!(nearest("priorty", &["state", "priority"]), Some("priority"));
        assert_eq!(nearest("colour", &["state", "site"]), None);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_query_reads_back(text in ".{0,60}") {
            if let Ok(query) = text.parse::<Query>() {
                prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query));
            }
        }
    }

    #[test]
    fn whoever_types_is_at_a_key_or_at_a_value_of_one() {
        for (text, kept, key, word) in [
            ("", "", None, ""),
            ("sta", "", None, "sta"),
            ("state:", "state:", Some("state"), ""),
            ("site:north -state:up,do", "site:north -state:up,", Some("state"), "do"),
            ("site:north -sta", "site:north -", None, "sta"),
            ("-tag:\"my la", "-tag:", Some("tag"), "my la"),
            ("\"two: words, \\\" and", "", None, "two: words, \" and"),
            ("state:up ", "state:up ", None, ""),
            ("address:fe80::1", "address:", Some("address"), "fe80::1"),
            ("name:rack-1", "name:", Some("name"), "rack-1"),
        ] {
            assert_eq!(unfinished(text), Unfinished { kept, key, word: word.to_owned() }, "{text}");
        }
    }

    #[test]
    fn a_quoted_value_reads_back_as_itself() {
        for value in ["north", "rack 3/a#1", "-x", "a,b", "a:b", "", "say \"hi\" \\o/", "ü"] {
            let query: Query = format!("name:{}", quoted(value)).parse().unwrap();
            assert_eq!(query.terms[0].values, [value]);
        }
    }
}
