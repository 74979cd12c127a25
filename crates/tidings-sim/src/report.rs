//! Reports: results of experiments as tables and charts.
//!
//! A [`Report`] is plain data. It renders as Markdown for the repository, as one self-contained
//! HTML page, and as one SVG image for each chart. The same report renders to the same bytes.

mod chart;
mod html;
mod markdown;
mod number;

pub use number::{bytes, count, percent, ratio, seconds, significant};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A report: a title, an introduction and sections.
///
/// All texts, here and in the parts, are plain, except that `` `backticks` `` mark code. In texts
/// that may have several paragraphs, an empty line separates them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The main heading.
    pub title: String,
    /// Paragraphs before the table of contents.
    pub intro: String,
    /// The sections, in the order of the table of contents.
    pub sections: Vec<Section>,
}

/// A section: one question and its results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// The anchor for links; unique within the report.
    pub name: String,
    /// The heading.
    pub heading: String,
    /// Paragraphs below the heading.
    pub text: String,
    /// The tables, below the text.
    pub tables: Vec<Table>,
    /// The charts, below the tables.
    pub charts: Vec<Chart>,
    /// Notes at the end, each an item of a list.
    pub notes: Vec<String>,
}

/// A table whose cells are already formatted.
///
/// A column is aligned to the right if its cells look like numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The caption; may be empty.
    pub caption: String,
    /// The column headings.
    pub columns: Vec<String>,
    /// The cells, row by row; missing ones are shown empty.
    pub rows: Vec<Vec<String>>,
}

/// A plot of several series over the same axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// File name of the image without extension; unique within the report.
    pub name: String,
    /// The caption.
    pub caption: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The series, drawn in this order, in colours that repeat after seven.
    pub series: Vec<Series>,
}

/// An axis of a chart; its range and its ticks follow from the points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// The quantity and its unit.
    pub label: String,
    /// Whether the scale is logarithmic.
    pub log: bool,
}

/// A series of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The label in the legend.
    pub label: String,
    /// The points, in the order in which a line connects them. A point that cannot be drawn, such
    /// as zero on a logarithmic axis, is left out.
    pub points: Vec<(f64, f64)>,
    /// The origin of the points, which determines how they are drawn.
    pub style: Style,
}

/// Origin of a series, and how it is drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// Our own measurement: a line with filled points.
    Measured,
    /// Published by others: hollow points without a line.
    Published,
    /// Theory: a dashed line.
    Theory,
}

impl Report {
    /// Writes `report.html`, `report.md` and the image of each chart into a directory, which is
    /// created if it does not exist; returns the files.
    ///
    /// # Errors
    ///
    /// If two charts have the same file name (nothing is written then), or if a file cannot be
    /// written.
    pub fn write(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = vec![
            ("report.html".to_owned(), self.html()),
            ("report.md".to_owned(), self.markdown("")),
        ];
        files.extend(self.charts().map(|chart| (chart.file_name(), chart.svg())));
        let distinct: BTreeSet<_> = files.iter().map(|(name, _)| name).collect();
        if distinct.len() < files.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "two charts of one name"));
        }

        fs::create_dir_all(dir)?;
        let mut written = Vec::new();
        for (name, content) in files {
            let path = dir.join(name);
            fs::write(&path, content)?;
            written.push(path);
        }
        Ok(written)
    }

    /// All charts, section by section.
    pub fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.sections.iter().flat_map(|section| &section.charts)
    }
}

impl Section {
    /// A section without tables, charts and notes.
    pub fn new(
        name: impl Into<String>,
        heading: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        let (name, heading, text) = (name.into(), heading.into(), text.into());
        Self { name, heading, text, ..Self::default() }
    }

    fn anchor(&self) -> String {
        slug(&self.name)
    }
}

impl Table {
    /// A table without rows.
    pub fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().copied().map(String::from).collect();
        Self { caption: caption.into(), columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Number of columns: a row that is longer than the heading widens the table.
    fn width(&self) -> usize {
        self.rows.iter().chain([&self.columns]).map(Vec::len).max().unwrap_or(0)
    }

    fn is_numeric(&self, column: usize) -> bool {
        let cells = || self.rows.iter().filter_map(|row| row.get(column));
        cells().any(|cell| cell.contains(|c: char| c.is_ascii_digit()))
            && cells().all(|cell| number::looks_like_number(cell))
    }
}

impl Chart {
    /// The name of the image's file.
    pub fn file_name(&self) -> String {
        format!("{}.svg", slug(&self.name))
    }
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: false }
    }

    /// A logarithmic axis.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: true }
    }
}

impl Series {
    /// A series of our own measurements.
    pub fn measured(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), points, style: Style::Measured }
    }

    /// A series of published figures.
    pub fn published(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), points, style: Style::Published }
    }

    /// A series computed from theory.
    pub fn theory(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), points, style: Style::Theory }
    }
}

/// A span of text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Span<'a> {
    Plain(&'a str),
    Code(&'a str),
}

/// Splits a text into spans; a backtick without a partner stands for itself.
fn spans(mut text: &str) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    while let Some((before, rest)) = text.split_once('`') {
        let Some((code, after)) = rest.split_once('`').filter(|(code, _)| !code.is_empty()) else {
            break;
        };
        spans.extend([Span::Plain(before), Span::Code(code)]);
        text = after;
    }
    spans.push(Span::Plain(text));
    spans
}

fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in text.lines().map(str::trim) {
        let last = paragraphs.last_mut().expect("the vector is never empty");
        if line.is_empty() {
            paragraphs.push(String::new());
        } else if last.is_empty() {
            last.push_str(line);
        } else {
            last.push(' ');
            last.push_str(line);
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// Converts a name for anchors and file names: only characters that need no escape and cannot leave
/// the directory.
fn slug(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    name.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample report with all characters that have a meaning in one of the formats.
    pub(super) fn sample() -> Report {
        let mut table = Table::new("Times to detect", &["system", "members", "first & last"]);
        table.row(["Tidings", "1,000", "1.2 s"]);
        table.row(["a|b <i>", "8", "—"]);
        let chart = Chart {
            name: "detection".into(),
            caption: "Detection <b>by</b> size".into(),
            x: Axis::log("members"),
            y: Axis::linear("time & again (s)"),
            series: vec![
                Series::measured("Tidings", vec![(10.0, 1.0), (100.0, 1.1), (1000.0, 1.3)]),
                Series::published("SWIM \"2002\"", vec![(28.0, 1.5), (55.0, 1.4)]),
                Series::theory("e/(e-1) < 2", vec![(10.0, 1.58), (1000.0, 1.58)]),
            ],
        };
        let mut section = Section::new("detection", "Is it <fast>?", "It is *fast*.\n\nSee `a<b`.");
        section.tables.push(table);
        section.charts.push(chart);
        section.notes.push("One seed's run".into());
        Report { title: "Quality".into(), intro: "What & how.".into(), sections: vec![section] }
    }

    #[test]
    fn a_report_is_written_into_one_directory() {
        let dir = std::env::temp_dir().join(format!("tidings-report-{}", std::process::id()));
        let written = sample().write(&dir).unwrap();
        let expected = ["report.html", "report.md", "detection.svg"].map(|name| dir.join(name));
        assert_eq!(written, expected);
        assert_eq!(fs::read_to_string(&written[2]).unwrap(), sample().sections[0].charts[0].svg());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn two_charts_of_one_name_are_refused() {
        let mut report = sample();
        report.sections.push(report.sections[0].clone());
        let error = report.write(Path::new("nowhere")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(!Path::new("nowhere").exists());
    }

    #[test]
    fn backticks_mark_code_where_they_come_in_pairs() {
        let [plain, code] = [Span::Plain as fn(_) -> _, Span::Code];
        assert_eq!(spans("a `b` c"), [plain("a "), code("b"), plain(" c")]);
        assert_eq!(spans("`b` and ` alone"), [plain(""), code("b"), plain(" and ` alone")]);
        assert_eq!(spans("``"), [plain("``")]);
    }

    #[test]
    fn an_empty_line_separates_paragraphs() {
        assert_eq!(paragraphs("\none\n two\n\n\nthree\n"), ["one two", "three"]);
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_directory() {
        let chart = Chart { name: "../Up and_away".into(), ..Chart::default() };
        assert_eq!(chart.file_name(), "---Up-and_away.svg");
    }
}
