//! What a verb takes, read off its command line.

use std::sync::LazyLock;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command, CommandFactory, Id};
use lineman::web::verbs::{Param, ParamKind, Verb};

use super::{CALLABLE, OUTSIDE};
use crate::Cli;

/// What is left out: files and the environment of the server are nobody's business, nor is what runs programs there, or
/// goes on for ever.
const LEFT_OUT: &[&str] = &["help", "version", "follow", "apply"];
/// Ways of being told that are not offered: whoever has the right to notify must not run programs on the server.
const KINDS_LEFT_OUT: &[&str] = &["command"];

/// All verbs that can be called.
pub fn all() -> Vec<Verb> {
    let mut root = Cli::command();
    root.build();
    let mut all = Vec::new();
    for &(noun, name, right) in CALLABLE {
        let name_of_verb = name;
        let Some(about) = root.find_subcommand(noun) else { continue };
        let command = if name.is_empty() { Some(about) } else { about.find_subcommand(name) };
        let Some(command) = command else { continue };
        let own = params(command);
        let verb = |name: String, command: &Command, params| Verb {
            noun,
            verb: name,
            about: text(command.get_about()),
            more: text(command.get_long_about()),
            params,
            right,
            is_kept: !OUTSIDE.contains(&(noun, name_of_verb)),
        };
        let kinds = || command.get_subcommands().filter(|kind| kind.get_name() != "help");
        if kinds().next().is_none() || !command.is_subcommand_required_set() {
            all.push(verb(name.to_owned(), command, own.clone()));
        }
        for kind in kinds().filter(|kind| !KINDS_LEFT_OUT.contains(&kind.get_name())) {
            // What is understood before and behind the kind is one and the same.
            let more = params(kind).into_iter().filter(|more| own.iter().all(|own| own.name != more.name));
            let params = own.iter().cloned().chain(more).collect();
            all.push(verb(format!("{name} {}", kind.get_name()), kind, params));
        }
    }
    all
}

fn text(styled: Option<&clap::builder::StyledStr>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}

fn params(command: &Command) -> Vec<Param> {
    offered(command).into_iter().map(param).collect()
}

/// The arguments of a command that can be given over the network: each name once. What may be said in a file or outright is
/// said as in a file, since that may hold secrets.
pub fn offered(command: &Command) -> Vec<&Arg> {
    let fits = |arg: &&Arg| {
        let name = name_of(arg);
        let out = LEFT_OUT.contains(&name.as_str()) || name.ends_with("_env");
        !out && !is_of_every_command(arg) && !arg.is_hide_set()
    };
    let all: Vec<&Arg> = command.get_arguments().filter(fits).collect();
    let has_file = |arg: &Arg| all.iter().any(|other| is_file(other) && name_of(other) == name_of(arg));
    all.iter().copied().filter(|arg| is_file(arg) || !has_file(arg)).collect()
}

/// Whether it is one of those that each command takes, such as `--data`: they are about the command line itself.
pub fn is_of_every_command(arg: &Arg) -> bool {
    static THEIRS: LazyLock<Vec<Id>> = LazyLock::new(|| {
        let root = Cli::command();
        root.get_arguments().filter(|arg| arg.is_global_set()).map(|arg| arg.get_id().clone()).collect()
    });
    arg.is_global_set() && THEIRS.contains(arg.get_id())
}

/// The name of a parameter: as its flag is written, in snake_case.
pub fn name_of(arg: &Arg) -> String {
    let id = arg.get_id().as_str();
    // What a thing is to be called is another thing than what it is called.
    let long = arg.get_long().filter(|_| id != "new_name");
    let name = long.unwrap_or(id).replace('-', "_");
    // What is read from a file at the command line is said outright here.
    if is_file(arg) { name.strip_suffix("_file").unwrap_or(&name).to_owned() } else { name }
}

/// Whether a flag names a file that holds what is meant. Over the network that is said outright.
pub fn is_file(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().any(|name| ["FILE", "PATH", "PATH|-"].contains(&name.as_str()))
}

fn param(arg: &Arg) -> Param {
    let takes_none = matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count);
    let words: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    let kind = if takes_none {
        ParamKind::Switch
    } else if is_file(arg) {
        ParamKind::Secret
    } else if !words.is_empty() {
        ParamKind::Choice(words)
    } else if is_number(arg.get_value_parser()) {
        ParamKind::Number
    } else {
        ParamKind::Text
    };
    let default = arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    Param {
        name: name_of(arg),
        // Standard input is the command line's own.
        about: text(arg.get_help())
            .split("; - reads it from standard input")
            .next()
            .unwrap_or_default()
            .to_owned(),
        holds: arg
            .get_value_names()
            .and_then(|names| names.first())
            .map_or(String::new(), ToString::to_string),
        positional: arg.is_positional(),
        many: matches!(arg.get_action(), ArgAction::Append),
        required: arg.is_required_set(),
        default: default.filter(|_| !takes_none),
        kind,
    }
}

fn is_number(parser: &ValueParser) -> bool {
    let numbers = [
        ValueParser::from(clap::value_parser!(u32)),
        ValueParser::from(clap::value_parser!(i64)),
        ValueParser::from(clap::value_parser!(u64)),
        ValueParser::from(clap::value_parser!(u16)),
    ];
    numbers.iter().any(|number| number.type_id() == parser.type_id())
}
