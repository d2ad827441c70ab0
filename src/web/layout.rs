//! What all pages share: head, navigation, and how times, states and troubles are written.

use exports::Kind;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};
use schedules::{Millis, Time};

use crate::domain::user::{Right, Subject};
use crate::domain::verdict::{clock_with_zone, long_span};
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::door::{self, VERSION};

/// The pages of the navigation, with the right that each needs.
pub const NAVIGATION: &[(&str, &str, Right)] = &[
    ("/", "Now", Right::see(Subject::Network)),
    ("/devices", "Devices", Right::see(Subject::Network)),
    ("/sites", "Sites", Right::see(Subject::Network)),
    ("/outages", "Outages", Right::see(Subject::Network)),
    ("/tickets", "Tickets", Right::see(Subject::Tickets)),
    ("/maintenance", "Maintenance", Right::see(Subject::Network)),
    ("/notify", "Notify", Right::see(Subject::Notify)),
    ("/reports", "Reports", Right::see(Subject::Network)),
    ("/log", "Log", Right::see(Subject::Log)),
    ("/settings", "Settings", Right::see(Subject::Settings)),
    ("/users", "Users", Right::see(Subject::Users)),
];

fn head(title: &str, is_live: bool) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · lineman" }
            link rel="icon" href={"/icon.svg?" (*VERSION)} type="image/svg+xml";
            link rel="stylesheet" href={"/style.css?" (*VERSION)};
            @if is_live { script src={"/script.js?" (*VERSION)} defer {} }
        }
    }
}

/// A page for whoever is signed in.
#[must_use]
pub fn page(asked: &Asked, title: &str, body: &Markup) -> Markup {
    let is_you = asked.path == "/you";
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, true))
            body data-form=(asked.form_token()) {
                a.skip href="#main" { "To the content" }
                header.top {
                    a.brand href="/" { "lineman" }
                    nav.wide aria-label="Main" { (pages(asked)) }
                    details.narrow { summary { "Menu" } nav aria-label="Main" { (pages(asked)) } }
                    @if asked.who.may(Right::see(Subject::Network)) {
                        form.search action="/search" role="search" {
                            label.hidden for="search" { "Search all" }
                            span.combo { input #search name="q" type="search" placeholder="Search" maxlength="500" data-complete="/complete/devices"; }
                        }
                    }
                    @if let Some(user) = asked.who.user() {
                        a.you href="/you" aria-current=[is_you.then_some("page")] { (user.name) }
                        form method="post" action="/sign-out" { (form_token(asked)) button.plain { "Sign out" } }
                    }
                }
                main #main tabindex="-1" { (body) }
                p.hidden #live role="status" aria-live="polite" {}
                @if door::has_keys(asked) { (keys()) }
            }
        }
    }
}

/// What single keys do, for `?` to show. They only move the focus, so none of them does harm.
pub const KEYS: &[(&str, &str)] = &[
    ("/", "to the search of this page"),
    ("j", "to the next row"),
    ("k", "to the row before"),
    ("n", "to what adds a new one"),
    ("e", "to what edits this"),
    ("a", "to what acknowledges this ticket"),
    ("s", "to what assigns it"),
    ("c", "to the comment on it"),
    ("r", "to what resolves it"),
    ("?", "show this"),
];

fn keys() -> Markup {
    html! {
        footer.bottom { button.plain #show-keys type="button" hidden { "Keyboard shortcuts" } }
        dialog #keys aria-labelledby="h-keys" {
            h2 #h-keys { "Keyboard shortcuts" }
            p { "They move the focus; Enter does it. " a href="/you#h-keys-of-you" { "Turn them off" } }
            dl.facts { @for (key, does) in KEYS { dt { kbd { (key) } } dd { (does) } } }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// The pages that whoever asks may see.
fn pages(asked: &Asked) -> Markup {
    let here =
        |path: &str| asked.path == path || (path != "/" && asked.path.starts_with(&format!("{path}/")));
    html! {
        ul {
            @for (path, name, right) in NAVIGATION {
                @if asked.who.may(*right) {
                    li { a href=(path) aria-current=[here(path).then_some("page")] { (name) } }
                }
            }
        }
    }
}

/// A page for whoever is not.
#[must_use]
pub fn bare(_asked: &Asked, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, false))
            body.bare {
                header.top { a.brand href="/" { "lineman" } }
                main #main tabindex="-1" { (body) }
            }
        }
    }
}

/// What went wrong, as a page.
#[must_use]
pub fn trouble(asked: &Asked, trouble: &Trouble) -> Answer {
    let title = match trouble {
        Trouble::SignIn => "Sign in first",
        Trouble::NotAllowed(_) => "Not allowed",
        Trouble::NotFound(_) => "Not found",
        Trouble::Later(_) => "Too many tries",
        Trouble::Bad(_) | Trouble::Body(_) | Trouble::Method(_) | Trouble::Refused(_) => "Not done",
        Trouble::Failed(_) => "It failed",
    };
    let body = html! {
        h1 { (title) }
        p.wrong role="alert" { (sentence(&trouble.sentence())) }
        p { a href="/" { "Back to what is now" } }
    };
    let page = if asked.who.user().is_some() { page(asked, title, &body) } else { bare(asked, title, &body) };
    Answer::html(page).status(trouble.status())
}

/// The field of a form that proves that our page sent it.
#[must_use]
pub fn form_token(asked: &Asked) -> Markup {
    html! { input type="hidden" name="_form" value=(asked.form_token()); }
}

/// A text as a sentence: with a capital letter, and a full stop.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut chars = text.trim().chars();
    let Some(first) = chars.next() else { return String::new() };
    let mut sentence: String = first.to_uppercase().chain(chars).collect();
    if !sentence.ends_with(['.', '!', '?', ':']) {
        sentence.push('.');
    }
    sentence
}

/// A moment: how long ago it is, with the moment itself for who wants to know.
#[must_use]
pub fn time(at: Time, now: Time) -> Markup {
    let exact = clock_with_zone(at, &TimeZone::system());
    let Some(stamp) = exports::rfc3339(at.0) else { return html! { "–" } };
    let away = now.since(at);
    let text = if away.0.abs() < 1_000 {
        "now".to_owned()
    } else if away.0 > 0 {
        format!("{} ago", short(away))
    } else {
        format!("in {}", short(Millis(-away.0)))
    };
    html! { time datetime=(stamp) title=(exact) { (text) } }
}

/// A span by its largest unit, or two where the first one is small.
fn short(span: Millis) -> String {
    let text = long_span(span);
    let mut parts = text.split(' ');
    match (parts.next(), parts.next()) {
        (Some(count), Some(unit)) if count.parse::<i64>().is_ok_and(|count| count >= 10) => {
            format!("{count} {unit}")
        }
        _ => text,
    }
}

/// A state: a shape, the word, and a colour, so that nobody needs all three.
#[must_use]
pub fn state(word: &str) -> Markup {
    let (class, shape) = match word {
        "up" | "ok" | "online" | "good" | "resolved" | "closed" | "delivered" | "done" => ("good", "●"),
        "down" | "fail" | "failed" | "failing" | "P1" | "cut-off" | "refused" => ("bad", "✕"),
        "degraded" | "warn" | "late" | "open" | "P2" | "conflict" | "due" => ("warn", "▲"),
        "unreachable" => ("dim", "◌"),
        "unknown" | "new" | "never" => ("dim", "?"),
        "paused" | "maintenance" | "waiting" | "acknowledged" => ("calm", "❙❙"),
        _ => ("", ""),
    };
    html! { span.state.(class) { @if !shape.is_empty() { span aria-hidden="true" { (shape) " " } } (word) } }
}

/// One cell's value.
#[must_use]
pub fn value(value: &exports::Value, kind: Kind, now: Time) -> Markup {
    use exports::Value;
    match value {
        Value::Null => html! { span.none aria-label="none" { "–" } },
        Value::Bool(yes) => html! { @if *yes { "yes" } @else { "no" } },
        Value::Int(number) => html! { (number) },
        Value::Text(text) if text.is_empty() => html! { span.none aria-label="none" { "–" } },
        Value::Text(text) => match kind {
            Kind::State => state(text),
            _ => html! { (text) },
        },
        Value::Time(at) => time(Time(*at), now),
        Value::Span(ms) => html! { (long_span(Millis(*ms))) },
        Value::Money { minor, currency } => html! { (exports::amount(*minor, currency)) " " (currency) },
        Value::List(all) if all.is_empty() => html! { span.none aria-label="none" { "–" } },
        Value::List(all) => html! {
            @for (at, one) in all.iter().take(50).enumerate() {
                @if at > 0 { ", " }
                (self::value(one, Kind::Text, now))
            }
        },
        Value::Object(all) => html! {
            dl.inner { @for (key, one) in all { dt { (key.replace('_', " ")) } dd { (self::value(one, Kind::Text, now)) } } }
        },
        Value::Json(serde_json::Value::String(text)) => html! { (text) },
        Value::Json(serde_json::Value::Object(fields)) => html! {
            @for (at, (key, one)) in fields.iter().filter(|(_, one)| !one.is_null()).enumerate() {
                @if at > 0 { ", " }
                span.quiet { (key.replace('_', " ")) } " "
                @if let Some(text) = one.as_str() { bdi { (text) } } @else { code { (one) } }
            }
        },
        Value::Json(json) => html! { code { (json) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_typed_is_text_and_never_a_tag() {
        let evil = exports::Value::Text("<script>alert(1)</script>\" onload=\"x".to_owned());
        let shown = value(&evil, Kind::Text, Time(0)).into_string();
        assert!(!shown.contains('<') && shown.contains("&lt;script&gt;"), "{shown}");
    }

    #[test]
    fn times_are_told_from_now_with_the_moment_beside_them() {
        let now = Time(1_795_356_000_000);
        for (before, told) in
            [(0, "now"), (59_000, "59 s ago"), (125_000, "2 min 5 s ago"), (36_000_000, "10 h ago")]
        {
            let shown = time(now - Millis(before), now).into_string();
            assert!(shown.contains(&format!(">{told}<")), "{shown}");
        }
        assert!(time(now + Millis(90_000), now).into_string().contains(">in 1 min 30 s<"));
    }
}
