//! The proving ground: each fault of the verdict's table is caused in a network of namespaces, and lineman's verdict is
//! compared with the cause.
//!
//! `cargo test --test lab` causes each fault once; `LAB=full` three times, at other places, in other forms, over IPv4 and
//! IPv6, for other times. A word after `--` picks the causes that hold it; `LAB_WRITE=1` or `--write` writes the table to
//! `docs/verdicts.md`; `LAB_JOBS` says how many run at a time. It needs root on Linux, and some Debian packages that
//! `tests/run` installs; where they are missing it says so, and leaves everything out, which with `LINEMAN_ALL=1` is a failure.
//! At least 95 of 100 verdicts must be right, and none that is wrong may be sure of itself.

mod cases;
mod faults;
mod net;
mod table;
mod template;
mod trial;
mod world;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cases::{CAUSES, Case};
use template::Template;
use trial::Trial;
use world::Trust;

/// What may fail here, fails with a sentence.
pub type Res<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Somebody stopped the lab: nothing more is begun.
pub static STOPPED: AtomicBool = AtomicBool::new(false);

/// What must be there, and the Debian package it comes from.
const NEEDED: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("ss", "iproute2"),
    ("nft", "nftables"),
    ("sysctl", "procps"),
    ("ping", "iputils-ping"),
    ("dnsmasq", "dnsmasq-base"),
    ("busybox", "busybox"),
    ("dig", "bind9-dnsutils"),
    ("curl", "curl"),
    ("setpriv", "util-linux"),
    ("cc", "gcc"),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    if let Some(why) = left_out() {
        println!("lab: left out: {why}");
        // Where all is to be held, nothing is left out.
        let is_wanted = std::env::var_os("LINEMAN_ALL").is_some_and(|all| all == "1");
        return if is_wanted { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let words: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    let is_full = std::env::var("LAB").is_ok_and(|how| how == "full");
    let mut wanted = cases::cases(if is_full { 3 } else { 1 });
    wanted.retain(|case| words.is_empty() || words.iter().any(|word| CAUSES[case.cause].name.contains(word)));
    if wanted.is_empty() {
        println!("lab: no cause is called {}", words.join(" or "));
        return ExitCode::SUCCESS;
    }
    let me = format!("lab{}x", std::process::id());
    net::sweep(&is_left_over);
    sweep_when_stopped(me.clone());
    let ended = run(&me, wanted, is_full);
    net::sweep(&|name| name.starts_with(&me));
    match ended {
        Ok(trials) => {
            let text = table::whole(&trials);
            println!("{text}");
            if std::env::var_os("LAB_WRITE").is_some() || args.iter().any(|arg| arg == "--write") {
                let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verdicts.md");
                let written = std::fs::create_dir_all(file.parent().unwrap_or(Path::new("docs")))
                    .and_then(|()| std::fs::write(&file, table::paper(&trials)));
                if let Err(e) = written {
                    println!("lab: write {}: {e}", file.display());
                    return ExitCode::FAILURE;
                }
            }
            if table::holds(&trials) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(e) => {
            println!("lab: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Why nothing can be proved on this machine, if so.
fn left_out() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("it needs Linux".into());
    }
    let is_there = |program: &str| {
        Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status()
    };
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(program, _)| !is_there(program).is_ok_and(|status| status.success()))
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        return Some(format!("it needs {}", missing.join(", ")));
    }
    let name = format!("lab{}x-try", std::process::id());
    let made = Command::new("ip").args(["netns", "add", &name]).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        return Some("it makes network namespaces, as root".into());
    }
    net::sweep(&|found| found == name);
    None
}

/// Whether a namespace is of a lab whose process is gone.
fn is_left_over(name: &str) -> bool {
    let Some((pid, _)) = name.strip_prefix("lab").and_then(|rest| rest.split_once('x')) else { return false };
    pid.parse::<u32>().is_ok_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// When a person stops the lab, it leaves nothing behind.
fn sweep_when_stopped(me: String) {
    thread::spawn(move || {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let (Ok(mut terminate), Ok(mut interrupt)) =
                (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
            else {
                return;
            };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            STOPPED.store(true, Ordering::SeqCst);
            // What a case was just making is there by the second time.
            for _ in 0..2 {
                net::sweep(&|name| name.starts_with(&me));
                thread::sleep(Duration::from_secs(1));
            }
            std::process::exit(130);
        });
    });
}

/// Runs all cases, some at a time, in their order.
fn run(me: &str, wanted: Vec<Case>, is_full: bool) -> Res<Vec<Trial>> {
    let dir = tempfile::Builder::new().prefix("lab").tempdir()?;
    let kept = std::env::var_os("LAB_KEEP").map(|_| dir.path().to_owned());
    Template::prepare(&dir.path().join("shared"))?;
    let make = |trust: Trust, name: &str| -> Res<Option<Template>> {
        if !wanted.iter().any(|case| CAUSES[case.cause].trust == trust) {
            return Ok(None);
        }
        Template::make(&format!("{me}{name}"), &dir.path().join(name), trust).map(Some)
    };
    let pinned = make(Trust::Pinned, "pinned")?;
    let vouched = make(Trust::Vouched, "vouched")?;
    let jobs = std::env::var("LAB_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(8_usize);
    let total = wanted.len();
    let queue: Mutex<VecDeque<(usize, Case)>> = Mutex::new(wanted.into_iter().enumerate().collect());
    let done: Mutex<Vec<(usize, Trial)>> = Mutex::default();
    let attempt = |name: &str, case: &Case| {
        let template = match CAUSES[case.cause].trust {
            Trust::Pinned => pinned.as_ref(),
            Trust::Vouched => vouched.as_ref(),
        };
        let template = template.expect("made above");
        let (tag, home) = (format!("{me}{name}"), dir.path().join(format!("case-{name}")));
        let ran = catch_unwind(AssertUnwindSafe(|| Trial::run(&tag, &home, template, case)));
        ran.unwrap_or_else(|_| Trial::failed(case, "it panicked"))
    };
    println!("{}", table::HEAD);
    thread::scope(|scope| {
        for _ in 0..jobs.min(total) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("nobody panicked").pop_front();
                    let next = next.filter(|_| !STOPPED.load(Ordering::SeqCst));
                    let Some((number, case)) = next else { return };
                    let mut trial = attempt(&number.to_string(), &case);
                    if let Some(why) = trial.error.take() {
                        println!(
                            "     {} could not be run, and is begun anew: {why}",
                            CAUSES[case.cause].name
                        );
                        trial = attempt(&format!("{number}-anew"), &case);
                    }
                    println!("{}", table::row(&trial));
                    done.lock().expect("nobody panicked").push((number, trial));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panicked");
    done.sort_by_key(|(number, _)| *number);
    if !is_full {
        // Where this decides about a change, a busy machine must not: what is wrong is tried again, alone.
        for (number, trial) in done.iter_mut().filter(|(_, trial)| !trial.is_right()) {
            let (cause, case) = (trial.cause(), trial.case.clone());
            println!("     {} is tried again", cause.name);
            *trial = attempt(&format!("{number}-again"), &case);
            println!("{}", table::row(trial));
        }
    }
    if kept.is_some() {
        println!("lab: kept {}", dir.keep().display());
    }
    Ok(done.into_iter().map(|(_, trial)| trial).collect())
}
