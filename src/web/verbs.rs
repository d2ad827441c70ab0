//! What can be asked and changed, as the pages and the JSON API see it: the verbs of the command line.
//!
//! Each command is described as plain data, and can be run. So a page's form, a call of the API and a command line are one
//! and the same thing, checked in one place, and a new command is in all three. The commands are described where they
//! are: the binary hands them in, since no room of the library knows the commands.

use std::collections::BTreeMap;

use exports::Table;

use crate::domain::user::{Act, Right, User};

/// A command that can be called from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verb {
    /// What it is about: `device`.
    pub noun: &'static str,
    /// What it does: `add`; empty for a command that has no verb, such as `doctor`. One that differs by kind has the kind
    /// behind it: `add email`.
    pub verb: String,
    /// What it does, in one sentence.
    pub about: String,
    /// What there is to know beyond that.
    pub more: String,
    /// What it takes.
    pub params: Vec<Param>,
    /// The right that it needs.
    pub right: Right,
    /// Whether all that it does is in the database: only then can it be done once, or for a thing as it was seen alone.
    pub is_kept: bool,
}

/// Something that a verb takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name, in snake_case: `dns_name`.
    pub name: String,
    /// What it is, in one sentence.
    pub about: String,
    /// What it holds, as the help writes it: `DEVICE`, `SPAN`.
    pub holds: String,
    /// What may be said.
    pub kind: ParamKind,
    /// Whether it stands without a flag; the first of these is what the verb is about.
    pub positional: bool,
    /// Whether it may be given several times.
    pub many: bool,
    /// Whether it must be given.
    pub required: bool,
    /// What holds where nothing is said.
    pub default: Option<String>,
}

/// What may be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Yes, or nothing.
    Switch,
    /// One of these words.
    Choice(Vec<String>),
    /// A whole number.
    Number,
    /// Any text.
    Text,
    /// A text that is never shown.
    Secret,
}

/// A call of a verb.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub who: User,
    /// The verb's noun.
    pub noun: String,
    /// The verb.
    pub verb: String,
    /// What is said to it, by the parameters' names; a switch that is on has the one value `true`.
    pub values: BTreeMap<String, Vec<String>>,
    /// How the thing must be for the change to be made: the [`Answer::etag`] that was seen of it.
    pub if_match: Option<String>,
    /// A word of the caller's: a change that was called for with it before is not made again, and is answered as then.
    pub once: Option<String>,
}

impl Call {
    /// A call without any values.
    #[must_use]
    pub fn new(who: User, noun: &str, verb: &str) -> Call {
        let (noun, verb) = (noun.to_owned(), verb.to_owned());
        Call { who, noun, verb, values: BTreeMap::new(), if_match: None, once: None }
    }

    /// With one more value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Call {
        self.values.entry(name.to_owned()).or_default().push(value.into());
        self
    }
}

/// What kind of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A list.
    List,
    /// One thing, with all that is known of it.
    One,
    /// One thing that is now as it was to be: its line of the list, and what else there is to say.
    Changed,
    /// One thing of which a sentence tells.
    Said,
    /// A text.
    Text,
}

/// What a verb answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What kind it is.
    pub shape: Shape,
    /// The list, or the thing as its only row.
    pub table: Table,
    /// What is said to a person, where there is more to say than the table.
    pub said: String,
    /// What is wrong, where an answer as such says so.
    pub wrong: Option<String>,
    /// What was answered to the same call before, as JSON, where it was called before.
    pub again: Option<String>,
}

impl Answer {
    /// The answer as JSON: what `--json` prints.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        if let Some(again) = &self.again {
            return serde_json::from_str(again).unwrap_or_default();
        }
        let rows = || self.table.rows().map(|row| serde_json::to_value(row).unwrap_or_default());
        match self.shape {
            Shape::List => rows().collect(),
            Shape::One | Shape::Changed | Shape::Said => rows().next().unwrap_or_default(),
            Shape::Text => serde_json::Value::String(self.said.clone()),
        }
    }

    /// The secret that is told this once, such as a token, or a link that lets somebody in.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        let last = self.said.split_whitespace().last()?;
        (last.starts_with("lm") || last.contains("/sign-in/link/")).then_some(last)
    }

    /// A word that is another one when the thing is another (RFC 9110, section 8.8.3): what of it nobody but a person
    /// changes, a dot, and all of it.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}.{}\"", short(&self.steady()), short(&self.json().to_string()))
    }

    /// Whether this is the thing as it was seen under one of those tags (`If-Match`). What becomes another one by itself,
    /// such as a state, does not count.
    #[must_use]
    pub fn is_as_seen(&self, tags: &str) -> bool {
        let steady = short(&self.steady());
        let tag = |tag: &str| {
            let word = tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
            tag.trim() == "*" || word.split('.').next() == Some(&steady)
        };
        tags.split(',').any(tag)
    }

    /// All but what becomes another one by itself.
    fn steady(&self) -> String {
        let columns = &self.table.columns;
        let cells = |row: exports::Row<'_>| {
            let cells = columns.iter().zip(row.cells).filter(|(column, _)| !column.moves);
            cells.map(|(_, value)| serde_json::to_string(value).unwrap_or_default()).collect::<Vec<_>>()
        };
        format!("{:?}{}", self.table.rows().map(cells).collect::<Vec<_>>(), self.said)
    }
}

/// The beginning of a text's hash.
fn short(text: &str) -> String {
    crate::secret::hash(text)[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a verb was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What kind of reason.
    pub why: Why,
    /// One sentence.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
    /// The parameter it is about, where that is known.
    pub param: Option<String>,
}

/// What kind of reason it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It makes no sense.
    Usage,
    /// What it is about is not there.
    NotFound,
    /// Whoever calls may not.
    NotAllowed,
    /// It is taken.
    Conflict,
    /// It is not as it was seen.
    Changed,
    /// It would break a rule.
    Refused,
    /// It was tried, and failed.
    Failed,
}

impl Why {
    /// The word for it, as programs read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::Usage => "usage",
            Why::NotFound => "not-found",
            Why::NotAllowed => "not-allowed",
            Why::Conflict => "conflict",
            Why::Changed => "changed",
            Why::Refused => "refused",
            Why::Failed => "failed",
        }
    }
}

/// All verbs, and how they are run. It blocks: call it where that does no harm.
pub trait Verbs: Send + Sync {
    /// All there are.
    fn all(&self) -> &[Verb];

    /// The verb of that noun and name.
    fn named(&self, noun: &str, verb: &str) -> Option<&Verb> {
        self.all().iter().find(|one| one.noun == noun && one.verb == verb)
    }

    /// A call of a verb about one thing.
    fn about(&self, who: User, noun: &str, verb: &str, thing: &str) -> Call {
        let found = self.named(noun, verb);
        Call::new(who, noun, verb).with(found.and_then(Verb::subject).unwrap_or("name"), thing)
    }

    /// Runs one. Whether its caller may is asked here.
    ///
    /// # Errors
    /// Why it was not done: then nothing was changed.
    fn run(&self, call: Call) -> Result<Answer, Refused>;
}

impl Refused {
    /// With a sentence.
    #[must_use]
    pub fn new(why: Why, message: impl Into<String>) -> Refused {
        Refused { why, message: message.into(), hint: None, param: None }
    }
}

impl Verb {
    /// The name of the parameter that says what it is about, where it is about one thing.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.params.iter().find(|param| param.positional).map(|param| param.name.as_str())
    }

    /// What was refused, to whoever wrote no command line: a flag of this verb, `--dns-name`, is called as `called` calls its
    /// parameter. What is said of other commands stays as it is.
    #[must_use]
    pub fn in_other_words(&self, refused: Refused, called: impl Fn(&Param) -> String) -> Refused {
        let reworded = |text: &str| {
            let mut words = String::with_capacity(text.len());
            let mut rest = text;
            while let Some(at) = rest.find("--") {
                let (before, flag) = rest.split_at(at);
                let end = flag[2..]
                    .find(|c: char| !c.is_ascii_lowercase() && c != '-')
                    .map_or(flag.len(), |end| end + 2);
                let name = flag[2..end].replace('-', "_");
                let name = name.strip_suffix("_file").unwrap_or(&name);
                let of_this = !before.contains("lineman ") && !words.contains("lineman ");
                words.push_str(before);
                match self.params.iter().find(|param| of_this && param.name == *name) {
                    Some(param) => words.push_str(&called(param)),
                    None => words.push_str(&flag[..end]),
                }
                rest = &flag[end..];
            }
            words + rest
        };
        Refused {
            message: reworded(&refused.message),
            hint: refused.hint.as_deref().map(reworded),
            ..refused
        }
    }

    /// Whether it only asks.
    #[must_use]
    pub fn only_asks(&self) -> bool {
        self.right.act == Act::See
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::Subject;

    #[test]
    fn flags_of_a_verb_are_told_as_its_parameters_and_those_of_others_as_they_are() {
        let param = |name: &str| Param {
            name: name.to_owned(),
            about: String::new(),
            holds: String::new(),
            kind: ParamKind::Text,
            positional: false,
            many: false,
            required: false,
            default: None,
        };
        let verb = Verb {
            noun: "notify",
            verb: "add slack".to_owned(),
            about: String::new(),
            more: String::new(),
            params: vec![param("url"), param("dns_name")],
            right: Right::change(Subject::Notify),
            is_kept: true,
        };
        let told = |message: &str| {
            let refused = Refused { hint: Some(message.to_owned()), ..Refused::new(Why::Usage, message) };
            let told = verb.in_other_words(refused, |param| format!("'{}'", param.name));
            assert_eq!(told.hint.as_deref(), Some(&*told.message));
            told.message
        };
        for (said, wanted) in [
            ("give --url-file, or --dns-name", "give 'url', or 'dns_name'"),
            ("--url", "'url'"),
            ("--urls and --", "--urls and --"),
            ("see 'lineman dns add --url U'", "see 'lineman dns add --url U'"),
            ("–-ü --ürl", "–-ü --ürl"),
            ("", ""),
        ] {
            assert_eq!(told(said), wanted);
        }
    }
}
