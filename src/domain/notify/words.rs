//! What a message says: a title, and a text of a few lines for one trouble or a line each for several.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schedules::{Millis, Time};

use crate::domain::ids::TicketId;
use crate::domain::notify::News;
use crate::domain::notify::group::MAX_LINES;
use crate::domain::ticket::Priority;

/// The most devices out of reach that are named.
const MAX_NAMED: usize = 10;

/// What is told of one trouble.
#[derive(Clone, Debug)]
pub struct Told {
    /// What is told.
    pub news: News,
    /// Its priority.
    pub priority: Option<Priority>,
    /// What it is: `tower-3 is down`.
    pub title: String,
    /// The device it is about.
    pub device: Option<String>,
    /// The site it is about.
    pub site: Option<String>,
    /// Since when.
    pub since: Time,
    /// Until when, where it is over.
    pub until: Option<Time>,
    /// On which clocks that is told.
    pub zone: TimeZone,
    /// Why it is so, as far as it is known.
    pub reason: Option<String>,
    /// Where the fault is, as far as it is known.
    pub verdict: Option<String>,
    /// The devices out of reach behind it.
    pub affected: Vec<String>,
    /// Its ticket.
    pub ticket: Option<TicketId>,
    /// What changed.
    pub changes: Vec<String>,
    /// How it ended, where it did.
    pub ending: Ending,
}

/// How a trouble ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did not.
    Lasts,
    /// By itself.
    Recovered,
    /// A person closed its ticket, for that reason.
    Closed(Option<String>),
    /// It is part of another ticket.
    PartOf(TicketId),
    /// Nobody knows any more what it was.
    Gone,
}

impl Told {
    /// The title of a message about this alone.
    #[must_use]
    pub fn title(&self) -> String {
        let subject = self.device.as_deref().unwrap_or(&self.title);
        match (&self.ending, self.news) {
            (_, News::Note) => self.title.clone(),
            (_, News::Broke) => self.headline(),
            (_, News::Changed) if self.changes.is_empty() => format!("{}: it still lasts", self.headline()),
            (_, News::Changed) => format!("{}: {}", self.headline(), self.changes.join(", ")),
            (Ending::PartOf(other), News::Mended) => {
                format!("mended: {subject} is part of ticket {other} now")
            }
            (Ending::Closed(_), News::Mended) => match self.ticket {
                Some(ticket) => format!("mended: ticket {ticket} is closed: {}", self.title),
                None => format!("mended: {}", self.title),
            },
            (Ending::Recovered | Ending::Lasts, News::Mended) if self.device.is_some() => {
                format!("mended: {subject} is back{}", self.lasted(" after "))
            }
            (Ending::Recovered | Ending::Lasts | Ending::Gone, News::Mended) => {
                format!("mended: {subject}{}", self.lasted(", it lasted "))
            }
        }
    }

    /// The text of a message about this alone.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![self.title(), String::new()];
        if let Some(site) = &self.site {
            lines.push(format!("Site: {site}"));
        }
        match self.until {
            None => lines.push(format!("Since: {}", moment(self.since, &self.zone))),
            Some(until) => {
                lines.push(format!("From: {}", moment(self.since, &self.zone)));
                lines.push(format!("Until: {}{}", moment(until, &self.zone), self.lasted(", ")));
            }
        }
        if let Some(reason) = self.reason.as_deref().filter(|reason| !reason.is_empty()) {
            lines.push(format!("Reason: {reason}"));
        }
        if let Some(verdict) = &self.verdict {
            lines.push(format!("Fault: {verdict}"));
        }
        if let Ending::Closed(Some(reason)) = &self.ending {
            lines.push(format!("Closed because: {reason}"));
        }
        if !self.affected.is_empty() && self.news != News::Mended {
            let named: Vec<&str> = self.affected.iter().take(MAX_NAMED).map(String::as_str).collect();
            let more = self.affected.len().saturating_sub(MAX_NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("Affected: {}{more}", named.join(", ")));
        }
        if let Some(ticket) = self.ticket {
            lines.push(format!("Ticket: {ticket}"));
        }
        lines.join("\n") + "\n"
    }

    /// `P2 tower-3 is down (3 devices affected)`
    fn headline(&self) -> String {
        let priority = self.priority.map(|p| format!("{p} ")).unwrap_or_default();
        let affected = match self.affected.len() {
            0 => String::new(),
            1 => " (1 device affected)".to_owned(),
            count => format!(" ({count} devices affected)"),
        };
        format!("{priority}{}{affected}", self.title)
    }

    fn lasted(&self, before: &str) -> String {
        self.until.map(|until| format!("{before}{}", span(until.since(self.since)))).unwrap_or_default()
    }

    /// One line of several.
    fn line(&self) -> String {
        let mut line = self.title();
        if let Some(site) = &self.site {
            line.push_str(&format!(" · site {site}"));
        }
        if self.until.is_none() && self.news != News::Note {
            line.push_str(&format!(" · since {}", moment(self.since, &self.zone)));
        }
        if let Some(ticket) = self.ticket {
            line.push_str(&format!(" · ticket {ticket}"));
        }
        line
    }
}

/// The title and the text of a message about all of these, the most urgent first. `news`: what is told of each, also of
/// those that are too many to be named.
#[must_use]
pub fn several(all: &[Told], news: &[News]) -> (String, String) {
    let Some(first) = all.first() else { return (String::new(), String::new()) };
    let count = news.len();
    if count <= 1 {
        return (first.title(), first.text());
    }
    let of_kind = |kind: &News| news.iter().filter(|one| *one == kind).count();
    let counts: Vec<String> = News::ALL
        .iter()
        .map(|kind| (of_kind(kind), kind))
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    let title = format!("{}: {}, and {} more", counts.join(", "), first.title(), count - 1);
    let mut lines: Vec<String> = all.iter().take(MAX_LINES).map(Told::line).collect();
    let more = count.saturating_sub(lines.len());
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    (title.clone(), format!("{title}\n\n{}\n", lines.join("\n")))
}

/// A moment on the clocks of a zone, with the zone: `2026-11-22 15:00:00 CET`.
fn moment(at: Time, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(at.0) {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

/// A span in its two largest units: `2h 5m`.
fn span(span: Millis) -> String {
    let mut rest = span.0.max(0) / 1_000;
    let mut parts = Vec::new();
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")] {
        if rest >= unit && parts.len() < 2 {
            parts.push(format!("{}{name}", rest / unit));
        } else if !parts.is_empty() {
            break;
        }
        rest %= unit;
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tower() -> Told {
        Told {
            news: News::Broke,
            priority: Some(Priority::P2),
            title: "tower-3 is down".to_owned(),
            device: Some("tower-3".to_owned()),
            site: Some("north".to_owned()),
            since: Time(1_795_356_000_000),
            until: None,
            zone: TimeZone::get("Europe/Berlin").unwrap(),
            reason: Some("3 pings in a row were not answered".to_owned()),
            verdict: None,
            affected: vec!["ap-1".to_owned(), "ap-2".to_owned(), "ap-3".to_owned()],
            ticket: Some(TicketId(7)),
            changes: Vec::new(),
            ending: Ending::Lasts,
        }
    }

    fn mended() -> Told {
        let until = Some(Time(1_795_356_725_000));
        Told { news: News::Mended, ending: Ending::Recovered, until, ..tower() }
    }

    #[test]
    fn what_people_read_stays_as_it_is() {
        let many = Told { affected: (1..=40).map(|n| format!("ap-{n}")).collect(), ..tower() };
        let changed =
            Told { news: News::Changed, changes: vec!["the priority was P3".to_owned()], ..tower() };
        let lasts = Told { news: News::Changed, priority: None, affected: vec!["ap".to_owned()], ..tower() };
        let closed = Told { ending: Ending::Closed(Some("taken away".to_owned())), ..mended() };
        let merged = Told { ending: Ending::PartOf(TicketId(9)), ..mended() };
        let plain = Told { device: None, ticket: None, site: None, reason: None, ..mended() };
        let all = [tower(), many, changed, lasts, mended(), closed, merged, plain];
        let single: Vec<String> = all.iter().map(Told::text).collect();
        insta::assert_snapshot!("single", single.join("---\n"));
        insta::assert_snapshot!(
            "several",
            several(&all, &all.iter().map(|told| told.news).collect::<Vec<_>>()).1
        );
        assert_eq!(several(&all[..1], &[News::Broke]).0, "P2 tower-3 is down (3 devices affected)");
    }

    #[test]
    fn a_message_has_at_most_fifty_lines() {
        let all = vec![tower(); 60];
        let (title, text) = several(&all, &[News::Broke; 1_234]);
        assert_eq!(title, "1234 broke: P2 tower-3 is down (3 devices affected), and 1233 more");
        assert_eq!(text.lines().count(), 2 + MAX_LINES + 1);
        assert!(text.ends_with("\nand 1184 more\n"), "{text}");
    }
}
