//! `lineman agent`: what runs at a device and reports to a server.

use ::agent::home::{HomeError, has_set_aside};
use ::agent::{Device, JoinError, Status};
use clap::{Args, Subcommand};
use exports::{Column, Table, Value};
use schedules::Time;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::data::Context;
use crate::diagnose;
use crate::failure::{Code, Failure};
use crate::output::{Output, put};

/// What runs at a device and reports to a server
#[derive(Subcommand)]
pub enum AgentVerb {
    /// Join a server with the token that `lineman device add NAME --join` printed there
    #[command(after_help = "Example:\n  lineman agent join https://lineman.example.net:8080 lmj_…")]
    Join(JoinOptions),
    /// Report to the server, and make the checks it asks for, until stopped
    #[command(after_help = "Example:\n  lineman agent run")]
    Run,
    /// Show how the agent stands, whether it runs or not
    #[command(after_help = "Example:\n  lineman agent status\n  lineman agent status --jq .state")]
    Status,
    /// Look where the fault is, step by step from this machine to the server, here and now
    ///
    /// Useful without any server as well. Asks this machine's own network, the server, and what is named here. Ends with 1
    /// where something does not hold.
    #[command(
        after_help = "Example:\n  lineman agent diagnose\n  lineman agent diagnose --server https://lineman.example.net:8443 --anchor 192.0.2.1"
    )]
    Diagnose(diagnose::DiagnoseOptions),
    /// Leave the server, and forget what was to be told it
    #[command(after_help = "Example:\n  lineman agent leave --yes")]
    Leave,
    /// Print a systemd unit that runs the agent
    #[command(after_help = "Example:\n  lineman agent unit > /etc/systemd/system/lineman-agent.service")]
    Unit,
}

/// Which server, and the proof that the device may join it.
#[derive(Args)]
pub struct JoinOptions {
    /// The server: https://HOST:PORT, or http://… on this machine
    url: String,
    /// The token; it opens the door once
    token: String,
}

impl AgentVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        let dir = &context.data;
        match self {
            AgentVerb::Join(JoinOptions { url, token }) => {
                let joined = ::agent::join(dir, &url, &token)?;
                let said = format!("joined as device '{}': now run `lineman agent run`\n", joined.name);
                Ok(Output::Said(record(&Status::read(dir)?), said))
            }
            AgentVerb::Run => run(context),
            AgentVerb::Diagnose(options) => options.run(context),
            AgentVerb::Status => Ok(Output::Record(record(&Status::read(dir)?))),
            AgentVerb::Leave => {
                let status = match Status::read(dir) {
                    // What cannot be read, or was set aside, can be forgotten all the same.
                    Err(HomeError::Damaged { .. }) => Status::default(),
                    Err(HomeError::NotJoined { .. }) if has_set_aside(dir) => Status::default(),
                    status => status?,
                };
                if status.server.is_empty() {
                    context.confirm("forget a server whose name cannot be read any more")?;
                } else {
                    let Status { server, backlog, .. } = &status;
                    context
                        .confirm(&format!("leave {server}, and forget {backlog} records it has not got"))?;
                }
                let said = match ::agent::leave(dir)? {
                    Some((server, device)) => format!("left {server}, where it was device '{device}'\n"),
                    None => "forgot the server; which one it was could not be read any more\n".to_owned(),
                };
                Ok(Output::Said(record(&status), said))
            }
            AgentVerb::Unit => {
                let binary = std::env::current_exe();
                let binary = binary.map_err(|e| Failure::failed(format!("find this program: {e}")))?;
                Ok(Output::Text(::agent::unit(&binary, dir)))
            }
        }
    }
}

fn run(context: &Context) -> Result<Output, Failure> {
    // Not the status: of a damaged database there is none, and this sets it aside.
    let device = Device::open(&context.data)?;
    let reporting = async {
        let heard = |kind| signal(kind).map_err(|e| Failure::failed(format!("listen for signals: {e}")));
        let (mut terminate, mut interrupt) =
            (heard(SignalKind::terminate())?, heard(SignalKind::interrupt())?);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.send_replace(true);
        });
        let identity = device.identity();
        match put(&format!("reporting to {} as device '{}'\n", identity.server, identity.name)) {
            // That nobody reads it is no reason to stop.
            Err(failure) if failure.code == Code::NobodyReads => {}
            other => other?,
        }
        device.run(context.clock.clone(), stopped).await?;
        Ok(Output::Nothing)
    };
    ::agent::alone(reporting).map_err(|e| Failure::failed(format!("start the agent: {e}")))?
}

fn record(status: &Status) -> Table {
    let columns = vec![
        Column::state("state", "STATE"),
        Column::text("server", "SERVER"),
        Column::text("device", "DEVICE"),
        Column::int("failed_tries", "FAILED TRIES"),
        Column::int("backlog", "BACKLOG"),
        Column::time("last_check_in_at", "LAST CHECK-IN"),
        Column::time("cut_off_since", "CUT OFF SINCE"),
        Column::time("next_check_in_at", "NEXT CHECK-IN"),
        Column::text("error", "SAYS"),
        Column::int("checks", "CHECKS"),
        Column::time("started_at", "STARTED"),
        Column::text("version", "VERSION"),
        Column::int("pid", "PROCESS"),
    ];
    let time = |at: Option<Time>| at.map_or(Value::Null, |at| Value::Time(at.0));
    let mut table = Table::new("agents", columns);
    table.push(vec![
        status.state.as_str().into(),
        status.server.as_str().into(),
        status.device.as_str().into(),
        status.failed_tries.into(),
        status.backlog.into(),
        time(status.last_check_in_at),
        time(status.cut_off_since),
        time(status.next_check_in_at),
        status.error.as_deref().into(),
        status.checks.into(),
        time(status.started_at),
        status.version.as_str().into(),
        status.pid.into(),
    ]);
    table
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Failure {
        let code = match &error {
            HomeError::NotJoined { .. } => Code::NotFound,
            HomeError::InUse { .. } => Code::Conflict,
            HomeError::Io { .. } | HomeError::Damaged { .. } | HomeError::Spool(_) => Code::Failed,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Failure {
        let code = match &error {
            JoinError::Token(_) | JoinError::Url(_) => Code::Usage,
            JoinError::AlreadyJoined { .. } => Code::Conflict,
            JoinError::Refused { .. } => Code::NotAllowed,
            JoinError::Home(HomeError::InUse { .. }) => Code::Conflict,
            JoinError::Home(_) | JoinError::Spool(_) | JoinError::Failed(_) => Code::Failed,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<::agent::run::Error> for Failure {
    fn from(error: ::agent::run::Error) -> Failure {
        match error {
            ::agent::run::Error::Home(error) => error.into(),
            other => Failure::failed(other.to_string()),
        }
    }
}
