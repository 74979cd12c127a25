//! Rendering of reports as GitHub-flavoured Markdown.

use super::{Chart, Report, Section, Span, Table, paragraphs, spans};
use std::fmt::Write as _;

impl Report {
    /// Renders the report as Markdown; charts are links to images with the prefix `images`, for
    /// example `quality/`.
    pub fn markdown(&self, images: &str) -> String {
        let mut blocks = vec![format!("# {}", inline(&self.title))];
        blocks.extend(paragraphs(&self.intro).iter().map(|text| wrap(&inline(text), "")));
        if !self.sections.is_empty() {
            blocks.push(self.sections.iter().map(contents_line).collect::<Vec<_>>().join("\n"));
        }
        for section in &self.sections {
            section.markdown(images, &mut blocks);
        }
        blocks.join("\n\n") + "\n"
    }
}

fn contents_line(section: &Section) -> String {
    format!("- [{}](#{})", inline(&section.heading), section.anchor())
}

impl Section {
    fn markdown(&self, images: &str, blocks: &mut Vec<String>) {
        // An explicit anchor, because GitHub derives its own from the words of the heading.
        blocks.push(format!("<a id=\"{}\"></a>", self.anchor()));
        blocks.push(format!("## {}", inline(&self.heading)));
        blocks.extend(paragraphs(&self.text).iter().map(|text| wrap(&inline(text), "")));
        for table in &self.tables {
            if !table.caption.is_empty() {
                blocks.push(wrap(&format!("**{}**", inline(&table.caption)), ""));
            }
            blocks.push(table.markdown());
        }
        for chart in &self.charts {
            blocks.push(chart.markdown(images));
        }
        if !self.notes.is_empty() {
            let item = |note: &String| format!("- {}", wrap(&inline(note), "  "));
            blocks.push(self.notes.iter().map(item).collect::<Vec<_>>().join("\n"));
        }
    }
}

impl Chart {
    fn markdown(&self, images: &str) -> String {
        let caption = inline(&self.caption);
        let image = format!("![{caption}]({images}{})", self.file_name());
        if caption.is_empty() { image } else { format!("{image}\n\n{}", wrap(&caption, "")) }
    }
}

impl Table {
    /// Pads all cells of a column to one width, so that the source is readable.
    fn markdown(&self) -> String {
        let columns = self.width();
        let cells = |row: &Vec<String>| -> Vec<String> {
            (0..columns)
                .map(|n| row.get(n).map(|cell| self::cell(cell)).unwrap_or_default())
                .collect()
        };
        let head = cells(&self.columns);
        let rows: Vec<_> = self.rows.iter().map(cells).collect();
        let numeric: Vec<_> = (0..columns).map(|n| self.is_numeric(n)).collect();
        let width = |n: usize| {
            let lengths = rows.iter().chain([&head]).map(|row| row[n].chars().count());
            lengths.max().unwrap_or(0).max(3)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();

        let line = |cells: &Vec<String>| {
            let mut line = "|".to_owned();
            for ((cell, &width), &numeric) in cells.iter().zip(&widths).zip(&numeric) {
                let written = if numeric {
                    write!(line, " {cell:>width$} |")
                } else {
                    write!(line, " {cell:<width$} |")
                };
                written.expect("writing to a string succeeds");
            }
            line
        };
        let rule = |n: usize| {
            let dashes = "-".repeat(widths[n] - 1);
            if numeric[n] { format!("{dashes}:") } else { format!("{dashes}-") }
        };
        let mut lines = vec![line(&head), line(&(0..columns).map(rule).collect())];
        lines.extend(rows.iter().map(line));
        lines.join("\n")
    }
}

/// Escapes a table cell, in which a bar separates cells even within code.
fn cell(text: &str) -> String {
    inline(text).replace('|', "\\|")
}

/// A text on one line, with everything escaped that is not marked as code.
fn inline(text: &str) -> String {
    let mut escaped = String::new();
    for span in spans(text) {
        match span {
            Span::Plain(plain) => escape(plain, &mut escaped),
            Span::Code(code) => {
                write!(escaped, "`{}`", code.replace('\n', " "))
                    .expect("writing to a string succeeds");
            }
        }
    }
    escaped
}

fn escape(plain: &str, into: &mut String) {
    let mut before = ' ';
    let mut rest = plain.chars().peekable();
    while let Some(c) = rest.next() {
        let within_word =
            before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '\n' | '\r' => into.push(' '),
            '_' if within_word => into.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '&' | '~' | '$' => into.extend(['\\', c]),
            _ => into.push(c),
        }
        before = c;
    }
}

/// Wraps a paragraph, never within code; lines after the first are indented.
fn wrap(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    let mut width = 0;
    for word in words(text) {
        let length = word.chars().count();
        let line = lines.last_mut().expect("the vector is never empty");
        if width == 0 {
            line.push_str(&block_escape(word));
            width = length;
        } else if width + 1 + length <= LINE - indent.len() {
            line.push(' ');
            line.push_str(word);
            width += 1 + length;
        } else {
            lines.push(block_escape(word));
            width = length;
        }
    }
    lines.join(&format!("\n{indent}"))
}

/// Escapes a word at the start of a line, so that it does not start a list, a heading or a
/// quotation.
fn block_escape(word: &str) -> String {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
    if word.starts_with(['#', '>', '=', '|']) || word.trim_matches(['-', '+']).is_empty() {
        format!("\\{word}")
    } else if digits.len() < word.len() && [".", ")"].contains(&digits) {
        format!("{}\\{digits}", &word[..word.len() - digits.len()])
    } else {
        word.to_owned()
    }
}

/// Splits a text at spaces outside of code.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let (mut in_code, mut escaped) = (false, false);
    let separates = move |c: char| {
        if c == '`' && !escaped {
            in_code = !in_code;
        }
        escaped = c == '\\' && !escaped && !in_code;
        c == ' ' && !in_code
    };
    text.split(separates).filter(|word| !word.is_empty())
}

const LINE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn a_report_reads_well_as_markdown() {
        let expected = r#"# Quality

What \& how.

- [Is it \<fast>?](#detection)

<a id="detection"></a>

## Is it \<fast>?

It is \*fast\*.

See `a<b`.

**Times to detect**

| system    | members | first \& last |
| --------- | ------: | ------------: |
| Tidings   |   1,000 |         1.2 s |
| a\|b \<i> |       8 |             — |

![Detection \<b>by\</b> size](quality/detection.svg)

Detection \<b>by\</b> size

- One seed's run
"#;
        assert_eq!(sample().markdown("quality/"), expected);
    }

    #[test]
    fn an_underscore_within_a_word_is_left_alone() {
        assert_eq!(inline("probe_interval and _this_"), "probe_interval and \\_this\\_");
    }

    #[test]
    fn a_line_does_not_become_a_list_or_a_heading() {
        assert_eq!(wrap("- a", ""), "\\- a");
        assert_eq!(wrap("# a", ""), "\\# a");
        assert_eq!(wrap("12. a", ""), "12\\. a");
        assert_eq!(wrap("-1.5 a", ""), "-1.5 a");
    }

    #[test]
    fn long_paragraphs_are_wrapped_but_code_is_not() {
        let text = format!("{} `{}`", "word ".repeat(30), "code ".repeat(30));
        let wrapped = wrap(&text, "  ");
        let lines: Vec<_> = wrapped.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].len() <= LINE && lines[1].starts_with("  word"));
        assert_eq!(lines[2].matches("code").count(), 30);
    }

    #[test]
    fn a_ragged_table_keeps_all_cells() {
        let mut table = Table::new("", &["a"]);
        table.row(["1", "x"]);
        table.row([""; 0]);
        assert_eq!(table.markdown(), "|   a |     |\n| --: | --- |\n|   1 | x   |\n|     |     |");
    }
}
