//! A call of a verb: made a command line, parsed and run as any other, for the user that calls.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use clap::{Command, CommandFactory, Parser};
use lineman::app::App;
use lineman::domain::ids::UserId;
use lineman::store::events::Actor;
use lineman::store::{Tx, WriteTx, sessions};
use lineman::web::verbs::{Answer, Call, ParamKind, Refused, Shape, Verb, Why};
use rustix::fs::{MemfdFlags, memfd_create};

use super::describe;
use crate::data::{Around, Context, Inside, Reach};
use crate::failure::{Code, Failure};
use crate::output::{Output, Printer};
use crate::{Cli, Noun};

/// The longest value, in bytes.
const MAX_VALUE: usize = 64 * 1024;
/// The longest word of a caller's own.
const MAX_ONCE: usize = 200;

/// Runs a verb for whoever calls; that it may is settled.
pub fn run(app: App, data: PathBuf, by: Actor, verb: &Verb, call: Call) -> Result<Answer, Refused> {
    // Secrets are said in files at the command line.
    let mut files = Files::default();
    let line = line(verb, &call, &mut files)?;
    let noun = parsed(line)?;
    let around = around(verb, &call)?;
    let clock = app.clock.clone();
    let reach = Reach::Server(Box::new(Inside { app, by, around }));
    let context = Context {
        data,
        clock: clock.clone(),
        printer: Printer::silent(clock),
        yes: true,
        server: None,
        reach,
    };
    let output = noun.run(&context).map_err(|failure| refused(&failure));
    drop(files);
    Ok(answer(output?))
}

/// What was not done, to whoever called.
fn refused(failure: &Failure) -> Refused {
    let why = match failure.code {
        Code::Usage => Why::Usage,
        Code::NotFound => Why::NotFound,
        Code::NotAllowed => Why::NotAllowed,
        Code::Conflict if failure.message.starts_with(CHANGED) => Why::Changed,
        Code::Conflict => Why::Conflict,
        Code::Refused => Why::Refused,
        Code::NobodyReads | Code::Failed | Code::Interrupted => Why::Failed,
    };
    let hint = failure.hint.clone();
    Refused { why, message: failure.message.clone(), hint, param: None }
}

/// What an output is, as an answer.
pub fn answer(output: Output) -> Answer {
    let said = |shape, table, said| Answer { shape, table, said, wrong: None, again: None };
    match output {
        Output::Nothing => said(Shape::Text, exports::Table::default(), String::new()),
        Output::Text(text) => said(Shape::Text, exports::Table::default(), text),
        Output::Table(table) => said(Shape::List, table, String::new()),
        Output::Judged(table, failure) => {
            Answer { wrong: failure.map(|f| f.message), ..said(Shape::List, table, String::new()) }
        }
        Output::Record(table) => said(Shape::One, table, String::new()),
        Output::Changed(table, more) => said(Shape::Changed, table, more),
        Output::Said(table, more) => said(Shape::Said, table, more),
        Output::Answer(table, text, failure) => {
            Answer { wrong: failure.map(|f| f.message), ..said(Shape::Said, table, text) }
        }
        Output::Again(json) => {
            Answer { again: Some(json), ..said(Shape::One, exports::Table::default(), String::new()) }
        }
    }
}

/// The command line of a call.
fn line(verb: &Verb, call: &Call, files: &mut Files) -> Result<Vec<OsString>, Refused> {
    let bad = |name: &str, message: String| {
        Err(Refused { param: Some(name.to_owned()), ..Refused::new(Why::Usage, message) })
    };
    for (name, values) in &call.values {
        let Some(param) = verb.params.iter().find(|param| param.name == *name) else {
            let known: Vec<&str> = verb.params.iter().map(|param| param.name.as_str()).collect();
            return bad(name, format!("there is no '{name}': there are {}", known.join(", ")));
        };
        if values.len() > 1 && !param.many && param.kind != ParamKind::Switch {
            return bad(name, format!("'{name}' is given once"));
        }
        if values.iter().any(|value| value.len() > MAX_VALUE || value.contains('\0')) {
            return bad(name, format!("'{name}' is longer than {MAX_VALUE} bytes, or no text"));
        }
        // At the command line these read files and standard input of whoever types them.
        let reads = call.noun == "setting" || param.holds == "TEXT" || param.name == "text";
        if reads
            && values.iter().any(|value| value == "-" || (call.noun == "setting" && value.starts_with('@')))
        {
            return bad(name, format!("'{name}' is said outright here: no file is read"));
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut words = vec!["lineman".into(), OsString::from(verb.noun)];
    let mut command = root.find_subcommand(verb.noun).ok_or_else(gone)?;
    let mut parts = verb.verb.split(' ').filter(|part| !part.is_empty()).peekable();
    let mut left = call.clone();
    if parts.peek().is_none() {
        given(command, &mut left, files, true, &mut words)?;
    }
    while let Some(part) = parts.next() {
        words.push(part.into());
        command = command.find_subcommand(part).ok_or_else(gone)?;
        given(command, &mut left, files, parts.peek().is_none(), &mut words)?;
    }
    Ok(words)
}

fn gone() -> Refused {
    Refused::new(Why::NotFound, "there is no such command any more")
}

/// What is said to one command of the line, taken out of what is left to say. Before a further command a word must not look like a flag.
fn given(
    command: &Command,
    left: &mut Call,
    files: &mut Files,
    is_last: bool,
    words: &mut Vec<OsString>,
) -> Result<(), Refused> {
    let mut free = Vec::new();
    for arg in describe::offered(command) {
        let name = describe::name_of(arg);
        let Some(values) = left.values.remove(&name) else { continue };
        if arg.is_positional() {
            free.extend(values.iter().map(OsString::from));
            continue;
        }
        let Some(long) = arg.get_long() else { continue };
        for value in &values {
            let takes = arg.get_action().takes_values();
            match (takes, describe::is_file(arg)) {
                (false, _) if value == "true" => words.push(format!("--{long}").into()),
                (false, _) if value == "false" || value.is_empty() => {}
                (false, _) => {
                    let message = format!("'{name}' is true or false");
                    return Err(Refused { param: Some(name), ..Refused::new(Why::Usage, message) });
                }
                (true, true) => words.push(flag(long, file(files, &name, value)?.as_os_str())),
                (true, false) => words.push(flag(long, value.as_ref())),
            }
        }
    }
    if is_last && !free.is_empty() {
        words.push("--".into());
    } else if free.iter().any(|word| word.to_string_lossy().starts_with('-')) {
        return Err(Refused::new(Why::Usage, "a name does not begin with '-'"));
    }
    words.extend(free);
    Ok(())
}

fn flag(long: &str, value: &std::ffi::OsStr) -> OsString {
    let mut word = OsString::from(format!("--{long}="));
    word.push(value);
    word
}

/// The files of a call: they are in memory alone, so that no secret is left on the disk, whatever happens meanwhile.
#[derive(Default)]
struct Files(Vec<File>);

/// A file with what is said for `name`, as long as the call lasts.
fn file(files: &mut Files, name: &str, value: &str) -> Result<PathBuf, Refused> {
    let failed = |e: std::io::Error| Refused::new(Why::Failed, format!("keep '{name}' for a moment: {e}"));
    let held = memfd_create(c"lineman", MemfdFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
    let mut file = File::from(held);
    file.write_all(value.as_bytes()).map_err(failed)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    files.0.push(file);
    Ok(path)
}

/// The line, parsed. What is wrong with it is told in the words of a caller, who wrote no flags.
fn parsed(line: Vec<OsString>) -> Result<Noun, Refused> {
    Cli::try_parse_from(line).map(|cli| cli.noun).map_err(|error| {
        use clap::error::{ContextKind, ContextValue};
        let arg = error.get(ContextKind::InvalidArg).map(|value| match value {
            ContextValue::Strings(all) => all.join(", "),
            other => other.to_string(),
        });
        let text = error.render().to_string();
        let first: Vec<&str> = text.lines().take_while(|line| !line.starts_with("Usage")).collect();
        let message = first.join(" ").replace("error: ", "");
        let message = message.split("  For more information").next().unwrap_or_default().trim().to_owned();
        let param = arg.map(|arg| {
            let word = arg.trim_start_matches(['-', '<', '[']).to_owned();
            let end = word.find([' ', '=', '>', ']', '.']).unwrap_or(word.len());
            word[..end].to_lowercase().replace('-', "_")
        });
        Refused { param, ..Refused::new(Why::Usage, message) }
    })
}

/// What is kept instead of an answer that told a secret.
const TOLD_ONCE: &str = "told once";
/// What a refusal begins with that is about a thing that is not as it was seen.
const CHANGED: &str = "it was changed meanwhile";

/// What stands around a change that says how the thing must be, or that it is to be made once.
#[derive(Clone)]
struct Guard {
    noun: &'static str,
    subject: Option<String>,
    if_match: Option<String>,
    once: Option<(UserId, String, [u8; 32])>,
}

fn around(verb: &Verb, call: &Call) -> Result<Option<Box<dyn Around>>, Refused> {
    if call.if_match.is_none() && call.once.is_none() {
        return Ok(None);
    }
    let once = match &call.once {
        Some(word) if word.is_empty() || word.len() > MAX_ONCE || word.chars().any(char::is_control) => {
            return Err(Refused::new(
                Why::Usage,
                format!("an idempotency key has 1 to {MAX_ONCE} characters"),
            ));
        }
        Some(word) => {
            let what = format!("{} {} {:?}", call.noun, call.verb, call.values);
            Some((call.who.id, word.clone(), lineman::secret::hash(&what)))
        }
        None => None,
    };
    let subject =
        verb.params.iter().find(|param| param.positional).and_then(|param| call.values.get(&param.name));
    let subject = subject.and_then(|values| values.first()).cloned();
    Ok(Some(Box::new(Guard { noun: verb.noun, subject, if_match: call.if_match.clone(), once })))
}

impl Around for Guard {
    fn twin(&self) -> Box<dyn Around> {
        Box::new(self.clone())
    }

    fn before(&self, tx: &Tx) -> Result<Option<String>, Failure> {
        if let Some((user, word, hash)) = &self.once
            && let Some(answer) = sessions::answered(tx, *user, word, hash)?
        {
            if answer == TOLD_ONCE {
                let why = "it was done with this idempotency key, and its secret was told then, once";
                return Err(Failure::new(Code::Conflict, why).hint("take it back, and make another one"));
            }
            return Ok(Some(answer));
        }
        if let Some(wanted) = &self.if_match {
            let subject = self.subject.clone().unwrap_or_default();
            let now = look_at(tx, self.noun, &subject)?;
            if !now.is_as_seen(wanted) {
                return Err(Failure::new(Code::Conflict, format!("{CHANGED}: look at it again")));
            }
        }
        Ok(None)
    }

    fn after(&self, tx: &WriteTx, output: &Output) -> Result<(), Failure> {
        if let Some((user, word, hash)) = &self.once {
            let answer = answer(output.clone());
            // A secret is kept nowhere.
            let kept =
                if answer.secret().is_some() { TOLD_ONCE.to_owned() } else { answer.json().to_string() };
            sessions::keep_answer(tx, *user, word, hash, &kept)?;
        }
        Ok(())
    }
}

/// The thing as `show` shows it.
fn look_at(tx: &Tx, noun: &str, subject: &str) -> Result<Answer, Failure> {
    let words = ["lineman", noun, "show", "--", subject].map(OsString::from).to_vec();
    let noun = parsed(words).map_err(|refused| Failure::usage(refused.message))?;
    let clock = schedules::Clock::system();
    let printer = Printer::silent(clock.clone());
    let context =
        Context { data: PathBuf::new(), clock, printer, yes: false, server: None, reach: Reach::Within(tx) };
    noun.run(&context).map(answer)
}
