//! The log goes to standard error: what matters for what runs long, warnings for everything else.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::failure::Failure;

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// Begins to log. `filter`: what a person asked for; else what `RUST_LOG` says, else `usual`.
pub fn start(filter: Option<&str>, usual: &str, format: LogFormat, colour: bool) -> Result<(), Failure> {
    let variable = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    let wanted = filter.or(variable.as_deref()).unwrap_or(usual);
    let filter: Targets = wanted.parse().map_err(|e| {
        Failure::usage(format!("the log filter '{wanted}' is none: {e}"))
            .hint("write a level (error, warn, info, debug, trace), or target=level with commas between them")
    })?;
    let log = fmt::layer().with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => {
            let colour = colour && std::io::stderr().is_terminal();
            let log = log.with_ansi(colour).with_target(false).with_filter(filter);
            tracing_subscriber::registry().with(log).try_init()
        }
        LogFormat::Json => {
            tracing_subscriber::registry().with(log.json().flatten_event(true).with_filter(filter)).try_init()
        }
    };
    started.map_err(|e| Failure::failed(format!("start the log: {e}")))
}
