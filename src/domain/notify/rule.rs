//! What of the event log is told, and to whom: the events that stir something, and what an entry wants to hear.

use jiff::tz::TimeZone;
use schedules::{Millis, Time};

use crate::domain::event::Kind;
use crate::domain::notify::quiet::Quiet;
use crate::domain::ticket::Priority;

/// The most entries there can be.
pub const MAX_ENTRIES: i64 = 500;
/// The incident of the server's own blindness.
pub const BLIND: &str = "lineman-blind";
/// How the incident of a delivery that was given up begins.
pub const OUTBOX: &str = "lineman-outbox-";
/// How the incident of a ticket begins.
const TICKET: &str = "lineman-ticket-";

/// What an event stirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stir {
    /// A ticket: it is looked at anew.
    Ticket,
    /// A ticket: something happened to it that is told for itself.
    Noted(&'static str),
    /// A ticket went into another one: whoever was told of it is told of that one.
    Merged,
    /// A device: what is said is told of its ticket.
    Device(&'static str),
    /// The server cannot see.
    Blind,
    /// It can see again.
    Sighted,
    /// A delivery was given up.
    GaveUp,
}

/// The events that stir something, and what.
pub const STIRRING: &[(Kind, Stir)] = &[
    (Kind::TicketOpened, Stir::Ticket),
    (Kind::TicketPriority, Stir::Ticket),
    (Kind::TicketRecovered, Stir::Ticket),
    (Kind::TicketResolved, Stir::Ticket),
    (Kind::TicketReopened, Stir::Ticket),
    (Kind::TicketMerged, Stir::Merged),
    (Kind::TicketUnmerged, Stir::Ticket),
    (Kind::TicketPinned, Stir::Ticket),
    (Kind::TicketUnpinned, Stir::Ticket),
    (Kind::TicketAcknowledged, Stir::Ticket),
    (Kind::TicketUnacknowledged, Stir::Ticket),
    (Kind::TicketWaiting, Stir::Ticket),
    (Kind::TicketResumed, Stir::Ticket),
    (Kind::TicketAssigned, Stir::Ticket),
    (Kind::TicketCommented, Stir::Ticket),
    (Kind::TicketClosed, Stir::Ticket),
    (Kind::TicketResponseNearing, Stir::Noted("the time for a first response is nearly over")),
    (Kind::TicketResponseBreached, Stir::Noted("nobody responded in time")),
    (Kind::TicketRestoreNearing, Stir::Noted("the time for the restoring is nearly over")),
    (Kind::TicketRestoreBreached, Stir::Noted("it was not restored in time")),
    (Kind::DeviceFlapping, Stir::Device("it flaps: its state changes too often")),
    (Kind::MonitorBlind, Stir::Blind),
    (Kind::MonitorSighted, Stir::Sighted),
    (Kind::NotifyGaveUp, Stir::GaveUp),
];

/// What an event stirs, by the name of its kind.
#[must_use]
pub fn stir(kind: &str) -> Option<Stir> {
    STIRRING.iter().find(|(known, _)| known.as_str() == kind).map(|(_, stir)| *stir)
}

/// The name under which everything about a ticket is told.
#[must_use]
pub fn ticket_incident(number: i64) -> String {
    format!("{TICKET}{number}")
}

/// What an entry wants to hear, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A query for tickets; empty: every outage, and what concerns the whole server.
    pub when: String,
    /// Whether it is told by itself, or as a member of a rota alone.
    pub told: Directly,
    /// Only of what lasted so long, and nobody acknowledged.
    pub after: Option<Millis>,
    /// In these hours of only what passes.
    pub quiet: Option<Quiet>,
    /// The priorities that are told in quiet hours too.
    pub passes: Vec<Priority>,
    /// The time zone of the quiet hours, the rota and the texts; absent: the site's in texts, else UTC.
    pub zone: Option<String>,
    /// The login name of whom it reaches, who need not be told of what he did himself.
    pub person: Option<String>,
}

/// Whether an entry is told by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directly {
    /// It is.
    Yes,
    /// It is told as a member of a rota alone.
    No,
}

impl Rule {
    /// Everything, at once, at all hours.
    #[must_use]
    pub fn everything() -> Rule {
        Rule {
            when: String::new(),
            told: Directly::Yes,
            after: None,
            quiet: None,
            passes: vec![Priority::P1],
            zone: None,
            person: None,
        }
    }

    /// Its time zone.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        self.zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
    }

    /// Until when something of that priority is held back; without a priority it is as urgent as can be.
    #[must_use]
    pub fn quiet_until(&self, priority: Option<Priority>, now: Time) -> Option<Time> {
        if self.passes.contains(&priority.unwrap_or(Priority::P1)) {
            return None;
        }
        self.quiet?.ends(now, &self.zone())
    }

    /// What it hears, in a sentence: what `notify add` answers.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = match (self.told, self.when.as_str()) {
            (Directly::No, _) => return "told only while it has duty in a rota".to_owned(),
            (Directly::Yes, "") => "told of every outage, and of what concerns the whole server".to_owned(),
            (Directly::Yes, when) => format!("told of outages that are '{when}'"),
        };
        if let Some(after) = self.after {
            words.push_str(&format!(", once they have lasted {after} and nobody acknowledged them"));
        }
        if let Some(quiet) = self.quiet {
            let passes: Vec<&str> = self.passes.iter().map(|p| p.as_str()).collect();
            let passes = if passes.is_empty() { "nothing".to_owned() } else { passes.join(", ") };
            let zone = self.zone.as_deref().unwrap_or("UTC");
            words.push_str(&format!("; from {quiet} ({zone}) of {passes} alone, the rest afterwards"));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_what_it_does() {
        let rule = Rule {
            when: "priority:P1,P2".to_owned(),
            after: Some(Millis::from_secs(900)),
            quiet: "22:00-07:00".parse().ok(),
            zone: Some("Europe/Berlin".to_owned()),
            ..Rule::everything()
        };
        assert_eq!(
            rule.in_words(),
            "told of outages that are 'priority:P1,P2', once they have lasted 15m and nobody acknowledged them; from \
             22:00-07:00 (Europe/Berlin) of P1 alone, the rest afterwards"
        );
    }

    #[test]
    fn quiet_hours_hold_back_what_does_not_pass() {
        let rule = Rule { quiet: "22:00-07:00".parse().ok(), ..Rule::everything() };
        let midnight = Time(1_795_392_000_000);
        assert_eq!(rule.quiet_until(Some(Priority::P1), midnight), None);
        assert_eq!(rule.quiet_until(None, midnight), None);
        assert_eq!(rule.quiet_until(Some(Priority::P2), midnight), Some(Time(midnight.0 + 7 * 3_600_000)));
        assert_eq!(Rule::everything().quiet_until(Some(Priority::P5), midnight), None);
    }

    #[test]
    fn what_stirs_is_known_by_its_name() {
        assert_eq!(stir("ticket.opened"), Some(Stir::Ticket));
        assert_eq!(stir("notify.sent"), None, "what tells does not lead to telling");
    }
}
