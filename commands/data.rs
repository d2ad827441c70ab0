//! Where the data is, who asks, and how a command comes to the store.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use lineman::app::App;
use lineman::domain::name;
use lineman::store::events::Actor;
use lineman::store::{Mode, Store, Tx, WriteTx};
use schedules::Clock;

use crate::failure::Failure;
use crate::output::{Output, Printer};

/// The name of the database in the data folder.
const DATABASE: &str = "lineman.db";

/// What every command is given.
pub struct Context<'a> {
    /// The data folder.
    pub data: PathBuf,
    /// What time it is.
    pub clock: Clock,
    /// Prints.
    pub printer: Printer,
    /// Whether a person said yes beforehand.
    pub yes: bool,
    /// The server that was named.
    pub server: Option<String>,
    /// How it comes to the store.
    pub reach: Reach<'a>,
}

/// How a command comes to the store.
pub enum Reach<'a> {
    /// By the folder of the data, for whoever is at the command line.
    Folder,
    /// Inside the server, for a user.
    Server(Box<Inside>),
    /// Inside somebody's transaction: it can only ask.
    Within(&'a Tx<'a>),
}

/// What a command inside the server is given.
pub struct Inside {
    /// The server's store, clock and settings.
    pub app: App,
    /// Who stands in the log.
    pub by: Actor,
    /// What is looked at before a change, inside its transaction; and what is kept of its answer.
    pub around: Option<Box<dyn Around>>,
}

/// What stands around a change.
pub trait Around: Send {
    /// Before it: an error stops it, an answer stands for it.
    fn before(&self, tx: &Tx) -> Result<Option<String>, Failure>;
    /// The same once more.
    fn twin(&self) -> Box<dyn Around>;
    /// After it.
    fn after(&self, tx: &WriteTx, output: &Output) -> Result<(), Failure>;
}

impl Context<'_> {
    /// The store, the clock and the settings.
    pub fn app(&self, mode: Mode) -> Result<App, Failure> {
        match &self.reach {
            Reach::Folder => open(&self.data, self.clock.clone(), mode),
            Reach::Server(inside) => Ok(inside.app.clone()),
            Reach::Within(_) => Err(Failure::failed("this cannot be asked inside a change")),
        }
    }

    /// Asks the store.
    pub fn ask<T>(&self, f: impl FnOnce(&Tx) -> Result<T, Failure>) -> Result<T, Failure> {
        match &self.reach {
            Reach::Within(tx) => f(tx),
            Reach::Folder | Reach::Server(_) => self.app(Mode::Existing)?.store.read(f),
        }
    }

    /// Changes something, and answers. Where the answer cannot be given as it was asked for, nothing is changed.
    pub fn change<F>(&self, f: F) -> Result<Output, Failure>
    where
        F: FnOnce(&WriteTx, &Actor) -> Result<Output, Failure> + Send + 'static,
    {
        let fields = self.printer.fields();
        let by = match &self.reach {
            Reach::Folder | Reach::Within(_) => person(),
            Reach::Server(inside) => inside.by.clone(),
        };
        let around = match &self.reach {
            Reach::Server(inside) => inside.around.as_ref().map(|around| around.twin()),
            Reach::Folder | Reach::Within(_) => None,
        };
        self.app(Mode::Create)?.store.write(move |tx| {
            if let Some(around) = &around
                && let Some(before) = around.before(tx)?
            {
                return Ok(Output::Again(before));
            }
            let output = f(tx, &by)?;
            fields.check(&output)?;
            if let Some(around) = &around {
                around.after(tx, &output)?;
            }
            Ok(output)
        })
    }

    /// Asks a person whether to do what the store tells of, where there is one to ask.
    pub fn confirm_of(&self, what: impl FnOnce(&Tx) -> Result<String, Failure>) -> Result<(), Failure> {
        if self.yes { Ok(()) } else { self.confirm(&self.ask(what)?) }
    }

    /// Asks a person whether to do it, where there is one to ask.
    pub fn confirm(&self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Failure::usage(format!("{what} asks first, and there is no terminal to ask on"))
                .hint("say --yes"));
        }
        eprint!("{what}? [y/N] ");
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.map_err(|e| Failure::failed(format!("read the answer: {e}")))?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::refused("not done: the answer was not yes")),
        }
    }
}

/// The store of a data folder, the clock and the settings.
pub fn open(data: &Path, clock: Clock, mode: Mode) -> Result<App, Failure> {
    let store = Store::open(&data.join(DATABASE), clock.clone(), mode)?;
    Ok(App::new(store, clock)?)
}

/// The data folder where none is named: the machine's for root, the user's own for everybody else.
pub fn default_folder() -> Result<PathBuf, Failure> {
    if user_id() == 0 {
        return Ok(PathBuf::from("/var/lib/lineman"));
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let share = set("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let share = share.or_else(|| set("HOME").map(|home| home.join(".local/share")));
    share.map(|share| share.join("lineman")).ok_or_else(|| {
        Failure::usage("there is no folder for the data: neither XDG_DATA_HOME nor HOME is set")
            .hint("name one with --data DIR, or in LINEMAN_DATA")
    })
}

/// The person at the command line, by login name.
pub fn person() -> Actor {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|variable| std::env::var(variable).ok());
    let known = named.filter_map(|login| name::check(&login).ok().map(str::to_owned)).next();
    Actor::Person(known.or_else(login_name).unwrap_or_else(|| format!("uid-{}", user_id())))
}

/// The login name of this user, as the machine's list of users has it.
fn login_name() -> Option<String> {
    let id = user_id().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let login = fields.next()?;
        (fields.nth(1)? == id).then(|| login.to_owned())
    })
}

#[expect(unsafe_code, reason = "the standard library does not tell who runs the program")]
fn user_id() -> u32 {
    // SAFETY: it takes nothing, changes nothing, and cannot fail.
    unsafe { libc::geteuid() }
}
