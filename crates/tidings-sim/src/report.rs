//! Reports: what experiments found, as tables and plots.
//!
//! A [`Report`] is plain data. It becomes Markdown for the repository, one HTML page that needs
//! nothing else, and one SVG image for each chart. The same report gives the same bytes.

mod chart;
mod html;
mod markdown;
mod number;

pub use number::{bytes, count, percent, ratio, seconds, significant};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What experiments found: a title, an introduction and sections.
///
/// All texts, here and in the parts, are plain, except that `` `backticks` `` mark code. Where a
/// text may have several paragraphs, an empty line separates them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The heading of all.
    pub title: String,
    /// Paragraphs before the table of contents.
    pub intro: String,
    /// The sections, in the order of the table of contents.
    pub sections: Vec<Section>,
}

/// One question and what was found about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// The anchor that links lead to; no other section of the report has it.
    pub name: String,
    /// The heading.
    pub heading: String,
    /// Paragraphs below the heading.
    pub text: String,
    /// The tables, below the text.
    pub tables: Vec<Table>,
    /// The charts, below the tables.
    pub charts: Vec<Chart>,
    /// Remarks, one item of a list each, at the end.
    pub notes: Vec<String>,
}

/// A table, with its cells as they are to be shown.
///
/// A column is aligned to the right if its cells look like numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What the table shows; may be empty.
    pub caption: String,
    /// The heads of the columns.
    pub columns: Vec<String>,
    /// The cells, row by row; missing ones are shown empty.
    pub rows: Vec<Vec<String>>,
}

/// A plot of several series over the same axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// The stem of the image's file name; no other chart of the report has it.
    pub name: String,
    /// What the chart shows.
    pub caption: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, the first one first, in colours that repeat after seven.
    pub series: Vec<Series>,
}

/// One axis of a chart; its range and its ticks follow from the points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What the axis measures, with the unit.
    pub label: String,
    /// Whether the scale is logarithmic.
    pub log: bool,
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend says.
    pub label: String,
    /// The points, in the order in which a line connects them. One that cannot be drawn, such as
    /// zero on a logarithmic axis, is left out.
    pub points: Vec<(f64, f64)>,
    /// Where the points come from, which is how they are drawn.
    pub style: Style,
}

/// Where the points of a series come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// We measured them: a line with filled points.
    Measured,
    /// Others published them: hollow points without a line.
    Published,
    /// A formula says so: a dashed line.
    Theory,
}

impl Report {
    /// Writes `report.html`, `report.md` and each chart's image into a directory, which is made if
    /// it is not there; returns the files.
    ///
    /// # Errors
    ///
    /// If two charts would have the same file, nothing is written.
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

    /// Columns in all: a row that is longer than the head widens the table.
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
    /// An axis where equal steps are equal differences.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: false }
    }

    /// An axis where equal steps are equal ratios.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: true }
    }
}

impl Series {
    /// What we measured.
    pub fn measured(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), points, style: Style::Measured }
    }

    /// What others published.
    pub fn published(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), points, style: Style::Published }
    }

    /// What a formula says.
    pub fn theory(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), points, style: Style::Theory }
    }
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Span<'a> {
    Plain(&'a str),
    Code(&'a str),
}

/// Takes a text apart; a backtick without a partner stands for itself.
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
        let last = paragraphs.last_mut().expect("there is always one");
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

/// What is left of a name in anchors and file names: it leads nowhere else and needs no escape.
fn slug(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    name.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bit of everything, with all that has a meaning in one of the formats.
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
