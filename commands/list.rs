//! What every list takes: a query, how many, and in which order.

use std::ffi::OsString;

use clap::Args;
use jiff::tz::TimeZone;
use lineman::store::filter::{Column, Page, Selection};
use schedules::Time;

use crate::failure::Failure;

/// What of a list is wanted.
#[derive(Args, Clone, Debug, Default)]
pub struct Wanted {
    /// What to look for: `key:value` (with commas: any of them; `-key:value`: not), `key:<7d` for times, or free text
    #[arg(value_name = "QUERY")]
    pub query: Vec<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Leave out so many at the beginning
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub skip: u32,
    /// The key to order by; `-KEY` for the largest first
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub sort: Option<String>,
}

impl Wanted {
    /// The words of the query as one.
    pub fn text(&self) -> String {
        self.query.join(" ")
    }

    /// The query and the page, checked.
    pub fn read(&self, columns: &[Column], texts: &[&str], now: Time) -> Result<(Selection, Page), Failure> {
        let selection = selection(&self.text(), columns, texts, now)?;
        Ok((selection, Page::new((self.limit, self.skip), self.sort.as_deref(), columns)?))
    }
}

/// A query, checked. Times in it are those of this machine's time zone.
pub fn selection(query: &str, columns: &[Column], texts: &[&str], now: Time) -> Result<Selection, Failure> {
    Ok(Selection::parse(query, columns, texts, now, &TimeZone::system())?)
}

/// Behind `list` or `export`, `-key:value` is a word of a query, not an option: a space in front keeps it from being
/// read as one.
pub fn keep_negations(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let (mut query, mut done) = (false, false);
    args.map(|arg| {
        done |= arg == "--";
        let negated = query && !done && arg.to_str().is_some_and(is_negation);
        query |= arg == "list" || arg == "export";
        if !negated {
            return arg;
        }
        let mut word = OsString::from(" ");
        word.push(arg);
        word
    })
    .collect()
}

fn is_negation(arg: &str) -> bool {
    let key = arg.strip_prefix('-').and_then(|rest| rest.split_once(':')).map_or("", |(key, _)| key);
    key.len() > 1 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negation_is_no_option() {
        let kept = |args: &[&str]| keep_negations(args.iter().map(OsString::from));
        assert_eq!(
            kept(&["list", "-o", "-tag:lab", "--sort=-since", "-x:1", "--", "-site:north"]),
            ["list", "-o", " -tag:lab", "--sort=-since", "-x:1", "--", "-site:north"]
        );
        assert_eq!(kept(&["site", "add", "b", "-see:below"]), ["site", "add", "b", "-see:below"]);
    }

    #[test]
    fn a_word_that_is_no_text_stays_as_it_is() {
        use std::os::unix::ffi::OsStringExt;
        let word = OsString::from_vec(b"-tag:\xff".to_vec());
        assert_eq!(keep_negations(["list".into(), word.clone()].into_iter())[1], word);
    }
}
