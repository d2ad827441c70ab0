//! What went wrong, what a person can do about it, and the exit code that says so to a script.

use std::io;

use lineman::domain::query::BadQuery;
use lineman::store;

/// Why a command did not do what was asked.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
}

/// The exit codes; 0 is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Whoever read the output has gone: nothing is wrong.
    NobodyReads = 0,
    /// It was tried, and failed.
    Failed = 1,
    /// What was asked for makes no sense.
    Usage = 2,
    /// What it is about is not there.
    NotFound = 3,
    /// Whoever was asked does not allow it.
    NotAllowed = 4,
    /// It is taken, or was changed meanwhile.
    Conflict = 5,
    /// It would break a rule.
    Refused = 6,
    /// A person stopped it.
    Interrupted = 130,
}

impl Failure {
    /// One that ends with `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), hint: None }
    }

    /// It was tried, and failed.
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure::new(Code::Failed, message)
    }

    /// What was asked for makes no sense.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Code::Usage, message)
    }

    /// It would break a rule.
    pub fn refused(message: impl Into<String>) -> Failure {
        Failure::new(Code::Refused, message)
    }

    /// A person stopped it: nothing is said.
    pub fn interrupted() -> Failure {
        Failure::new(Code::Interrupted, "")
    }

    /// The same, with what a person can do.
    pub fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// What goes to standard error: nothing, or a line or two.
    pub fn lines(&self) -> String {
        match (self.message.is_empty(), &self.hint) {
            (true, _) => String::new(),
            (false, None) => format!("error: {}\n", one_line(&self.message)),
            (false, Some(hint)) => format!("error: {}\nhint: {}\n", one_line(&self.message), one_line(hint)),
        }
    }
}

/// An error is one line, whatever stands in it: what a person typed or a device said may hold anything.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim().chars() {
        if c == '\n' {
            line.push(' ');
        } else if c.is_control() {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Failure {
        let code = match &error {
            store::Error::NotFound(_) => Code::NotFound,
            store::Error::Usage(_) => Code::Usage,
            store::Error::Refused(_) => Code::Refused,
            store::Error::Conflict(_) => Code::Conflict,
            error if error.is_unique() => Code::Conflict,
            _ => Code::Failed,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<store::OpenError> for Failure {
    fn from(error: store::OpenError) -> Failure {
        Failure::failed(error.to_string()).hint(error.hint())
    }
}

impl From<BadQuery> for Failure {
    fn from(error: BadQuery) -> Failure {
        Failure::usage(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    /// The whole chain in one sentence; what the store said within it keeps its code and its hint.
    fn from(error: anyhow::Error) -> Failure {
        let message = format!("{error:#}");
        let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        if kind == Some(io::ErrorKind::AddrInUse) {
            let hint = "something listens there already: name another port, as in --listen 127.0.0.1:8081";
            return Failure::failed(message).hint(hint);
        }
        for cause in error.chain() {
            if let Some(known) = cause.downcast_ref::<store::Error>() {
                return Failure { message, ..known.clone().into() };
            }
            if let Some(known) = cause.downcast_ref::<store::OpenError>() {
                return Failure { message, ..known.clone().into() };
            }
        }
        Failure::failed(message)
    }
}

impl From<&clap::Error> for Failure {
    /// The first paragraph in one line; what clap has to offer, else where help is.
    fn from(error: &clap::Error) -> Failure {
        let text = error.render().to_string();
        let parts: Vec<&str> = text.split("\n\n").map(str::trim).collect();
        let joined = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
        let message = joined(parts.first().copied().unwrap_or_default().trim_start_matches("error:"));
        let tip = parts.iter().find_map(|part| part.strip_prefix("tip:")).map(joined);
        let usage = parts.iter().find_map(|part| part.strip_prefix("Usage:")).map(joined);
        let failure = Failure::usage(message);
        match tip.or_else(|| usage.map(|usage| format!("write it as `{usage}`; --help tells more"))) {
            Some(hint) => failure.hint(hint),
            None => failure.hint("--help tells more"),
        }
    }
}

impl From<exports::UnknownColumn> for Failure {
    fn from(error: exports::UnknownColumn) -> Failure {
        Failure::usage(error.to_string())
            .hint("fields are written with commas between them, behind everything else: --json id,name")
    }
}

impl From<exports::Error> for Failure {
    fn from(error: exports::Error) -> Failure {
        match error {
            exports::Error::Io(error) => Failure::from(error),
            exports::Error::Cells { .. } => Failure::failed(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    /// An error of the output, which is all that commands write to without saying where.
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Code::NobodyReads, ""),
            _ => Failure::failed(format!("write the output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        use store::Error;
        for (error, code) in [
            (Error::not_found("device", "gw"), 3),
            (Error::usage("no"), 2),
            (Error::refused("no"), 6),
            (Error::Conflict("taken".into()), 5),
            (Error::Constraint { what: store::Constraint::Unique, columns: "device.name".into() }, 5),
            (Error::Constraint { what: store::Constraint::Check, columns: String::new() }, 1),
            (Error::Closed, 1),
        ] {
            let failure = Failure::from(error);
            assert_eq!(failure.code as i32, code, "{failure:?}");
        }
        let open = store::OpenError::Missing { path: "/nowhere/lineman.db".into() };
        let failure = Failure::from(anyhow::Error::from(open).context("start the server"));
        assert_eq!(failure.code, Code::Failed);
        assert!(failure.hint.is_some());
        let missing = anyhow::Error::from(Error::not_found("check", "7")).context("run it");
        assert_eq!(Failure::from(missing).code, Code::NotFound);
    }

    #[test]
    fn an_error_is_one_line_whatever_it_holds() {
        let failure = Failure::usage("bad\n\u{1b}[31mthing").hint("do\nthis");
        assert_eq!(failure.lines(), "error: bad \\u{1b}[31mthing\nhint: do this\n");
        assert_eq!(Failure::interrupted().lines(), "");
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).code as i32, 0);
    }
}
