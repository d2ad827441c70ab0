//! The nouns that have pages, in one table: where each is, what it is called, how its things are named in links.

use crate::store::filter::Column;
use crate::store::notify::{entries, outbox};
use crate::store::{checks, devices, dns, events, maintenance, outages, sites, tickets};
use crate::web::asked::Asked;

/// A noun with pages.
pub struct Noun {
    /// Its verbs' noun.
    pub noun: &'static str,
    /// Where its list is: the first word of the path.
    pub path: &'static str,
    /// The verb that lists it.
    pub list: &'static str,
    /// The verb that makes one; empty: none.
    pub add: &'static str,
    /// What its list is called.
    pub title: &'static str,
    /// What one is called.
    pub one: &'static str,
    /// The column by whose value a thing is found; empty: things have no page.
    pub key: &'static str,
    /// The order of its list where nobody asks for another; empty: the list's own.
    pub sort: &'static str,
    /// What may be done with several at once.
    pub bulk: &'static [&'static str],
    /// What its list shows where nobody asks for anything.
    pub usual: &'static str,
    /// What to look for, as examples of the query language.
    pub examples: &'static [(&'static str, &'static str)],
    /// What its list may be asked for.
    pub columns: &'static [Column],
    /// Pages beside its list: what they are called, and where they are.
    pub beside: &'static [(&'static str, &'static str)],
    /// What to do where there are none.
    pub empty: &'static str,
}

/// All of them.
pub const NOUNS: &[Noun] = &[
    Noun {
        noun: "device",
        path: "devices",
        list: "list",
        add: "add",
        title: "Devices",
        one: "device",
        key: "name",
        sort: "",
        bulk: &["pause", "resume"],
        usual: "all",
        examples: &[
            ("out", "state:down,unreachable"),
            ("degraded", "state:degraded"),
            ("paused", "paused:yes"),
        ],
        columns: devices::QUERY,
        beside: &[("Checks", "/checks")],
        empty: "There is no such device. Add one, and a check of it.",
    },
    Noun {
        noun: "site",
        path: "sites",
        list: "list",
        add: "add",
        title: "Sites",
        one: "site",
        key: "name",
        sort: "",
        bulk: &[],
        usual: "all",
        examples: &[],
        columns: sites::QUERY,
        beside: &[],
        empty: "There is no such site. A site is a place where devices are.",
    },
    Noun {
        noun: "check",
        path: "checks",
        list: "list",
        add: "add",
        title: "Checks",
        one: "check",
        key: "id",
        sort: "",
        bulk: &["run"],
        usual: "all",
        examples: &[("failing", "status:failed"), ("warning", "status:warn")],
        columns: checks::QUERY,
        beside: &[],
        empty: "There is no such check. Add one to a device: ping, TCP, HTTP, DNS, SNMP and more.",
    },
    Noun {
        noun: "outage",
        path: "outages",
        list: "list",
        add: "",
        title: "Outages",
        one: "outage",
        key: "id",
        sort: "-started",
        bulk: &[],
        usual: "all",
        examples: &[("that last", "open:yes"), ("of this week", "started:<7d")],
        columns: outages::QUERY,
        beside: &[],
        empty: "There was no such outage.",
    },
    Noun {
        noun: "ticket",
        path: "tickets",
        list: "list",
        add: "open",
        title: "Tickets",
        one: "ticket",
        key: "id",
        sort: "",
        bulk: &["acknowledge", "assign", "close"],
        usual: "not done",
        examples: &[
            ("open", "state:open,waiting"),
            ("urgent", "priority:P1,P2 state:open"),
            ("done", "state:resolved,closed,merged"),
            ("nobody's", "state:open -assignee:*"),
        ],
        columns: tickets::QUERY,
        beside: &[("Board", "/board")],
        empty: "There is no such ticket: nothing is wrong, or nothing of that kind.",
    },
    Noun {
        noun: "maintenance",
        path: "maintenance",
        list: "list",
        add: "add",
        title: "Maintenance",
        one: "window",
        key: "id",
        sort: "",
        bulk: &[],
        usual: "all",
        examples: &[("now", "active:yes"), ("planned", "state:planned")],
        columns: maintenance::QUERY,
        beside: &[],
        empty: "There is no such window. In maintenance nobody is told, and the time is counted apart.",
    },
    Noun {
        noun: "notify",
        path: "notify",
        list: "list",
        add: "add",
        title: "Who is told",
        one: "notification",
        key: "name",
        sort: "",
        bulk: &["pause", "resume"],
        usual: "all",
        examples: &[],
        columns: entries::QUERY,
        beside: &[("Outbox", "/outbox")],
        empty: "Nobody is told yet. Add somebody: by e-mail, a chat, a pager, or a webhook.",
    },
    Noun {
        noun: "notify",
        path: "outbox",
        list: "outbox",
        add: "",
        title: "Outbox",
        one: "delivery",
        key: "",
        sort: "",
        bulk: &["retry"],
        usual: "the newest",
        examples: &[("not delivered", "state:waiting,failed")],
        columns: outbox::QUERY,
        beside: &[],
        empty: "Nothing of that kind was sent.",
    },
    Noun {
        noun: "event",
        path: "log",
        list: "list",
        add: "",
        title: "Log",
        one: "event",
        key: "",
        sort: "",
        bulk: &[],
        usual: "all",
        examples: &[("sign-ins", "kind:sign-in.*"), ("settings", "kind:setting.*"), ("of today", "at:<1d")],
        columns: events::QUERY,
        beside: &[],
        empty: "Nothing of that kind happened.",
    },
    Noun {
        noun: "setting",
        path: "settings",
        list: "list",
        add: "",
        title: "Settings",
        one: "setting",
        key: "key",
        sort: "",
        bulk: &[],
        usual: "all",
        examples: &[],
        columns: &[],
        beside: &[
            ("DNS", "/dns"),
            ("Schedules", "/schedules"),
            ("Doctor", "/doctor"),
            ("API", "/api"),
            ("Status page", "/status"),
        ],
        empty: "",
    },
    Noun {
        noun: "schedule",
        path: "schedules",
        list: "list",
        add: "",
        title: "Schedules",
        one: "schedule",
        key: "",
        sort: "",
        bulk: &[],
        usual: "all",
        examples: &[],
        columns: &[],
        beside: &[],
        empty: "",
    },
    Noun {
        noun: "user",
        path: "users",
        list: "list",
        add: "add",
        title: "Users",
        one: "user",
        key: "name",
        sort: "",
        bulk: &[],
        usual: "all",
        examples: &[],
        columns: &[],
        beside: &[("Tokens", "/tokens")],
        empty: "",
    },
    Noun {
        noun: "token",
        path: "tokens",
        list: "list",
        add: "add",
        title: "Tokens of programs",
        one: "token",
        key: "id",
        sort: "",
        bulk: &[],
        usual: "all",
        examples: &[],
        columns: &[],
        beside: &[],
        empty: "There is no token: a program shows one to the API.",
    },
    Noun {
        noun: "dns",
        path: "dns",
        list: "list",
        add: "",
        title: "Names in DNS",
        one: "name",
        key: "name",
        sort: "",
        bulk: &[],
        usual: "all",
        examples: &[],
        columns: dns::QUERY,
        beside: &[],
        empty: "No name stands at a name server: see the settings dns.server and dns.zone.",
    },
];

/// The noun whose pages are under the first word of the path.
#[must_use]
pub fn of_path(asked: &Asked) -> Option<&'static Noun> {
    let first = asked.path.trim_start_matches('/').split('/').next()?;
    NOUNS.iter().find(|noun| noun.path == first)
}

/// The noun of a name, such as stands in a link to a form.
#[must_use]
pub fn named(noun: &str) -> Option<&'static Noun> {
    NOUNS.iter().find(|one| one.noun == noun)
}

/// The page of a thing.
#[must_use]
pub fn link(path: &str, key: &str) -> String {
    format!("/{path}/{}", encoded(key))
}

/// A text as one word of a path or a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Where a column's values have pages: those of other nouns.
#[must_use]
pub fn path_of_column(key: &str) -> Option<&'static str> {
    match key {
        "device" | "parents" | "affected" => Some("devices"),
        "site" => Some("sites"),
        "ticket" | "merged_into" => Some("tickets"),
        "outage" => Some("outages"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_path_whatever_stands_in_it() {
        assert_eq!(link("devices", "rack 3/a#1?ü"), "/devices/rack%203%2Fa%231%3F%C3%BC");
    }
}
