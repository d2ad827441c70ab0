//! Which HTTP statuses are good: `200-299,401`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The most parts a list may have.
const MAX_PARTS: usize = 50;

/// A list of statuses and ranges of statuses. Read from an empty text it is 200 to 399.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

/// What is wrong with a list of statuses a person wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a list of HTTP statuses: write it as 200-299,401 (each from 100 to 599)")]
pub struct BadStatus(String);

impl StatusSet {
    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl FromStr for StatusSet {
    type Err = BadStatus;

    fn from_str(text: &str) -> Result<StatusSet, BadStatus> {
        let bad = || BadStatus(text.chars().take(100).collect());
        if text.trim().is_empty() {
            return Ok(StatusSet(vec![200..=399]));
        }
        let status = |text: &str| {
            let text = text.trim();
            let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
            let status = text.parse::<u16>().ok().filter(|status| digits && (100..=599).contains(status));
            status.ok_or_else(bad)
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let range = status(from)?..=status(to)?;
            if range.is_empty() || ranges.len() == MAX_PARTS {
                return Err(bad());
            }
            ranges.push(range);
        }
        Ok(StatusSet(ranges))
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, range) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (from, to) if from == to => write!(f, "{comma}{from}")?,
                (from, to) => write!(f, "{comma}{from}-{to}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_statuses_reads_back_as_it_is_shown() {
        for (text, shown) in [("", "200-399"), ("200", "200"), ("200-299, 401", "200-299,401")] {
            assert_eq!(text.parse::<StatusSet>().unwrap().to_string(), shown);
        }
        let set: StatusSet = "200-299,401".parse().unwrap();
        let good = [199, 200, 299, 300, 400, 401, 402].map(|status| set.contains(status));
        assert_eq!(good, [false, true, true, false, false, true, false]);
    }

    #[test]
    fn what_is_no_list_of_statuses_is_refused() {
        let long = "200,".repeat(60) + "200";
        for text in [",", "200,", "299-200", "99", "600", "2xx", "200-", "-200", "200-250-299", "+200", &long]
        {
            assert!(text.parse::<StatusSet>().is_err(), "{text}");
        }
    }
}
