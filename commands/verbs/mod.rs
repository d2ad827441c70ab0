//! The commands as verbs: what the page's forms and the JSON API can call. One list says which there are, and which right
//! each needs; what a verb takes is read off its command line.

mod call;
pub mod describe;

use std::sync::OnceLock;

use lineman::app::App;
use lineman::domain::user::Subject::{Log, Network, Notify, Settings, Tickets, Users};
use lineman::domain::user::{Right, may};
use lineman::store::events::Actor;
use lineman::web::verbs::{Answer, Call, Refused, Verb, Verbs, Why};

use crate::data::default_folder;

/// The verbs that can be called over the network: their noun, their name, and the right they need. What is not here is
/// for the machine itself: `serve`, `agent`, `export` into a file.
pub const CALLABLE: &[(&str, &str, Right)] = &[
    ("check", "add", Right::change(Network)),
    ("check", "list", Right::see(Network)),
    ("check", "remove", Right::change(Network)),
    ("check", "run", Right::change(Network)),
    ("check", "show", Right::see(Network)),
    ("device", "add", Right::change(Network)),
    ("device", "edit", Right::change(Network)),
    ("device", "history", Right::see(Network)),
    ("device", "list", Right::see(Network)),
    ("device", "parents", Right::see(Network)),
    ("device", "pause", Right::change(Network)),
    ("device", "remove", Right::change(Network)),
    ("device", "resume", Right::change(Network)),
    ("device", "show", Right::see(Network)),
    ("dns", "list", Right::see(Network)),
    ("dns", "retry", Right::change(Network)),
    ("dns", "take", Right::change(Network)),
    ("doctor", "", Right::see(Settings)),
    ("event", "list", Right::see(Log)),
    ("maintenance", "add", Right::change(Network)),
    ("maintenance", "end", Right::change(Network)),
    ("maintenance", "extend", Right::change(Network)),
    ("maintenance", "list", Right::see(Network)),
    ("maintenance", "remove", Right::change(Network)),
    ("maintenance", "show", Right::see(Network)),
    ("notify", "add", Right::change(Notify)),
    ("notify", "edit", Right::change(Notify)),
    ("notify", "list", Right::see(Notify)),
    ("notify", "outbox", Right::see(Notify)),
    ("notify", "pause", Right::change(Notify)),
    ("notify", "remove", Right::change(Notify)),
    ("notify", "resume", Right::change(Notify)),
    ("notify", "retry", Right::change(Notify)),
    ("notify", "rota-swap", Right::change(Notify)),
    ("notify", "show", Right::see(Notify)),
    ("notify", "test", Right::change(Notify)),
    ("outage", "list", Right::see(Network)),
    ("outage", "show", Right::see(Network)),
    ("report", "availability", Right::see(Network)),
    ("schedule", "list", Right::see(Settings)),
    ("setting", "list", Right::see(Settings)),
    ("setting", "set", Right::change(Settings)),
    ("setting", "unset", Right::change(Settings)),
    ("site", "add", Right::change(Network)),
    ("site", "edit", Right::change(Network)),
    ("site", "list", Right::see(Network)),
    ("site", "remove", Right::change(Network)),
    ("site", "show", Right::see(Network)),
    ("ticket", "acknowledge", Right::change(Tickets)),
    ("ticket", "assign", Right::change(Tickets)),
    ("ticket", "close", Right::change(Tickets)),
    ("ticket", "comment", Right::change(Tickets)),
    ("ticket", "explain", Right::see(Tickets)),
    ("ticket", "list", Right::see(Tickets)),
    ("ticket", "merge", Right::change(Tickets)),
    ("ticket", "open", Right::change(Tickets)),
    ("ticket", "pin", Right::change(Tickets)),
    ("ticket", "reopen", Right::change(Tickets)),
    ("ticket", "resolve", Right::change(Tickets)),
    ("ticket", "resume", Right::change(Tickets)),
    ("ticket", "show", Right::see(Tickets)),
    ("ticket", "unacknowledge", Right::change(Tickets)),
    ("ticket", "unpin", Right::change(Tickets)),
    ("ticket", "wait", Right::change(Tickets)),
    ("token", "add", Right::change(Users)),
    ("token", "list", Right::see(Users)),
    ("token", "revoke", Right::change(Users)),
    ("user", "add", Right::change(Users)),
    ("user", "disable", Right::change(Users)),
    ("user", "enable", Right::change(Users)),
    ("user", "link", Right::change(Users)),
    ("user", "list", Right::see(Users)),
    ("user", "role", Right::change(Users)),
    ("user", "sign-out", Right::change(Users)),
];

/// Those whose work is done outside of the database: it cannot be kept from being done twice.
pub const OUTSIDE: &[(&str, &str)] = &[("notify", "test")];

/// Nouns and verbs that are for the machine itself.
#[cfg(test)]
const AT_HOME: &[&str] = &["serve", "agent", "export", "completions"];

/// The verbs over a server's store.
pub struct Commands {
    app: App,
    /// Described when somebody asks first: a server whose page nobody opens does without.
    all: OnceLock<Vec<Verb>>,
}

impl Commands {
    /// All that can be called.
    pub fn new(app: App) -> Commands {
        Commands { app: app.for_people(), all: OnceLock::new() }
    }
}

impl Verbs for Commands {
    fn all(&self) -> &[Verb] {
        self.all.get_or_init(describe::all)
    }

    fn run(&self, call: Call) -> Result<Answer, Refused> {
        let Some(verb) = self.named(&call.noun, &call.verb) else {
            let what = format!("{} {}", call.noun, call.verb);
            return Err(Refused::new(Why::NotFound, format!("there is no '{}'", what.trim())));
        };
        if !may(&call.who, verb.right) {
            let Right { act, subject } = verb.right;
            let message = format!("as {} you may not {act} {subject}: ask an administrator", call.who.role);
            return Err(Refused::new(Why::NotAllowed, message));
        }
        let data = self.app.store.path().parent().map(std::path::Path::to_owned);
        let data = data.or_else(|| default_folder().ok()).unwrap_or_default();
        let by = Actor::Person(call.who.name.clone());
        call::run(self.app.clone(), data, by, verb, call)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Cli;

    #[test]
    fn every_command_can_be_called_or_is_for_the_machine_itself() {
        let mut missing = Vec::new();
        for noun in Cli::command().get_subcommands() {
            let name = noun.get_name();
            if AT_HOME.contains(&name) {
                continue;
            }
            let mut verbs: Vec<&str> = noun.get_subcommands().map(clap::Command::get_name).collect();
            if verbs.is_empty() {
                verbs.push("");
            }
            for verb in verbs {
                if !CALLABLE.iter().any(|(a, b, _)| (*a, *b) == (name, verb)) {
                    missing.push(format!("{name} {verb}"));
                }
            }
        }
        assert!(missing.is_empty(), "neither callable nor at home: {missing:?}");
        let described = describe::all();
        for verb in &described {
            let names: std::collections::BTreeSet<_> = verb.params.iter().map(|param| &param.name).collect();
            assert_eq!(names.len(), verb.params.len(), "{} {}: each name once", verb.noun, verb.verb);
            let reads = |name: &str| name.ends_with("_file") || name.ends_with("_env") || name == "program";
            assert!(!names.iter().any(|name| reads(name)), "{} {}: {names:?}", verb.noun, verb.verb);
        }
        for (noun, verb, _) in CALLABLE {
            let begins = |one: &Verb| one.verb == *verb || one.verb.starts_with(&format!("{verb} "));
            assert!(
                described.iter().any(|one| one.noun == *noun && begins(one)),
                "{noun} {verb} is no command"
            );
        }
    }
}
