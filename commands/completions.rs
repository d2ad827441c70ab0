//! `lineman completions`: what a shell needs to complete a command line.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::Cli;
use crate::failure::Failure;
use crate::output::Output;

/// Print what a shell needs to complete a command line, or write the manual
#[derive(Args)]
#[command(
    after_help = "Example:\n  lineman completions bash > /etc/bash_completion.d/lineman\n  lineman completions man --to /usr/local/share/man/man1"
)]
pub struct CompletionsOptions {
    /// The shell; or man: the manual, a page for each command, into a folder
    #[arg(value_enum)]
    shell: Shells,
    /// The folder for the pages of the manual
    #[arg(long, value_name = "DIR", required_if_eq("shell", "man"))]
    to: Option<PathBuf>,
}

/// The shells that are known.
#[derive(Clone, Copy, ValueEnum)]
enum Shells {
    Bash,
    Zsh,
    Fish,
    Man,
}

impl CompletionsOptions {
    /// Does it.
    pub fn run(self) -> Result<Output, Failure> {
        let shell = match self.shell {
            Shells::Bash => Shell::Bash,
            Shells::Zsh => Shell::Zsh,
            Shells::Fish => Shell::Fish,
            Shells::Man => return manual(&self.to.unwrap_or_default()),
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "lineman", &mut script);
        Ok(Output::Text(String::from_utf8_lossy(&script).into_owned()))
    }
}

/// Writes a page of the manual for each command.
fn manual(folder: &Path) -> Result<Output, Failure> {
    let failed =
        |e: std::io::Error| Failure::failed(format!("write the manual into {}: {e}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    Ok(Output::Text(format!("the manual is in {}: see `man lineman`\n", folder.display())))
}
