//! The two text formats of metrics: Prometheus' 0.0.4 and OpenMetrics 1.0.

use std::fmt::Write as _;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Prometheus,
    OpenMetrics,
}

/// The type of a family of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    /// Constant labels; its value is 1.
    Info,
    /// Quantiles.
    Summary,
}

/// One value of a family, with its labels.
pub(crate) type Sample<'a> = (&'a [(&'static str, &'a str)], f64);

/// Writes families of metrics, each with the prefix `tidings_`.
#[derive(Debug)]
pub(crate) struct Encoder {
    text: String,
    format: Format,
}

impl Encoder {
    pub(crate) fn new(format: Format) -> Self {
        Self { text: String::new(), format }
    }

    /// Writes a family; `name` is without prefix and without the suffix that its kind has.
    pub(crate) fn family<'a>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'a>>,
    ) {
        let suffix = match kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Summary => "",
        };
        // OpenMetrics names a family without the suffix of its samples, the older format with it.
        let (family_suffix, type_name) = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Info) => ("", "info"),
            (Format::OpenMetrics, Kind::Counter) => ("", "counter"),
            (Format::Prometheus, Kind::Counter) => (suffix, "counter"),
            (Format::Prometheus, Kind::Info) => (suffix, "gauge"),
            (_, Kind::Gauge) => (suffix, "gauge"),
            (_, Kind::Summary) => (suffix, "summary"),
        };
        let family = format!("tidings_{name}{family_suffix}");
        _ = writeln!(self.text, "# HELP {family} {help}");
        _ = writeln!(self.text, "# TYPE {family} {type_name}");
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit(name)) {
            _ = writeln!(self.text, "# UNIT {family} {unit}");
        }
        for (labels, value) in samples {
            _ = write!(self.text, "tidings_{name}{suffix}");
            self.labels(labels);
            _ = writeln!(self.text, " {value}");
        }
    }

    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn labels(&mut self, labels: &[(&'static str, &str)]) {
        for (n, (label, value)) in labels.iter().enumerate() {
            self.text.push(if n == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
    }
}

/// The unit in which a metric is, by the end of its name.
fn unit(name: &str) -> Option<&str> {
    ["seconds", "bytes", "ratio"]
        .into_iter()
        .find(|unit| name.strip_suffix(unit).is_some_and(|before| before.ends_with('_')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(format: Format) -> String {
        let mut encoder = Encoder::new(format);
        let labels = [("name", "a\"b\\c\nd")];
        encoder.family(Kind::Counter, "probes", "Probes.", [(&labels[..], 3.0)]);
        encoder.family(Kind::Info, "build", "This build.", [(&[][..], 1.0)]);
        encoder.family(Kind::Gauge, "wait_seconds", "A wait.", [(&[][..], 0.25)]);
        encoder.finish()
    }

    #[test]
    fn labels_are_escaped_and_families_have_their_suffix_in_prometheus_format() {
        assert_eq!(
            encode(Format::Prometheus),
            "# HELP tidings_probes_total Probes.\n\
             # TYPE tidings_probes_total counter\n\
             tidings_probes_total{name=\"a\\\"b\\\\c\\nd\"} 3\n\
             # HELP tidings_build_info This build.\n\
             # TYPE tidings_build_info gauge\n\
             tidings_build_info 1\n\
             # HELP tidings_wait_seconds A wait.\n\
             # TYPE tidings_wait_seconds gauge\n\
             tidings_wait_seconds 0.25\n"
        );
    }

    #[test]
    fn openmetrics_has_units_and_an_end_and_names_families_without_suffix() {
        assert_eq!(
            encode(Format::OpenMetrics),
            "# HELP tidings_probes Probes.\n\
             # TYPE tidings_probes counter\n\
             tidings_probes_total{name=\"a\\\"b\\\\c\\nd\"} 3\n\
             # HELP tidings_build This build.\n\
             # TYPE tidings_build info\n\
             tidings_build_info 1\n\
             # HELP tidings_wait_seconds A wait.\n\
             # TYPE tidings_wait_seconds gauge\n\
             # UNIT tidings_wait_seconds seconds\n\
             tidings_wait_seconds 0.25\n\
             # EOF\n"
        );
    }
}
