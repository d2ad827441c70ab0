//! A program on this machine, which gets the message as JSON on its standard input.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command as Program};
use tokio::time::timeout;

use super::{Limits, Trouble, text};
use crate::domain::notify::Message;
use crate::domain::notify::channel::Command;

/// What is kept of what a program says, in bytes of each of its two outputs.
const MAX_OUTPUT: usize = 16 * 1024;
/// How long its last words may take when it is over; what it started in a session of its own may hold them back.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The exit code that says: try again (`EX_TEMPFAIL` of sysexits.h).
const TEMPFAIL: i32 = 75;

/// The processes of a program, all of which end with it: whatever it started and left is killed. Whoever wants to
/// outlive it says so with `setsid`.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody is left: that is what is wanted.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Runs it: what it said, where it ended well.
pub async fn send(command: &Command, message: &Message, limits: Limits) -> Result<String, Trouble> {
    let name = &command.program;
    let mut program = Program::new(name);
    program.args(&command.args).current_dir("/").process_group(0).kill_on_drop(true);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program.env("LINEMAN_KEY", variable(&message.key));
    program.env("LINEMAN_NEWS", message.news.as_str());
    program.env("LINEMAN_TITLE", variable(&message.title));
    program.env("LINEMAN_PRIORITY", message.priority.map_or("", |priority| priority.as_str()));
    let mut child = program.spawn().map_err(|e| Trouble::later(format!("start {name}")).said(e))?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Trouble::later(format!("start {name}: it has no process id")))?;
    let group = Group(pid);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut talk = pin!(talk(pipes, message, &mut out, &mut err));
        let mut over = false;
        let mut ended = pin!(timeout(limits.whole, end(pid)));
        let ended = loop {
            tokio::select! {
                () = &mut talk, if !over => over = true,
                ended = &mut ended => break ended,
            }
        };
        // Before it is waited for, so that its number is still its own.
        drop(group);
        if !over {
            drop(timeout(LAST_WORDS, talk).await);
        }
        ended
    };
    match ended {
        Ok(Ok(())) => {
            let status = child.wait().await.map_err(|e| Trouble::later(format!("run {name}")).said(e))?;
            judge(name, status, &out, &err)
        }
        Ok(Err(error)) => Err(Trouble::later(format!("run {name}")).said(error)),
        Err(_) => {
            let secs = limits.whole.as_secs_f32();
            Err(Trouble::later(format!("{name} did not end within {secs} s and was killed")).said(said(&err)))
        }
    }
}

/// Gives it the message, and hears what it says. What it started may hold its outputs open for ever, so this need not
/// end before it does.
async fn talk(
    (stdin, stdout, stderr): (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>),
    message: &Message,
    out: &mut Vec<u8>,
    err: &mut Vec<u8>,
) {
    let body = message.body.to_string();
    let give = async {
        if let Some(mut stdin) = stdin {
            // It need not read it.
            let _ = stdin.write_all(body.as_bytes()).await;
        }
    };
    tokio::join!(give, keep(stdout, out), keep(stderr, err));
}

/// Until it has ended; it is still there to be waited for.
async fn end(pid: Pid) -> io::Result<()> {
    let ended = tokio::task::spawn_blocking(move || {
        loop {
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other.map(drop),
            }
        }
    });
    Ok(ended.await.map_err(io::Error::other)??)
}

/// Reads to the end and keeps the beginning, so that nobody is held up by an output that nobody reads.
async fn keep(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut part).await {
        let room = MAX_OUTPUT.saturating_sub(to.len());
        to.extend_from_slice(&part[..count.min(room)]);
    }
}

fn judge(name: &str, status: ExitStatus, out: &[u8], err: &[u8]) -> Result<String, Trouble> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(said(out)),
        (Some(TEMPFAIL), _) => Err(Trouble::later(format!("{name} asks to be tried again")).said(said(err))),
        (Some(code), _) => Err(Trouble::later(format!("{name} ended with {code}")).said(said(err))),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            Err(Trouble::later(format!("{name} was ended by signal {signal}")).said(said(err)))
        }
    }
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A text as the environment can hold it: one line, not too long.
fn variable(text: &str) -> String {
    text::cut_bytes(&text::one_line(text), 4096).to_owned()
}
