//! The JSON API: each verb at a path of its own, `/api/v1/…`, with the names and shapes of `--json`.

pub mod openapi;
pub mod paths;

use std::collections::BTreeMap;

use axum::http::header::{ALLOW, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION};
use http::StatusCode;
use maud::html;
use serde_json::{Value, json};

use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::verbs::{self, Call, ParamKind, Refused, Shape, Verb, Why};
use crate::web::{door, layout, nouns};
use paths::Place;

/// How many rows a list has where nobody says.
const USUAL: usize = 1_000;
/// The most that are asked for at once.
const MOST: usize = 10_000;
/// As many as a command line far away gets that asks for all.
const MOST_OF_ALL: usize = 1_000_000;
/// What a command line far away asks for: the answer with its columns.
pub const WITH_COLUMNS: &str = "application/vnd.lineman.answer+json";

/// A call over the API: found by its method and path among the verbs.
///
/// # Errors
/// None: what went wrong is an answer as well.
pub fn call(asked: &Asked) -> Result<Answer, Trouble> {
    Ok(answer(asked).unwrap_or_else(|trouble| refusal(asked, &trouble)))
}

fn answer(asked: &Asked) -> Result<Answer, Trouble> {
    let path = asked.path.strip_prefix("/api/v1/").unwrap_or_default();
    let parts: Vec<String> = path.split('/').map(decoded).collect();
    let (verb, thing) = found(asked, &parts)?;
    let mut call = Call::new(asked.user()?.clone(), verb.noun, &verb.verb);
    if let (Some(thing), Some(subject)) = (&thing, verb.subject()) {
        call = call.with(subject, thing.clone());
    }
    let said =
        if asked.method == "GET" || asked.method == "DELETE" { from_query(asked) } else { from_body(asked)? };
    let mut after = None;
    for (name, values) in said {
        if thing.is_some() && verb.subject() == Some(name.as_str()) {
            return Err(wrong(&name, format!("'{name}' stands in the path")));
        }
        if name == "after" && verb.verb == "list" && !takes(verb, "after") {
            after = values.first().cloned();
            continue;
        }
        call.values.insert(name, values);
    }
    let all = asked.header("accept").is_some_and(|accept| accept.contains(WITH_COLUMNS));
    let limit = paged(verb, &mut call, after, all)?;
    call.if_match = asked.headers.get(IF_MATCH).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    call.once = asked.header("idempotency-key").map(ToOwned::to_owned);
    let has_show = || asked.web.verbs.named(verb.noun, "show").is_some();
    if call.if_match.is_some() && (thing.is_none() || verb.only_asks() || !verb.is_kept || !has_show()) {
        let why = "If-Match is for changes of a thing that is there, and has an ETag where it is shown";
        return Err(Trouble::Bad(why.to_owned()));
    }
    if call.once.is_some() && !verb.is_kept {
        let why = format!("'{} {}' is done each time: it takes no Idempotency-Key", verb.noun, verb.verb);
        return Err(Trouble::Bad(why));
    }
    let done = asked.web.verbs.run(call).map_err(|refused| {
        // A command line far away has flags.
        if all { refused } else { verb.in_other_words(refused, |param| format!("'{}'", param.name)) }
    })?;
    Ok(told(asked, verb, &done, limit))
}

fn takes(verb: &Verb, name: &str) -> bool {
    verb.params.iter().any(|param| param.name == name)
}

/// A query's word for `after`, and how many rows are asked for. A command line may ask for all.
fn paged(verb: &Verb, call: &mut Call, after: Option<String>, all: bool) -> Result<Option<usize>, Trouble> {
    if !verb.only_asks() || !takes(verb, "limit") {
        return if after.is_some() {
            Err(wrong("after", "this list has no pages".to_owned()))
        } else {
            Ok(None)
        };
    }
    let limit = match call.values.get("limit").map(Vec::as_slice) {
        // A command line far away lists what it would list there.
        None if all && after.is_none() => return Ok(None),
        None => Ok(USUAL),
        Some([text]) => text.parse().map_err(|_| wrong("limit", "'limit' is a whole number".to_owned())),
        Some(_) => Err(wrong("limit", "'limit' is given once".to_owned())),
    }?;
    let limit = if all && limit == 0 { MOST_OF_ALL } else { limit };
    if limit == 0 || (limit > MOST && !all) {
        return Err(wrong("limit", format!("'limit' is from 1 to {MOST}")));
    }
    call.values.insert("limit".to_owned(), vec![limit.to_string()]);
    if let Some(after) = after {
        let id: i64 = after.parse().map_err(|_| wrong("after", "'after' is an id".to_owned()))?;
        if !takes(verb, "sort") || call.values.contains_key("sort") {
            return Err(wrong("after", "'after' is for lists in the order of their ids".to_owned()));
        }
        call.values.entry("query".to_owned()).or_default().push(format!("id:>{id}"));
        call.values.insert("sort".to_owned(), vec!["id".to_owned()]);
    }
    Ok(Some(limit))
}

fn wrong(param: &str, message: String) -> Trouble {
    Trouble::Refused(Refused { param: Some(param.to_owned()), ..Refused::new(Why::Usage, message) })
}

/// The verb of a path, and the thing that it names.
fn found<'a>(asked: &'a Asked, parts: &[String]) -> Result<(&'a Verb, Option<String>), Trouble> {
    let mut other = Vec::new();
    for verb in asked.web.verbs.all() {
        let Place { method, path } = paths::of(verb);
        let wanted: Vec<&str> = path.trim_matches('/').split('/').collect();
        if wanted.len() != parts.len() {
            continue;
        }
        let mut thing = None;
        let fits = wanted.iter().zip(parts).all(|(wanted, part)| {
            if *wanted == "{key}" {
                thing = Some(part.clone());
                !part.is_empty()
            } else {
                wanted == part
            }
        });
        if fits && asked.method == method {
            return Ok((verb, thing));
        }
        if fits {
            other.push(method);
        }
    }
    if other.is_empty() {
        return Err(Trouble::NotFound(
            "there is no such path: /api/v1/openapi.json has all of them".to_owned(),
        ));
    }
    other.sort_unstable();
    other.dedup();
    Err(Trouble::Method(other.join(", ")))
}

fn decoded(part: &str) -> String {
    form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, text)| text.into_owned())
        .unwrap_or_default()
}

fn from_query(asked: &Asked) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &asked.query {
        all.entry(name.clone()).or_default().push(value.clone());
    }
    all
}

/// The values of a JSON object: texts, numbers, yes and no, and lists of such.
fn from_body(asked: &Asked) -> Result<BTreeMap<String, Vec<String>>, Trouble> {
    if asked.body.is_empty() {
        return Ok(BTreeMap::new());
    }
    let value: Value = serde_json::from_slice(&asked.body)
        .map_err(|e| Trouble::Body(format!("the body is no JSON: {e}")))?;
    let Value::Object(fields) = value else {
        return Err(Trouble::Body("the body is no JSON object".to_owned()));
    };
    let mut all = BTreeMap::new();
    for (name, value) in fields {
        let values = match value {
            Value::Null => continue,
            Value::Array(list) => list.iter().map(|one| plain(&name, one)).collect::<Result<_, _>>()?,
            one => vec![plain(&name, &one)?],
        };
        all.insert(name, values);
    }
    Ok(all)
}

fn plain(name: &str, value: &Value) -> Result<String, Trouble> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(yes) => Ok(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(wrong(name, format!("'{name}' is a text, a number, yes or no, or a list of such")))
        }
    }
}

fn told(asked: &Asked, verb: &Verb, done: &verbs::Answer, limit: Option<usize>) -> Answer {
    let is_new = matches!(verb.verb.split(' ').next(), Some("add" | "open"))
        && matches!(done.shape, Shape::One | Shape::Changed | Shape::Said);
    let wants_columns = asked.header("accept").is_some_and(|accept| accept.contains(WITH_COLUMNS));
    let etag = done.etag();
    if asked.method == "GET"
        && asked.headers.get(IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == etag.as_bytes())
    {
        return Answer::of("application/json", "").status(StatusCode::NOT_MODIFIED).with(ETAG, etag);
    }
    let mut answer = if wants_columns {
        Answer::of(WITH_COLUMNS, with_columns(done).to_string())
    } else {
        let mut value = done.json();
        // What is said once, such as a token, is told beside what was made.
        let said = done.said.trim();
        if let (Value::Object(fields), false, true) =
            (&mut value, said.is_empty(), is_new || !verb.only_asks())
        {
            fields.insert("said".to_owned(), said.into());
            if let Some(secret) = done.secret() {
                fields.insert("secret".to_owned(), secret.into());
            }
        }
        Answer::json(&value)
    };
    if verb.verb == "show" {
        answer = answer.with(ETAG, etag);
    }
    if is_new {
        let key = nouns::named(verb.noun).map(|noun| noun.key).unwrap_or_default();
        let at = done.table.columns.iter().position(|column| column.key == key);
        if let Some(value) = at.and_then(|at| done.table.rows.first()?.get(at)) {
            let place = format!(
                "/api/v1/{}/{}",
                paths::plural(verb.noun),
                nouns::encoded(&super::lists::plain(value))
            );
            answer = answer.with(LOCATION, place);
        }
        answer = answer.status(StatusCode::CREATED);
    }
    if let Some(next) = limit.and_then(|limit| next(asked, verb, done, limit)) {
        answer = answer.with(LINK, format!("<{next}>; rel=\"next\""));
    }
    answer
}

/// Where a list goes on that was cut at its limit: behind the last id, or after so many rows.
fn next(asked: &Asked, verb: &Verb, done: &verbs::Answer, limit: usize) -> Option<String> {
    let table = &done.table;
    if table.rows.len() < limit {
        return None;
    }
    let (key, value) = if asked.asks("after").is_some() {
        let at = table.columns.iter().position(|column| column.key == "id")?;
        ("after", super::lists::plain(table.rows.last()?.get(at)?))
    } else if takes(verb, "skip") {
        let skipped = asked.asks("skip").and_then(|skip| skip.parse::<usize>().ok()).unwrap_or(0);
        ("skip", skipped.saturating_add(limit).to_string())
    } else {
        return None;
    };
    let others = asked.query.iter().filter(|(other, _)| other != key);
    let mut query: Vec<String> =
        others.map(|(key, value)| format!("{key}={}", nouns::encoded(value))).collect();
    query.push(format!("{key}={value}"));
    Some(format!("{}?{}", asked.path, query.join("&")))
}

/// The answer with its columns, so that a command line can print it as its own.
fn with_columns(done: &verbs::Answer) -> Value {
    let columns: Vec<Value> = done
        .table
        .columns
        .iter()
        .map(|column| {
            json!({"key": column.key, "title": column.title, "kind": format!("{:?}", column.kind), "shown": column.shown})
        })
        .collect();
    let rows: Vec<Value> =
        done.table.rows().map(|row| serde_json::to_value(row).unwrap_or_default()).collect();
    let shape = match done.shape {
        Shape::List => "list",
        Shape::One => "one",
        Shape::Changed => "changed",
        Shape::Said => "said",
        Shape::Text => "text",
    };
    json!({"name": done.table.name, "shape": shape, "columns": columns, "rows": rows, "said": done.said, "wrong": done.wrong,
        "again": done.again.is_some()})
}

/// What went wrong, as RFC 9457 writes it, with the parameter it is about.
fn refusal(asked: &Asked, trouble: &Trouble) -> Answer {
    if let (Trouble::Refused(Refused { why: Why::NotAllowed, .. }), Some(user)) = (trouble, asked.who.user())
    {
        door::refused(asked, user, "call a verb");
    }
    if let Trouble::Failed(error) = trouble {
        tracing::error!(%error, path = %asked.path, "a call failed");
    }
    let mut answer = door::problem(trouble.status(), &trouble.sentence());
    if let Trouble::Refused(refused) = trouble {
        let body = json!({
            "type": "about:blank",
            "title": trouble.status().canonical_reason().unwrap_or("Error"),
            "status": trouble.status().as_u16(),
            "detail": refused.message,
            "hint": refused.hint,
            "param": refused.param,
            "code": refused.why.as_str(),
        });
        answer.body = body.to_string().into();
    }
    if let Trouble::Method(allowed) = trouble {
        answer = answer.with(ALLOW, allowed.clone());
    }
    answer.headers.extend(trouble.retry_after());
    answer
}

/// The document of the API (OpenAPI 3.1).
///
/// # Errors
/// None.
pub fn document(asked: &Asked) -> Result<Answer, Trouble> {
    Ok(Answer::json(&openapi::document(asked.web.verbs.all())))
}

/// The API, as a page to read.
///
/// # Errors
/// None.
pub fn page(asked: &Asked) -> Result<Answer, Trouble> {
    let mut all: Vec<(Place, &Verb)> =
        asked.web.verbs.all().iter().map(|verb| (paths::of(verb), verb)).collect();
    all.sort_by(|(one, _), (other, _)| (&one.path, one.method).cmp(&(&other.path, other.method)));
    let body = html! {
        h1 { "API" }
        p { "Everything that the commands can do, with the same names and shapes: " code { "--json" } " prints what these answer. The document for programs is "
            a href="/api/v1/openapi.json" { "openapi.json" } "; " a href="/metrics" { "/metrics" } " is for Prometheus." }
        pre tabindex="0" { code { "curl -H 'Authorization: Bearer lmt_…' '" @if asked.web.is_encrypted { "https" } @else { "http" } "://" (asked.header("host").unwrap_or("SERVER")) "/api/v1/devices?query=state:down'" } }
        @if asked.who.may(crate::domain::user::Right::see(crate::domain::user::Subject::Users)) { p { a.button href="/tokens" { "Tokens" } } }
        @for (place, verb) in &all {
            section {
                h2 { code { (place.method) " /api/v1" (place.path) } }
                p { (layout::sentence(&verb.about)) " " span.quiet { "To " (verb.right.act) " " (verb.right.subject) "." } }
                @let params: Vec<_> = verb.params.iter().filter(|param| !(place.path.contains("{key}") && Some(param.name.as_str()) == verb.subject())).collect();
                @if !params.is_empty() {
                    dl.facts {
                        @for param in params {
                            dt { code { (param.name) } @if param.required { " *" } }
                            dd { (layout::sentence(&param.about)) @if let ParamKind::Choice(words) = &param.kind { " One of " (words.join(", ")) "." } }
                        }
                    }
                }
            }
        }
    };
    Ok(Answer::html(layout::page(asked, "API", &body)))
}
