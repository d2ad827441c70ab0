//! The binary: `lineman NOUN VERB`. One file a noun; the only room that prints or exits.

mod address;
mod agent;
mod check;
mod completions;
mod data;
mod demo;
mod device;
mod diagnose;
mod dns;
mod doctor;
mod event;
mod export;
mod failure;
mod grid;
mod history;
mod join;
mod jq;
mod list;
mod log;
mod maintenance;
mod measure;
mod notify;
mod notify_channel;
mod outage;
mod output;
mod probe;
mod remote;
mod report;
mod schedule;
mod serve;
mod setting;
mod site;
mod ticket;
mod token;
mod user;
mod verbs;
mod words;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use schedules::Clock;

use crate::data::{Context, Reach};
use crate::failure::Failure;
use crate::log::LogFormat;
use crate::output::{Output, OutputOptions, Printer};

/// Watches a network's devices, notices what goes down, opens the ticket, and stands down when it is over
#[derive(Parser)]
#[command(name = "lineman", version, propagate_version = false, disable_help_subcommand = true)]
#[command(
    after_help = "Example:\n  lineman serve\n  lineman device add gateway --address 192.0.2.1\n  lineman check add gateway icmp\n  lineman device list state:down"
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    noun: Noun,
}

/// What every command takes.
#[derive(clap::Args)]
struct Global {
    /// The folder with the data [default: LINEMAN_DATA, /var/lib/lineman for root, ~/.local/share/lineman otherwise]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    data: Option<PathBuf>,
    /// Yes to every question
    #[arg(long, global = true, help_heading = "Everywhere")]
    yes: bool,
    /// A server elsewhere: the command is done there, over its API (also LINEMAN_SERVER)
    #[arg(long = "server", id = "server", global = true, value_name = "URL", help_heading = "Server")]
    server: Option<String>,
    /// The token to show there; @FILE reads it from a file (also LINEMAN_TOKEN)
    #[arg(long = "token", id = "api_token", global = true, value_name = "TOKEN", help_heading = "Server")]
    token: Option<String>,
    /// The SHA-256 of its key, which `lineman token add` prints there, for a certificate that nobody vouches for (also
    /// LINEMAN_SERVER_KEY)
    #[arg(
        long = "server-key",
        id = "server_key",
        global = true,
        value_name = "HASH",
        help_heading = "Server"
    )]
    server_key: Option<String>,
    #[command(flatten)]
    output: OutputOptions,
    /// What to log, on standard error: a level, or target=level,… (also RUST_LOG)
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Log")]
    log: Option<String>,
    /// How to write the log
    #[arg(long, global = true, value_enum, value_name = "FORM", default_value_t, help_heading = "Log")]
    log_format: LogFormat,
}

#[derive(Subcommand)]
enum Noun {
    Serve(serve::ServeOptions),
    #[command(subcommand)]
    Agent(agent::AgentVerb),
    #[command(subcommand)]
    Site(site::SiteVerb),
    #[command(subcommand)]
    Device(device::DeviceVerb),
    #[command(subcommand)]
    Check(check::CheckVerb),
    #[command(subcommand)]
    Ticket(ticket::TicketVerb),
    #[command(subcommand)]
    Outage(outage::OutageVerb),
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceVerb),
    #[command(subcommand)]
    Event(event::EventVerb),
    #[command(subcommand)]
    Report(report::ReportVerb),
    #[command(subcommand)]
    Notify(notify::NotifyVerb),
    #[command(subcommand)]
    Setting(setting::SettingVerb),
    #[command(subcommand)]
    Schedule(schedule::ScheduleVerb),
    #[command(subcommand)]
    User(user::UserVerb),
    #[command(subcommand)]
    Token(token::TokenVerb),
    #[command(subcommand)]
    Dns(dns::DnsVerb),
    Doctor(doctor::DoctorOptions),
    Export(export::ExportOptions),
    Completions(completions::CompletionsOptions),
}

impl Noun {
    /// What is logged where nobody says: what runs long tells what matters.
    fn usual_log(&self) -> &'static str {
        match self {
            Noun::Serve(options) if options.demo => "warn",
            Noun::Serve(_) | Noun::Agent(agent::AgentVerb::Run) => "info,tokio_cron_scheduler=warn",
            _ => "warn",
        }
    }

    /// Whether it is about this machine, whatever server is named.
    fn is_at_home(&self) -> bool {
        matches!(self, Noun::Serve(_) | Noun::Agent(_) | Noun::Completions(_))
    }

    fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            Noun::Serve(options) => options.run(context),
            Noun::Agent(verb) => verb.run(context),
            Noun::Site(verb) => verb.run(context),
            Noun::Device(verb) => verb.run(context),
            Noun::Check(verb) => verb.run(context),
            Noun::Ticket(verb) => verb.run(context),
            Noun::Outage(verb) => verb.run(context),
            Noun::Maintenance(verb) => verb.run(context),
            Noun::Event(verb) => verb.run(context),
            Noun::Report(verb) => verb.run(context),
            Noun::Notify(verb) => verb.run(context),
            Noun::Setting(verb) => verb.run(context),
            Noun::Schedule(verb) => verb.run(context),
            Noun::User(verb) => verb.run(context),
            Noun::Token(verb) => verb.run(context),
            Noun::Dns(verb) => verb.run(context),
            Noun::Doctor(options) => options.run(context),
            Noun::Export(options) => options.run(context),
            Noun::Completions(options) => options.run(),
        }
    }
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        let payload = panic.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        say(&format!("error: internal: {}{place}\n", text.unwrap_or("it panicked").replace('\n', " ")));
    }));
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            say(&failure.lines());
            ExitCode::from(failure.code as u8)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn run() -> Result<(), Failure> {
    let args: Vec<OsString> = list::keep_negations(std::env::args_os());
    let again = args.clone();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return Err(Failure::from(&error)),
        // Help, or the version.
        Err(error) => error.exit(),
    };
    let Global { data, yes, server, token, server_key, output, log, log_format } = cli.global;
    log::start(log.as_deref(), cli.noun.usual_log(), log_format, output.colour(true))?;
    // A file with the time, for tests.
    let clock = Clock::from_file(variable("LINEMAN_CLOCK").as_deref()).map_err(Failure::usage)?;
    if data.is_some() && matches!(&cli.noun, Noun::Serve(options) if options.demo) {
        return Err(Failure::usage(
            "the argument '--demo' cannot be used with '--data': its folder is a temporary one",
        ));
    }
    let data = match data.or_else(|| variable("LINEMAN_DATA")).filter(|path| !path.as_os_str().is_empty()) {
        Some(data) => data,
        None => data::default_folder()?,
    };
    // Whoever reads of it, a unit for instance, may stand elsewhere.
    let data = std::path::absolute(&data).unwrap_or(data);
    let printer = Printer::new(&output, clock.clone())?;
    let server = server.or_else(|| word("LINEMAN_SERVER"));
    if let Some(server) = server.as_ref().filter(|_| !cli.noun.is_at_home()) {
        let token = token.or_else(|| word("LINEMAN_TOKEN"));
        let key = server_key.or_else(|| word("LINEMAN_SERVER_KEY"));
        let server = remote::Server::at(server, token, key.as_deref())?;
        let answer = match cli.noun {
            Noun::Export(options) => options.run_at(&server, &printer)?,
            Noun::Event(event::EventVerb::List(options)) if options.follow => {
                options.follow_at(&server, &printer)?
            }
            _ => server.run(again)?,
        };
        return printer.print(answer);
    }
    let context = Context { data, clock, printer, yes, server, reach: Reach::Folder };
    let output = cli.noun.run(&context)?;
    context.printer.print(output)
}

/// Says something on standard error; where that cannot be written to, there is nobody left to tell.
fn say(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// A word in the environment.
fn word(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A path in the environment.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_has_a_flag_that_every_command_has() {
        fn look(command: &clap::Command, theirs: &[(String, Option<String>)], taken: &mut Vec<String>) {
            for arg in command.get_subcommands().flat_map(clap::Command::get_arguments) {
                let (id, long) = (arg.get_id().as_str(), arg.get_long());
                if theirs.iter().any(|(its, name)| its == id || (long.is_some() && name.as_deref() == long)) {
                    taken.push(format!("{} {id}", command.get_name()));
                }
            }
            command.get_subcommands().for_each(|inner| look(inner, theirs, taken));
        }
        let root = Cli::command();
        let theirs: Vec<_> = root
            .get_arguments()
            .map(|arg| (arg.get_id().to_string(), arg.get_long().map(ToOwned::to_owned)))
            .collect();
        let mut taken = Vec::new();
        look(&root, &theirs, &mut taken);
        assert!(taken.is_empty(), "what is said to one is taken for the other: {taken:?}");
    }

    #[test]
    fn every_verb_ends_its_help_with_an_example() {
        fn look(command: &clap::Command, path: &str, missing: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            for inner in command.get_subcommands() {
                look(inner, &path, missing);
            }
            let example =
                command.get_after_help().is_some_and(|text| text.to_string().starts_with("Example:\n"));
            if !example && command.get_subcommands().next().is_none() {
                missing.push(path);
            }
        }
        let mut missing = Vec::new();
        look(&Cli::command(), "", &mut missing);
        assert!(missing.is_empty(), "{missing:?}");
    }
}
