//! `lineman --server URL …`: the same commands, done at a server elsewhere over its API, and printed here.

use std::ffi::OsString;
use std::io::Read as _;
use std::net::IpAddr;

use ::agent::link::connections;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory};
use exports::{Column, Kind, Table, Value};
use lineman::web::api::WITH_COLUMNS;
use lineman::web::api::paths::{self, Place};
use lineman::web::verbs::Verb;
use serde_json::{Map, Value as Json};
use ureq::http::{Request, Uri};

use crate::Cli;
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::verbs::describe;

/// The longest text that is read from a file or standard input.
const MAX_TEXT: u64 = 64 * 1024;
/// The longest answer.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// A server elsewhere, as a command line calls it.
pub struct Server {
    url: String,
    token: String,
    agent: ureq::Agent,
}

impl Server {
    /// The server at `url`, called with this token, and known by its key where one is named.
    pub fn at(url: &str, token: Option<String>, key: Option<&str>) -> Result<Server, Failure> {
        let url = url.trim_end_matches('/');
        let uri: Uri = url.parse().map_err(|_| bad_server(url))?;
        let is_safe = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => uri.host().is_some_and(is_this_machine),
            _ => return Err(bad_server(url)),
        };
        if !is_safe {
            return Err(Failure::usage(format!("'{url}' would send the token unencrypted: use https://")));
        }
        let token = token.ok_or_else(|| {
            Failure::usage("--server needs a token")
                .hint("make one there: lineman token add NAME --user USER --role ROLE")
        })?;
        let token = match token.strip_prefix('@') {
            Some(path) => text_of(path)?,
            None => token,
        };
        let pin = key.map(pin).transpose()?;
        Ok(Server { url: url.to_owned(), token: token.trim().to_owned(), agent: connections(pin) })
    }

    /// Does the command of this line there.
    pub fn run(&self, line: Vec<OsString>) -> Result<Output, Failure> {
        let matches = Cli::command().try_get_matches_from(line).map_err(|e| Failure::from(&e))?;
        let (verb, fields) = said(&matches)?;
        output(&self.call(&verb, fields)?)
    }

    /// What a verb of a noun lists of this `query`, with these further words.
    pub fn list(
        &self,
        (noun, list): (&str, &str),
        query: &str,
        words: &[(&str, i64)],
    ) -> Result<Table, Failure> {
        let verb = describe::all().into_iter().find(|verb| verb.noun == noun && verb.verb == list);
        let verb = verb.ok_or_else(|| Failure::failed(format!("'{noun} {list}' is no list")))?;
        let mut fields: Map<String, Json> =
            words.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        if !query.is_empty() {
            fields.insert("query".to_owned(), query.into());
        }
        match output(&self.call(&verb, fields)?)? {
            Output::Table(table) | Output::Judged(table, _) => Ok(table),
            _ => Err(not_this_version()),
        }
    }

    fn call(&self, verb: &Verb, fields: Map<String, Json>) -> Result<Json, Failure> {
        let server = &self.url;
        let (method, url, body) = request(server, verb, fields)?;
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {}", self.token))
            .header("accept", WITH_COLUMNS)
            .header("content-type", "application/json");
        let request = request.body(body).map_err(|e| Failure::usage(format!("call {server}: {e}")))?;
        let answer = self.agent.run(request);
        let mut answer = answer.map_err(|e| Failure::failed(format!("call {server}: {e}")))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let text = text.map_err(|e| Failure::failed(format!("read the answer of {server}: {e}")))?;
        let json: Json = serde_json::from_str(&text).map_err(|_| {
            Failure::failed(format!("{server} answers {status}, and not as a lineman server does"))
        })?;
        if (200..300).contains(&status) { Ok(json) } else { Err(refused(status, &json)) }
    }
}

/// Whether a host is this machine, so that nothing that is sent there leaves it.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn bad_server(server: &str) -> Failure {
    Failure::usage(format!("'{server}' is not a server's URL: write it as https://HOST:PORT"))
}

/// The SHA-256 of a key, in hexadecimal digits.
fn pin(text: &str) -> Result<[u8; 32], Failure> {
    let bad = || Failure::usage("--server-key is a SHA-256 in 64 hexadecimal digits");
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(bad());
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| bad())?;
    }
    Ok(key)
}

fn text_of(path: &str) -> Result<String, Failure> {
    let failed = |e: std::io::Error| Failure::failed(format!("read {path}: {e}"));
    let mut text = String::new();
    if path == "-" {
        std::io::stdin().lock().take(MAX_TEXT + 1).read_to_string(&mut text).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_TEXT + 1).read_to_string(&mut text).map_err(failed)?;
    }
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_TEXT {
        return Err(Failure::usage(format!("{path} is longer than {MAX_TEXT} bytes")));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The verb of a line, and what is said to it. Files and standard input are read here, where they are meant.
fn said(matches: &ArgMatches) -> Result<(Verb, Map<String, Json>), Failure> {
    let mut root = Cli::command();
    root.build();
    let (mut command, mut matches) = (&root, matches);
    let (mut words, mut fields) = (Vec::new(), Map::new());
    while let Some((name, inner)) = matches.subcommand() {
        let Some(next) = command.find_subcommand(name) else { break };
        (command, matches) = (next, inner);
        words.push(name.to_owned());
        given(command, matches, &mut fields)?;
    }
    let noun = words.first().cloned().unwrap_or_default();
    let name = words.get(1..).unwrap_or_default().join(" ");
    let verb = describe::all().into_iter().find(|verb| verb.noun == noun && verb.verb == name);
    let verb = verb
        .ok_or_else(|| Failure::usage(format!("'{noun} {name}' is done at the server's own command line")))?;
    let foreign: Vec<&String> =
        fields.keys().filter(|key| verb.params.iter().all(|param| param.name != **key)).collect();
    if let Some(name) = foreign.first() {
        return Err(Failure::usage(format!(
            "--{} is for the server's own command line",
            name.replace('_', "-")
        )));
    }
    Ok((verb, fields))
}

fn given(command: &Command, matches: &ArgMatches, fields: &mut Map<String, Json>) -> Result<(), Failure> {
    for arg in command.get_arguments().filter(|arg| !describe::is_of_every_command(arg)) {
        let id = arg.get_id().as_str();
        if !matches!(matches.try_contains_id(id), Ok(true))
            || matches.value_source(id) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        let name = describe::name_of(arg);
        if !arg.get_action().takes_values() {
            fields.insert(name, Json::Bool(true));
            continue;
        }
        let mut values = Vec::new();
        for raw in matches.get_raw(id).into_iter().flatten() {
            let text = raw.to_str().ok_or_else(|| Failure::usage(format!("'{name}' is no text")))?;
            let reads = describe::is_file(arg) || text == "-";
            let text = match text.strip_prefix('@').filter(|_| command.get_name() == "set") {
                Some(path) => text_of(path)?,
                None if reads => text_of(text)?,
                None => text.to_owned(),
            };
            values.push(Json::String(text));
        }
        let one = values.len() == 1 && !matches!(arg.get_action(), clap::ArgAction::Append);
        let value = if one { values.swap_remove(0) } else { Json::Array(values) };
        fields.insert(name, value);
    }
    Ok(())
}

/// Where a verb is called, and with which body.
fn request(
    server: &str,
    verb: &Verb,
    mut fields: Map<String, Json>,
) -> Result<(&'static str, String, String), Failure> {
    let Place { method, mut path } = paths::of(verb);
    let encoded =
        |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    if path.contains("{key}") {
        let subject = verb.subject().unwrap_or("name");
        let key = fields.remove(subject);
        let key = key
            .as_ref()
            .and_then(Json::as_str)
            .ok_or_else(|| Failure::usage(format!("'{subject}' is missing")))?;
        path = path.replace("{key}", &encoded(key));
    }
    let mut url = format!("{server}/api/v1{path}");
    if method != "GET" && method != "DELETE" {
        return Ok((method, url, Json::Object(fields).to_string()));
    }
    let mut parts = Vec::new();
    for (name, value) in &fields {
        let all = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        for one in &all {
            let text = one.as_str().map_or_else(|| one.to_string(), ToOwned::to_owned);
            parts.push(format!("{name}={}", encoded(&text)));
        }
    }
    if !parts.is_empty() {
        url = format!("{url}?{}", parts.join("&"));
    }
    Ok((method, url, String::new()))
}

fn not_this_version() -> Failure {
    Failure::failed("the answer is not one of this lineman's: is the server of another version?")
}

/// An answer with its columns, as a command's output.
fn output(json: &Json) -> Result<Output, Failure> {
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    if json["again"] == true {
        return Ok(Output::Again(json.to_string()));
    }
    let mut columns = Vec::new();
    for column in json["columns"].as_array().ok_or_else(not_this_version)? {
        // A command prints one answer: what stays of it stays until the end anyway.
        let word = |key: &str| -> &'static str { column[key].as_str().unwrap_or_default().to_owned().leak() };
        let kind = match column["kind"].as_str() {
            Some("State") => Kind::State,
            Some("Bool") => Kind::Bool,
            Some("Int") => Kind::Int,
            Some("Time") => Kind::Time,
            Some("Span") => Kind::Span,
            Some("Money") => Kind::Money,
            Some("List") => Kind::List,
            Some("Object") => Kind::Object,
            _ => Kind::Text,
        };
        let made = Column::new(word("key"), word("title"), kind);
        columns.push(if column["shown"] == true { made } else { made.hidden() });
    }
    let mut table = Table::new(text("name"), columns);
    for row in json["rows"].as_array().ok_or_else(not_this_version)? {
        let cells = table.columns.iter().map(|column| value(column.kind, &row[column.key])).collect();
        table.rows.push(cells);
    }
    let wrong = json["wrong"].as_str().map(Failure::failed);
    Ok(match json["shape"].as_str() {
        Some("list") if wrong.is_none() => Output::Table(table),
        Some("list") => Output::Judged(table, wrong),
        Some("one") => Output::Record(table),
        Some("changed") => Output::Changed(table, text("said")),
        Some("said") => Output::Answer(table, text("said"), wrong),
        Some("text") => Output::Text(text("said")),
        _ => return Err(not_this_version()),
    })
}

fn value(kind: Kind, json: &Json) -> Value {
    match (kind, json) {
        (_, Json::Null) => Value::Null,
        (Kind::Time, Json::String(text)) => text
            .parse::<jiff::Timestamp>()
            .map_or_else(|_| Value::Text(text.clone()), |at| Value::Time(at.as_millisecond())),
        (Kind::Span, Json::Number(number)) => number.as_i64().map_or(Value::Null, Value::Span),
        (Kind::List, Json::Array(all)) => Value::List(all.iter().map(|one| value(Kind::Text, one)).collect()),
        (_, Json::Bool(yes)) => Value::Bool(*yes),
        (_, Json::Number(number)) => number.as_i64().map_or_else(|| Value::Json(json.clone()), Value::Int),
        (_, Json::String(text)) => Value::Text(text.clone()),
        (_, Json::Array(_) | Json::Object(_)) => Value::Json(json.clone()),
    }
}

/// Why it was not done there.
fn refused(status: u16, json: &Json) -> Failure {
    let code = match status {
        400 | 405 | 413 | 422 => Code::Usage,
        401 | 403 => Code::NotAllowed,
        404 => Code::NotFound,
        409 if json["code"] == "refused" => Code::Refused,
        409 => Code::Conflict,
        412 => Code::Conflict,
        _ => Code::Failed,
    };
    let message =
        json["detail"].as_str().map_or_else(|| format!("the server answers {status}"), ToOwned::to_owned);
    let failure = Failure::new(code, message);
    match json["hint"].as_str() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_hexadecimal_digits() {
        assert_eq!(pin(&"ab".repeat(32)).unwrap(), [0xab; 32]);
        for wrong in ["", "ab", &"xy".repeat(32), &"ab".repeat(33), &"ä".repeat(32)] {
            assert!(pin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_sent_in_clear_to_this_machine_alone() {
        for (host, is_safe) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("127.0.0.1.example", false),
            ("127.evil", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]", false),
        ] {
            assert_eq!(is_this_machine(host), is_safe, "{host}");
        }
    }

    #[test]
    fn a_line_becomes_a_call_of_the_api() {
        for (line, method, url, body) in [
            (
                vec!["device", "list", "state:down", "--limit", "3"],
                "GET",
                "https://s/api/v1/devices?query=state%3Adown&limit=3",
                "",
            ),
            (vec!["device", "show", "rack 3/a"], "GET", "https://s/api/v1/devices/rack%203%2Fa", ""),
            (
                vec!["device", "add", "nas", "--tag", "a", "--tag", "b"],
                "POST",
                "https://s/api/v1/devices",
                r#"{"name":"nas","tag":["a","b"]}"#,
            ),
            (
                vec!["ticket", "pin", "3", "P1"],
                "POST",
                "https://s/api/v1/tickets/3/pin",
                r#"{"priority":"P1"}"#,
            ),
            (
                vec!["setting", "set", "check.every", "9s"],
                "PUT",
                "https://s/api/v1/settings/check.every",
                r#"{"value":"9s"}"#,
            ),
            (
                vec!["event", "list", "--after", "7", "--limit", "500"],
                "GET",
                "https://s/api/v1/events?after=7&limit=500",
                "",
            ),
            (
                vec!["notify", "add", "n", "--when", "priority:P1", "ntfy", "--topic", "t", "--after", "15m"],
                "POST",
                "https://s/api/v1/notify/kinds/ntfy",
                r#"{"after":"15m","name":"n","topic":"t","when":"priority:P1"}"#,
            ),
            (vec!["doctor"], "GET", "https://s/api/v1/doctor", ""),
        ] {
            let words = ["lineman"].into_iter().chain(line.iter().copied());
            let matches = Cli::command().try_get_matches_from(words).unwrap();
            let (verb, fields) = said(&matches).unwrap();
            let (with, at, told) = request("https://s", &verb, fields).unwrap();
            let read = |text: &str| serde_json::from_str::<Json>(text).unwrap_or_default();
            assert_eq!((with, at.as_str(), read(&told)), (method, url, read(body)), "{line:?}");
        }
    }
}
