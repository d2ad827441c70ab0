//! A form that changes a thing: what stood in its fields when it was opened goes along, so that only what somebody touched
//! is changed, and what somebody else changed meanwhile is not undone unseen.

use std::collections::BTreeMap;

use exports::{Table, Value};
use maud::{Markup, html};
use schedules::Millis;

use crate::web::asked::Asked;
use crate::web::lists::plain;
use crate::web::verbs::{Call, Param, ParamKind, Refused, Verb, Why};

/// What stands in the fields, by the parameters' names.
pub type Filled = BTreeMap<String, String>;

/// What a field's name begins with that tells what stood in another one.
const WAS: &str = "_was_";

/// What a thing is, by the names of the parameters that change it. Switches are acts: they say nothing of how it is.
#[must_use]
pub fn as_it_is(verb: &Verb, table: &Table) -> Filled {
    let row = table.rows.first().map_or(&[][..], Vec::as_slice);
    let value =
        |key: &str| table.columns.iter().position(|column| column.key == key).and_then(|at| row.get(at));
    let of = |param: &Param| {
        let name = param.name.as_str();
        let key = if name == "tz" && value("tz").is_none() { "time_zone" } else { name };
        let found = value(key).or_else(|| value(&format!("{key}s"))).or_else(|| value(&format!("{key}_ms")));
        let text = match found? {
            Value::Span(ms) => Millis(*ms).to_string(),
            other => plain(other),
        };
        Some((name.to_owned(), text)).filter(|(_, text)| !text.is_empty())
    };
    let fields = verb.params.iter().filter(|param| !param.positional && param.kind != ParamKind::Switch);
    fields.filter_map(of).collect()
}

/// What stood in the fields, for the form to take along.
#[must_use]
pub fn carried(was: &Filled) -> Markup {
    html! { @for (name, text) in was { input type="hidden" name={(WAS) (name)} value=(text); } }
}

/// What stood in the fields when the form was opened. A form that does not tell means the thing as it is.
#[must_use]
pub fn opened(asked: &Asked, now: &Filled) -> Filled {
    let was: Filled = asked
        .form
        .iter()
        .filter_map(|(key, text)| Some((key.strip_prefix(WAS)?.to_owned(), one_way(text))))
        .collect();
    if was.is_empty() { now.clone() } else { was }
}

/// A text as it is compared: browsers write the ends of lines their own way.
#[must_use]
pub fn one_way(text: &str) -> String {
    text.replace("\r\n", "\n").trim().to_owned()
}

/// What was typed into a form of a thing that has changed meanwhile, where both are about the same: they must be looked at
/// again.
#[must_use]
pub fn overtaken(verb: &Verb, typed: &Filled, was: &Filled, now: &Filled) -> Option<Refused> {
    fn of<'f>(all: &'f Filled, name: &str) -> &'f str {
        all.get(name).map_or("", String::as_str)
    }
    let both = |param: &&Param| {
        let name = param.name.as_str();
        let (typed, was, now) = (of(typed, name), of(was, name), of(now, name));
        typed != was && now != was && typed != now
    };
    let all: Vec<String> = verb
        .params
        .iter()
        .filter(both)
        .map(|param| match of(now, &param.name) {
            "" => format!("“{}” is empty now", super::label(param)),
            now => format!("“{}” is now “{now}”", super::label(param)),
        })
        .collect();
    let message =
        format!("somebody changed it meanwhile: {}; send it again to change it all the same", all.join(", "));
    (!all.is_empty()).then(|| Refused::new(Why::Changed, message))
}

/// One field of the form, said to the call: where nobody touched it, nothing is.
#[must_use]
pub fn said(call: Call, verb: &Verb, param: &Param, was: &str, text: &str) -> Call {
    let no = verb.params.iter().find(|other| other.name == format!("no_{}", param.name));
    if was == text {
        return call;
    }
    if param.many {
        return match no.filter(|no| no.many) {
            Some(no) => {
                let (before, after) = (parts(was), parts(text));
                let gone = before.iter().filter(|one| !after.contains(one)).map(|one| (&no.name, *one));
                let new = after.iter().filter(|one| !before.contains(one)).map(|one| (&param.name, *one));
                gone.chain(new).fold(call, |call, (name, one)| call.with(name, one))
            }
            None if text.is_empty() => emptied(call, no),
            None => parts(text).into_iter().fold(call, |call, one| call.with(&param.name, one)),
        };
    }
    match (text, no) {
        ("", Some(_)) => emptied(call, no),
        _ => call.with(&param.name, text),
    }
}

fn emptied(call: Call, no: Option<&Param>) -> Call {
    match no {
        Some(no) if no.kind == ParamKind::Switch => call.with(&no.name, "true"),
        Some(_) | None => call,
    }
}

/// The parts of a list as it is typed.
#[must_use]
pub fn parts(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).collect()
}

/// Whether a field says no more than that another one is empty: then a form does without.
#[must_use]
pub fn is_the_no_of_another(verb: &Verb, param: &Param) -> bool {
    let of = param.name.strip_prefix("no_");
    of.is_some_and(|of| verb.params.iter().any(|other| other.name == of))
}

#[cfg(test)]
mod tests {
    use exports::Column;

    use super::*;
    use crate::domain::ids::UserId;
    use crate::domain::user::{Right, Role, Subject, User};

    fn verb(params: &[(&str, ParamKind, bool)]) -> Verb {
        let param = |(name, kind, many): &(&str, ParamKind, bool)| Param {
            name: (*name).to_owned(),
            about: String::new(),
            holds: String::new(),
            kind: kind.clone(),
            positional: false,
            many: *many,
            required: false,
            default: None,
        };
        Verb {
            noun: "site",
            verb: "edit".to_owned(),
            about: String::new(),
            more: String::new(),
            params: params.iter().map(param).collect(),
            right: Right::change(Subject::Network),
            is_kept: true,
        }
    }

    fn edit() -> Verb {
        use ParamKind::{Switch, Text};
        verb(&[
            ("note", Text, false),
            ("tz", Text, false),
            ("after", Text, false),
            ("tag", Text, true),
            ("no_tag", Switch, false),
            ("holiday", Text, true),
            ("no_holiday", Text, true),
            ("address", Text, false),
            ("no_address", Switch, false),
            ("join", Switch, false),
        ])
    }

    fn filled(all: &[(&str, &str)]) -> Filled {
        all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_thing_stands_in_the_fields_that_change_it() {
        let mut table = Table::new(
            "sites",
            vec![
                Column::text("note", "NOTE"),
                Column::text("time_zone", "ZONE"),
                Column::span("after_ms", "AFTER"),
                Column::list("tags", "TAGS"),
                Column::bool("join", "JOIN"),
            ],
        );
        table.push(vec!["n".into(), "UTC".into(), Value::Span(90_000), vec!["a", "b"].into(), true.into()]);
        let wanted = filled(&[("note", "n"), ("tz", "UTC"), ("after", "1m30s"), ("tag", "a, b")]);
        assert_eq!(as_it_is(&edit(), &table), wanted);
    }

    #[test]
    fn only_what_was_touched_is_said_and_what_was_emptied_is_taken_away() {
        let user = User {
            id: UserId(1),
            name: "ana".to_owned(),
            role: Role::Admin,
            no_more_than: None,
            disabled_at: None,
        };
        let verb = edit();
        for (name, was, text, wanted) in [
            ("note", "a", "a", vec![]),
            ("note", "", "", vec![]),
            ("note", "a", "", vec![("note", "")]),
            ("note", "a", "b, c", vec![("note", "b, c")]),
            ("address", "a", "", vec![("no_address", "true")]),
            ("tag", "a, b", "b", vec![("tag", "b")]),
            ("tag", "a", "", vec![("no_tag", "true")]),
            ("holiday", "1, 2", "2, 3", vec![("holiday", "3"), ("no_holiday", "1")]),
            ("holiday", "1", "", vec![("no_holiday", "1")]),
        ] {
            let param = verb.params.iter().find(|param| param.name == name).unwrap();
            let call = said(Call::new(user.clone(), "site", "edit"), &verb, param, was, text);
            let told: Vec<(&str, String)> =
                call.values.iter().map(|(name, all)| (name.as_str(), all.join("+"))).collect();
            let wanted: Vec<(&str, String)> =
                wanted.into_iter().map(|(name, text): (&str, &str)| (name, text.to_owned())).collect();
            assert_eq!(told, wanted, "{name}: {was} -> {text}");
        }
    }

    #[test]
    fn two_who_change_the_same_are_told_and_two_who_change_different_things_are_not() {
        let was = filled(&[("note", "a"), ("tz", "UTC")]);
        let now = filled(&[("note", "b"), ("tz", "UTC")]);
        let told =
            |typed: &[(&str, &str)]| overtaken(&edit(), &filled(typed), &was, &now).map(|it| it.message);
        assert_eq!(told(&[("note", "a"), ("tz", "CET")]), None, "another field");
        assert_eq!(told(&[("note", "b"), ("tz", "UTC")]), None, "the same change");
        assert!(told(&[("note", "c"), ("tz", "UTC")]).unwrap().contains("“Note” is now “b”"));
        assert!(told(&[("tz", "UTC")]).unwrap().contains("“Note”"), "it was emptied here");
    }
}
