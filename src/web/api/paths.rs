//! Where each verb is in the API: its method and its path.

use crate::web::verbs::Verb;

/// Where a verb is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its method.
    pub method: &'static str,
    /// Its path behind `/api/v1`; `{key}` is the thing it is about.
    pub path: String,
}

/// A noun as its list is called.
#[must_use]
pub fn plural(noun: &str) -> String {
    match noun {
        "maintenance" | "notify" | "dns" | "doctor" => noun.to_owned(),
        other => format!("{other}s"),
    }
}

/// Where a verb is.
#[must_use]
pub fn of(verb: &Verb) -> Place {
    let all = format!("/{}", plural(verb.noun));
    let place = |method, path| Place { method, path };
    let (name, kind) = verb.verb.split_once(' ').unwrap_or((&verb.verb, ""));
    let kind = if kind.is_empty() { String::new() } else { format!("/kinds/{kind}") };
    match (verb.noun, name) {
        (_, "") | (_, "list") => place("GET", all),
        ("notify", "outbox") => place("GET", "/outbox".to_owned()),
        ("notify", "retry") => place("POST", "/outbox/{key}/retry".to_owned()),
        ("report", report) => place("GET", format!("{all}/{report}")),
        (_, "add" | "open") => place("POST", all + &kind),
        (_, "show") => place("GET", all + "/{key}"),
        (_, "edit") => place("PATCH", all + "/{key}" + &kind),
        (_, "set") => place("PUT", all + "/{key}"),
        (_, "remove" | "revoke" | "unset") => place("DELETE", all + "/{key}"),
        (_, other) => place(if verb.only_asks() { "GET" } else { "POST" }, format!("{all}/{{key}}/{other}")),
    }
}
