//! `lineman serve --demo`: a small provider on this machine's loopback, to which a story happens again and again.

mod agents;
mod cast;
mod chorus;
mod listeners;
mod player;
mod story;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::agent::probe::Prober;
use ::agent::report::{Outcome, Probe};
use lineman::app::App;
use lineman::server::{self, Options};
use lineman::store::events::Actor;
use lineman::store::maintenance::{self, Subject, When};
use lineman::store::{Mode, devices};
use schedules::{Millis, Time};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::data::{self, Context};
use crate::failure::{Code, Failure};
use crate::output::{Output, put};
use crate::serve;
use crate::verbs::Commands;
use agents::Agents;
use cast::{Device, Tokens};
use chorus::Chorus;
use listeners::{Listeners, Manner};
use player::{Player, stamp};
use story::{Act, ROUND, STORY};

/// How often it is looked what lineman makes of it.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a planned maintenance lasts.
const MAINTENANCE: Millis = Millis::from_secs(60);
/// How long what is still under way is waited for at the end.
const END_WAIT: Duration = Duration::from_secs(2);

/// Plays until it is stopped. Nothing is left of it then.
pub fn run(context: &Context, listen: SocketAddr) -> Result<Output, Failure> {
    if !listen.ip().is_loopback() {
        return Err(Failure::usage("the demonstration stays on this machine")
            .hint("leave --listen out, or name a loopback address, as in 127.0.0.1:8081"));
    }
    let folder = tempfile::Builder::new().prefix("lineman-demo-").tempdir();
    let folder = folder.map_err(|e| Failure::failed(format!("make a temporary folder: {e}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::failed(format!("start the demonstration: {e}")))?;
    let played = runtime.block_on(play(context, listen, folder.path()));
    runtime.shutdown_timeout(END_WAIT);
    let path = folder.path().to_owned();
    let removed = folder.close();
    played?;
    removed.map_err(|e| Failure::failed(format!("remove {}: {e}", path.display())))?;
    say("the demonstration is over, and its folder is gone\n")?;
    Ok(Output::Nothing)
}

/// Sets the stage, opens the server, and lets the story run beside it.
async fn play(context: &Context<'_>, listen: SocketAddr, folder: &Path) -> Result<(), Failure> {
    let heard = |kind| signal(kind).map_err(|e| Failure::failed(format!("listen for signals: {e}")));
    let (mut terminate, mut interrupt) = (heard(SignalKind::terminate())?, heard(SignalKind::interrupt())?);
    // A terminal that is closed must not leave the folder behind.
    let mut hang_up = heard(SignalKind::hangup())?;
    let app = data::open(folder, context.clock.clone(), Mode::Create)?;
    let listeners = Listeners::open().await.map_err(|e| Failure::failed(e.to_string()))?;
    let (ports, pings) = (listeners.ports(), can_ping().await);
    let tokens = app.store.submit(move |tx| cast::write(tx, &ports, pings, &by())).await?;
    app.refresh()?;
    let options = Options { listen, behind_proxy: false, tls: None, dns: None, data: folder.to_owned() };
    let verbs = Arc::new(Commands::new(app.clone()));
    let server = server::bind(app.clone(), &options, verbs)
        .await
        .map_err(|e| Failure::from(e).hint("where the port is taken, name another: --listen 127.0.0.1:0"))?;
    let page = serve::page(&app)?;
    let (stop, stopped) = watch::channel(false);
    let stops = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
        stops.send_replace(true);
    });
    say(&(welcome(server.url(), folder) + &page))?;
    let url = server.url().to_owned();
    let stage = Stage { app, listeners, folder: folder.join("agents") };
    let over = stopped.clone();
    let story = tokio::spawn(async move {
        let told = stage.tell(&url, tokens, over).await;
        // Without its story it is none.
        stop.send_replace(true);
        told
    });
    let served = server.run(stopped).await;
    let told = story.await.map_err(|e| Failure::failed(format!("the story: {e}")))?;
    served?;
    told
}

/// Whoever acts here by hand.
fn by() -> Actor {
    Actor::Person("demo".to_owned())
}

/// What a person is told at the beginning.
fn welcome(url: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "listening on {url}
data in {folder}

This is a demonstration: a small provider with 4 sites and 25 devices, all made up, all of them listeners on this
machine's loopback (127.77.0.0/16). Nothing else is touched, and nothing is kept: the folder goes when you stop it
with Ctrl-C. A story of six minutes begins now, and begins anew when it is over. Look on from another terminal:

  export LINEMAN_DATA={folder}
  lineman ticket list
  lineman ticket explain 1
  lineman device list 'state:down,unreachable,degraded'
  lineman outage list
  lineman event list --follow

"
    )
}

/// Says something. That nobody reads it is no reason to stop.
fn say(text: &str) -> Result<(), Failure> {
    match put(text) {
        Err(failure) if failure.code == Code::NobodyReads => Ok(()),
        other => other,
    }
}

/// Whether this machine may ping: not everybody may everywhere.
async fn can_ping() -> bool {
    let target = Ipv4Addr::LOCALHOST.to_string();
    let probe = Probe::Icmp { target, packets: 1, warn_loss_permille: None, warn_rtt: None };
    Prober::new().run(&probe, Millis(200)).await.outcome == Outcome::Ok
}

/// Where the story happens.
struct Stage {
    app: App,
    listeners: Listeners,
    folder: PathBuf,
}

impl Stage {
    /// Lets the agents join, and tells the story until `stopped`.
    async fn tell(
        self,
        url: &str,
        tokens: Tokens,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        let Stage { app, mut listeners, folder } = self;
        let clock = app.clock.clone();
        let mut agents = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
            started = Agents::start(folder, clock.clone(), url, tokens) => started?,
        };
        let mut chorus = Chorus::new(app.clone())?;
        let mut player = Player::new(STORY, ROUND, clock.now());
        say(&format!("{}  all is well\n", stamp(Millis::ZERO)))?;
        let told = loop {
            let now = clock.now();
            while let Some(cue) = player.poll(now) {
                say(&format!("{}  {}\n", stamp(cue.at), cue.line.text))?;
                act(cue.line.act, &app, &mut listeners, &mut agents, now).await?;
            }
            for news in chorus.news(clock.now())? {
                say(&format!("{}      lineman: {news}\n", stamp(player.elapsed(clock.now()))))?;
            }
            let sleep = clock.nap(player.poll_timeout()).min(LOOK_EVERY);
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break Ok(()),
                () = tokio::time::sleep(sleep) => {}
            }
        };
        agents.close().await;
        listeners.close().await;
        told
    }
}

/// One device alone, without what hangs on it.
fn itself(device: &str) -> Vec<&'static Device> {
    cast::find(device).into_iter().collect()
}

/// Does what a line of the story says.
async fn act(
    act: Act,
    app: &App,
    listeners: &mut Listeners,
    agents: &mut Agents,
    now: Time,
) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::failed(e.to_string());
    match act {
        Act::Dies(device) => {
            let gone = cast::with_all_behind(device);
            listeners.switch_off(&gone).await;
            agents.cut(&gone);
            agents.switch_off(&itself(device)).await;
        }
        Act::Returns(device) => {
            let back = cast::with_all_behind(device);
            listeners.switch_on(&back).await.map_err(failed)?;
            agents.mend(&back);
            agents.switch_on(&itself(device))?;
        }
        Act::Noisy(device) => listeners.set_manner(device, Manner::Noisy),
        Act::Quiet(device) => listeners.set_manner(device, Manner::Clean),
        Act::PowerFails(site) => {
            let dark = cast::at_site(site);
            listeners.switch_off(&dark).await;
            agents.switch_off(&dark).await;
        }
        Act::PowerReturns(site) => {
            let back = cast::at_site(site);
            listeners.switch_on(&back).await.map_err(failed)?;
            agents.switch_on(&back)?;
        }
        Act::Moves(device) => {
            if let Some(address) = listeners.shift(device).await.map_err(failed)? {
                agents.set_address(device, address);
            }
        }
        Act::Maintenance(device) => {
            let add = app.store.submit(move |tx| {
                let found = devices::get(tx, device)?;
                let new = maintenance::New {
                    subject: Subject::Device(found.id, found.name),
                    when: When::Once(now, now + MAINTENANCE),
                    time_zone: "Europe/London".to_owned(),
                    note: "a new disk".to_owned(),
                };
                maintenance::add(tx, &new, &by()).map(drop).map_err(Failure::from)
            });
            add.await?;
        }
    }
    Ok(())
}
