//! A template of a webhook's body, in the language of Jinja, bounded in work and in length.

use std::fmt::{self, Write as _};
use std::io;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Value, json};

/// The longest template, in bytes.
pub const MAX_TEMPLATE: usize = 64 * 1024;
/// The longest text that is made of one, in bytes.
pub const MAX_OUTPUT: usize = 256 * 1024;
/// How many steps a template may take.
const FUEL: u64 = 500_000;
/// How deep it may call itself.
const DEPTH: usize = 50;
/// What a template is called in its errors.
const NAME: &str = "template";

/// Why nothing can be made of a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTemplate(String);

/// Whether it is a template.
///
/// # Errors
/// What is wrong with it, and in which line.
pub fn check(source: &str) -> Result<(), BadTemplate> {
    if source.len() > MAX_TEMPLATE {
        return Err(BadTemplate(format!("it is {} bytes long, {MAX_TEMPLATE} are the most", source.len())));
    }
    let environment = environment();
    let template = environment.template_from_named_str(NAME, source).map_err(|e| bad(&e))?;
    // What it calls is looked up only when it is called. Other errors may be those of this one body.
    let mut out = Bounded { text: Vec::new(), full: Full::Not };
    match template.render_captured_to(Serde(example()), &mut out) {
        Err(error) if is_unknown(&error) => Err(bad(&error)),
        _ => Ok(()),
    }
}

/// A body with all its fields.
fn example() -> Value {
    json!({
        "key": "example", "incident": "lineman-ticket-7", "news": "broke", "title": "core-1 is down",
        "text": "core-1 is down since 14:00", "priority": "P1", "at": "2026-11-22T14:00:00Z", "ticket": 7,
        "device": "core-1", "site": "north", "events": [],
    })
}

fn is_unknown(error: &Error) -> bool {
    use ErrorKind::{UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};
    matches!(error.kind(), UnknownFilter | UnknownFunction | UnknownMethod | UnknownTest)
}

/// What a template makes of `body`: its fields are the names that the template knows.
///
/// # Errors
/// It is no template, asks for something that is not there, works too long, or makes too much.
pub fn render(source: &str, body: &Value) -> Result<String, BadTemplate> {
    let environment = environment();
    let template = environment.template_from_named_str(NAME, source).map_err(|e| bad(&e))?;
    let mut out = Bounded { text: Vec::new(), full: Full::Not };
    let done = template.render_captured_to(Serde(body), &mut out).map(drop);
    if let Full::Is = out.full {
        return Err(BadTemplate(format!("it makes more than {MAX_OUTPUT} bytes")));
    }
    done.map_err(|e| bad(&e))?;
    String::from_utf8(out.text).map_err(|_| BadTemplate("it makes no text".to_owned()))
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment
}

/// The error and its causes, without the lines of the template.
fn bad(error: &Error) -> BadTemplate {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    BadTemplate(text.chars().take(300).collect())
}

/// Takes so much, and no more.
struct Bounded {
    text: Vec<u8>,
    full: Full,
}

#[derive(Clone, Copy)]
enum Full {
    Not,
    Is,
}

impl io::Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.text.len() + more.len() > MAX_OUTPUT {
            self.full = Full::Is;
            return Err(io::Error::other("too much"));
        }
        self.text.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("bytes", &self.text.len()).finish()
    }
}
