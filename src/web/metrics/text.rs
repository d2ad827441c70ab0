//! Metrics as text: OpenMetrics 1.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), and the Prometheus text
//! format 0.0.4 before it. Numbers are written from integers, so none is rounded.

use std::fmt::Write;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// OpenMetrics 1.0.
    Open,
    /// The Prometheus text format 0.0.4.
    Classic,
}

impl Form {
    /// The one for whoever accepts that: the older one where only that is named.
    #[must_use]
    pub fn accepted(accept: &str) -> Form {
        let names = |kind: &str| accept.to_ascii_lowercase().contains(kind);
        if names("text/plain") && !names("application/openmetrics-text") { Form::Classic } else { Form::Open }
    }

    /// Its name in HTTP.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Form::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One that rises and falls.
    Gauge,
    /// One that only rises. In its samples `_total` stands behind its name.
    Counter,
}

/// The units that stand at the end of names.
const UNITS: &[&str] = &["seconds", "bytes", "ratio"];

/// A text that grows, family by family.
pub struct Text {
    form: Form,
    out: String,
    name: String,
}

impl Text {
    /// An empty one.
    #[must_use]
    pub fn new(form: Form) -> Text {
        Text { form, out: String::new(), name: String::new() }
    }

    /// Begins a family: what follows are its samples.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        self.name = match kind {
            Kind::Gauge => name.to_owned(),
            Kind::Counter => format!("{name}_total"),
        };
        let family = match self.form {
            Form::Open => name,
            Form::Classic => &self.name,
        };
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let mut out = format!("# TYPE {family} {kind}\n");
        let unit =
            UNITS.iter().find(|unit| name.strip_suffix(**unit).is_some_and(|rest| rest.ends_with('_')));
        if let (Form::Open, Some(unit)) = (self.form, unit) {
            out.push_str(&format!("# UNIT {family} {unit}\n"));
        }
        out.push_str(&format!("# HELP {family} {help}\n"));
        self.out.push_str(&out);
    }

    /// A sample that is a whole number.
    pub fn whole(&mut self, labels: &[(&str, &str)], value: i64) {
        self.sample(labels, &value.to_string());
    }

    /// A sample in thousandths.
    pub fn millis(&mut self, labels: &[(&str, &str)], value: i64) {
        let sign = if value < 0 { "-" } else { "" };
        let value = value.unsigned_abs();
        self.sample(labels, &format!("{sign}{}.{:03}", value / 1_000, value % 1_000));
    }

    /// A sample in millionths.
    pub fn micros(&mut self, labels: &[(&str, &str)], value: u64) {
        self.sample(labels, &format!("{}.{:06}", value / 1_000_000, value % 1_000_000));
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: &str) {
        self.out.push_str(&self.name);
        for (n, (label, text)) in labels.iter().enumerate() {
            self.out.push(if n == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            escape(&mut self.out, text);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, " {value}");
    }

    /// The whole text.
    #[must_use]
    pub fn end(mut self) -> String {
        if self.form == Form::Open {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// A label's value: backslashes, quotes and line breaks are written with a backslash before them.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_as_each_form_wants_it() {
        let written = |form| {
            let mut text = Text::new(form);
            text.family("a_seconds", Kind::Gauge, "How\nlong.");
            text.micros(&[("device", "a\"b\\c\nd"), ("site", "")], 20_001);
            text.millis(&[], -1_050);
            text.family("b", Kind::Counter, "Many.");
            text.whole(&[], 7);
            text.end()
        };
        let samples = "a_seconds{device=\"a\\\"b\\\\c\\nd\",site=\"\"} 0.020001\na_seconds -1.050\n";
        assert_eq!(
            written(Form::Open),
            format!(
                "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n# HELP a_seconds How\\nlong.\n{samples}\
                 # TYPE b counter\n# HELP b Many.\nb_total 7\n# EOF\n"
            )
        );
        assert_eq!(
            written(Form::Classic),
            format!(
                "# TYPE a_seconds gauge\n# HELP a_seconds How\\nlong.\n{samples}\
                 # TYPE b_total counter\n# HELP b_total Many.\nb_total 7\n"
            )
        );
    }

    #[test]
    fn the_older_form_is_for_whoever_names_it_alone() {
        for (accept, wanted) in [
            ("", Form::Open),
            ("*/*", Form::Open),
            ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3", Form::Open),
            ("text/plain; version=0.0.4", Form::Classic),
            ("Text/Plain", Form::Classic),
        ] {
            assert_eq!(Form::accepted(accept), wanted, "{accept}");
        }
    }
}
