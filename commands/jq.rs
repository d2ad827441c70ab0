//! `--jq`: an expression in the language of jq, over the JSON that would have been printed.

use std::io::Write;

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Native, RcIter};
use jaq_json::Val;

use crate::failure::Failure;

/// The longest expression, in bytes.
const MAX_LEN: usize = 4_000;

/// An expression that was read.
pub struct Jq(Filter<Native<Val>>);

impl Jq {
    /// Reads an expression.
    pub fn new(expression: &str) -> Result<Jq, Failure> {
        let shown: String = expression.chars().take(80).collect();
        let bad = |why: &str| {
            Failure::usage(format!("--jq '{shown}': {why}"))
                .hint("for example: --jq '.[] | select(.state == \"down\") | .name'")
        };
        if expression.len() > MAX_LEN {
            return Err(bad("it is too long"));
        }
        let loader = Loader::new(jaq_std::defs().chain(jaq_json::defs()));
        let arena = Arena::default();
        let modules = loader
            .load(&arena, File { code: expression, path: () })
            .map_err(|_| bad("this is no expression of jq"))?;
        let functions = jaq_std::funs().chain(jaq_json::funs());
        let filter = Compiler::default().with_funs(functions).compile(modules).map_err(|errors| {
            let missing = errors.iter().flat_map(|(_, undefined)| undefined).next();
            match missing {
                Some((name, _)) => bad(&format!("there is no '{name}'")),
                None => bad("something in it is not defined"),
            }
        })?;
        Ok(Jq(filter))
    }

    /// Writes what it makes of `input`, a line each; a text stands for itself, without quotation marks. Each line is
    /// written as it is made: an expression may make lines without end.
    pub fn run(&self, input: serde_json::Value, out: &mut impl Write) -> Result<(), Failure> {
        let inputs = RcIter::new(std::iter::empty());
        for output in self.0.run((Ctx::new([], &inputs), Val::from(input))) {
            match output {
                Ok(Val::Str(text)) => writeln!(out, "{text}")?,
                Ok(value) => writeln!(out, "{value}")?,
                Err(error) => return Err(Failure::failed(format!("--jq: {error}"))),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expression_picks_what_it_names() {
        let devices =
            json!([{"name": "gw", "state": "up", "id": 1}, {"name": "sw", "state": "down", "id": 2}]);
        let run = |expression: &str| {
            let mut lines = Vec::new();
            Jq::new(expression).unwrap().run(devices.clone(), &mut lines).unwrap();
            String::from_utf8(lines).unwrap()
        };
        assert_eq!(run(".[] | select(.state == \"down\") | .name"), "sw\n");
        assert_eq!(run("map({name, id})"), "[{\"name\":\"gw\",\"id\":1},{\"name\":\"sw\",\"id\":2}]\n");
        assert_eq!(run("length"), "2\n");
    }

    #[test]
    fn what_is_no_expression_is_usage_and_what_fails_on_the_way_is_failed() {
        for text in [".[", "nothing_like_it", "", ".a |"] {
            let failure = Jq::new(text).err().map(|f| f.code);
            // An empty expression is jq's own `.`.
            assert!(failure == Some(crate::failure::Code::Usage) || text.is_empty(), "{text}");
        }
        let failure = Jq::new(".[0]").unwrap().run(json!({"a": 1}), &mut Vec::new()).unwrap_err();
        assert_eq!(failure.code, crate::failure::Code::Failed);
    }

    #[test]
    fn what_has_no_end_ends_when_nobody_reads() {
        /// Takes 100 bytes, then has gone.
        struct Head(usize);
        impl Write for Head {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::BrokenPipe)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let failure = Jq::new("repeat(1)").unwrap().run(json!(null), &mut Head(100)).unwrap_err();
        assert_eq!(failure.code, crate::failure::Code::NobodyReads);
    }

    #[test]
    fn what_came_before_an_error_is_printed() {
        let mut lines = Vec::new();
        assert!(Jq::new("1, 2, error(\"no\")").unwrap().run(json!(null), &mut lines).is_err());
        assert_eq!(lines, b"1\n2\n");
    }
}
