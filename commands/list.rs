//! What every list takes: a query, how many, and in which order.

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
        Ok((selection, Page::new(self.limit, self.sort.as_deref(), columns)?))
    }
}

/// A query, checked. Times in it are those of this machine's time zone.
pub fn selection(query: &str, columns: &[Column], texts: &[&str], now: Time) -> Result<Selection, Failure> {
    Ok(Selection::parse(query, columns, texts, now, &TimeZone::system())?)
}

/// `-key:value` is a word of a query, not an option: a space in front keeps it from being read as one.
pub fn keep_negations(args: impl Iterator<Item = String>) -> Vec<String> {
    let mut done = false;
    args.map(|arg| {
        done |= arg == "--";
        let key = arg.strip_prefix('-').and_then(|rest| rest.split_once(':')).map_or("", |(key, _)| key);
        let negation = key.len() > 1 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if negation && !done { format!(" {arg}") } else { arg }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negation_is_no_option() {
        let kept = keep_negations(
            ["-o", "-tag:lab", "--sort=-since", "-x:1", "--", "-site:north"].into_iter().map(str::to_owned),
        );
        assert_eq!(kept, ["-o", " -tag:lab", "--sort=-since", "-x:1", "--", "-site:north"]);
    }
}
