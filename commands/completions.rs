//! `lineman completions`: what a shell needs to complete a command line.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::Cli;
use crate::failure::Failure;
use crate::output::Output;

/// Print what a shell needs to complete a command line
#[derive(Args)]
#[command(after_help = "Example:\n  lineman completions bash > /etc/bash_completion.d/lineman")]
pub struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    shell: Shells,
}

/// The shells that are known.
#[derive(Clone, Copy, ValueEnum)]
enum Shells {
    Bash,
    Zsh,
    Fish,
}

impl CompletionsOptions {
    /// Does it.
    pub fn run(self) -> Result<Output, Failure> {
        let shell = match self.shell {
            Shells::Bash => Shell::Bash,
            Shells::Zsh => Shell::Zsh,
            Shells::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "lineman", &mut script);
        Ok(Output::Text(String::from_utf8_lossy(&script).into_owned()))
    }
}
