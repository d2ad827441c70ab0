//! `lineman doctor`: is everything as it ought to be here?

use std::os::unix::fs::PermissionsExt;

use clap::Args;
use lineman::reports::doctor::{self, Finding, Health};

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// Look whether everything is as it ought to be: the database, the server, agents, clocks, notifications, DNS, the disk
///
/// Ends with 1 where something has failed.
#[derive(Args)]
#[command(after_help = "Example:\n  lineman doctor\n  lineman doctor --jq '.[] | select(.health != \"ok\")'")]
pub struct DoctorOptions {}

impl DoctorOptions {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        let mut findings = context.ask(|tx| Ok(doctor::look(tx)?))?;
        findings.extend(disk(context));
        findings.extend(permissions(context));
        let failed = findings.iter().filter(|finding| finding.health == Health::Fail).count();
        let failure = (failed > 0).then(|| {
            let what = if failed == 1 {
                "1 thing has failed".to_owned()
            } else {
                format!("{failed} things have failed")
            };
            Failure::failed(what)
        });
        Ok(Output::Judged(doctor::table(&findings), failure))
    }
}

fn disk(context: &Context) -> Option<Finding> {
    let of = rustix::fs::statvfs(&context.data).ok()?;
    let size = of.f_frsize;
    Some(doctor::disk(&context.data, of.f_bavail.saturating_mul(size), of.f_blocks.saturating_mul(size)))
}

/// The files with secrets in them.
fn permissions(context: &Context) -> Vec<Finding> {
    let secret = |path: &std::path::Path| {
        path.extension().is_some_and(|end| end == "db" || end == "key" || end == "pem")
    };
    let entries = std::fs::read_dir(&context.data).into_iter().flatten().filter_map(Result::ok);
    let mut all: Vec<Finding> = entries
        .filter(|entry| secret(&entry.path()))
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.permissions().mode())))
        .map(|(path, mode)| doctor::permissions(&path, mode))
        .collect();
    all.sort_by(|one, two| one.says.cmp(&two.says));
    all
}
