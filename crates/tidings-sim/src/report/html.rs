//! Rendering of reports as one self-contained HTML page.

use super::{Chart, Report, Section, Span, Table, paragraphs, spans};
use std::fmt::Write as _;

impl Report {
    /// Renders the report as one page with embedded style and images and without scripts.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{}</h1>\n",
            inline(&self.title)
        );
        push_paragraphs(&self.intro, &mut page);
        if !self.sections.is_empty() {
            let items: String = self.sections.iter().map(contents_line).collect();
            page += &format!("<nav aria-label=\"Contents\">\n<ul>\n{items}</ul>\n</nav>\n");
        }
        for section in &self.sections {
            section.html(&mut page);
        }
        page += "</main>\n</body>\n</html>\n";
        page
    }
}

fn contents_line(section: &Section) -> String {
    format!("<li><a href=\"#{}\">{}</a></li>\n", section.anchor(), inline(&section.heading))
}

impl Section {
    fn html(&self, page: &mut String) {
        *page += &format!("<section id=\"{}\">\n", self.anchor());
        *page += &format!("<h2>{}</h2>\n", inline(&self.heading));
        push_paragraphs(&self.text, page);
        for table in &self.tables {
            table.html(page);
        }
        for chart in &self.charts {
            chart.html(page);
        }
        if !self.notes.is_empty() {
            let item = |note: &String| format!("<li>{}</li>\n", inline(note));
            let items: String = self.notes.iter().map(item).collect();
            *page += &format!("<ul class=\"notes\">\n{items}</ul>\n");
        }
        *page += "</section>\n";
    }
}

impl Table {
    fn html(&self, page: &mut String) {
        let numeric: Vec<_> = (0..self.width()).map(|column| self.is_numeric(column)).collect();
        let row = |cells: &Vec<String>, tag: &str| {
            let mut row = "<tr>".to_owned();
            for (column, &numeric) in numeric.iter().enumerate() {
                let class = if numeric { " class=\"n\"" } else { "" };
                let cell = cells.get(column).map(|cell| inline(cell)).unwrap_or_default();
                write!(row, "<{tag}{class}>{cell}</{tag}>").expect("writing to a string succeeds");
            }
            row + "</tr>\n"
        };
        *page += "<div class=\"table\">\n<table>\n";
        if !self.caption.is_empty() {
            *page += &format!("<caption>{}</caption>\n", inline(&self.caption));
        }
        *page += &format!("<thead>\n{}</thead>\n<tbody>\n", row(&self.columns, "th"));
        page.extend(self.rows.iter().map(|cells| row(cells, "td")));
        *page += "</tbody>\n</table>\n</div>\n";
    }
}

impl Chart {
    fn html(&self, page: &mut String) {
        *page +=
            &format!("<figure id=\"chart-{}\">\n{}", super::slug(&self.name), self.inline_svg());
        if !self.caption.is_empty() {
            *page += &format!("<figcaption>{}</figcaption>\n", inline(&self.caption));
        }
        *page += "</figure>\n";
    }
}

fn push_paragraphs(text: &str, page: &mut String) {
    page.extend(paragraphs(text).iter().map(|text| format!("<p>{}</p>\n", inline(text))));
}

fn inline(text: &str) -> String {
    let html = |span| match span {
        Span::Plain(plain) => escape(plain),
        Span::Code(code) => format!("<code>{}</code>", escape(code)),
    };
    spans(text).into_iter().map(html).collect()
}

/// Escapes a text for elements and attributes of HTML and XML.
///
/// Characters that XML does not allow are replaced.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(printable(c)),
        }
    }
    escaped
}

/// The character, or its replacement if XML does not allow it.
pub(super) fn printable(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => ' ',
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        _ if c.is_control() => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

/// Charts keep a light background in dark mode, because their colours are chosen for it.
const STYLE: &str = "\
:root { color-scheme: light dark; --text: #1f2328; --faint: #59636e; --page: #ffffff;
  --line: #d1d9e0; --stripe: #f6f8fa; --link: #0059b3; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ed; --faint: #9aa4af; --page: #15181c; --line: #353b43; --stripe: #1d2126;
    --link: #79b8ff; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.6 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 .75rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p { margin: 0 0 1rem; }
a { color: var(--link); text-underline-offset: .15em; }
code { font: .875em ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace;
  background: var(--stripe); border-radius: 4px; padding: .1em .3em; }
nav ul { columns: 18rem; margin: 1.5rem 0; padding-left: 1.25rem; }
.table { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .5rem; }
th, td { padding: .35rem .9rem .35rem .5rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { border-bottom-width: 2px; vertical-align: bottom; }
tbody tr:nth-child(even) { background: var(--stripe); }
.n { text-align: right; padding: .35rem .5rem .35rem .9rem; }
td.n { white-space: nowrap; }
figure { margin: 1.75rem 0; }
figure svg { display: block; width: 100%; height: auto; background: #ffffff;
  border: 1px solid var(--line); border-radius: 8px; }
figcaption { color: var(--faint); font-size: .9rem; margin-top: .5rem; }
.notes { color: var(--faint); font-size: .9rem; padding-left: 1.25rem; }
@media print {
  :root { color-scheme: light; --text: #000000; --faint: #404040; --page: #ffffff;
    --line: #c0c0c0; --stripe: #f4f4f4; --link: #000000; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .table { overflow: visible; }
}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn a_page_needs_nothing_else() {
        let page = sample().html();
        for reference in ["http", "src=", "<script", "<link", "url(", "@import"] {
            assert!(!page.contains(reference), "{reference}");
        }
        assert_eq!(page.matches("<svg").count(), 1);
    }

    #[test]
    fn a_page_escapes_what_it_is_told() {
        let page = sample().html();
        assert!(page.contains("<h2>Is it &lt;fast&gt;?</h2>"));
        assert!(page.contains("<td>a|b &lt;i&gt;</td>"));
        assert!(page.contains("<p>See <code>a&lt;b</code>.</p>"));
        assert!(page.contains("One seed&#39;s run"));
        assert!(!page.contains("<i>") && !page.contains("<b>"));
        assert_eq!(escape("\u{0}\n\""), "\u{fffd} &quot;");
    }

    #[test]
    fn numbers_stand_at_the_right() {
        let page = sample().html();
        assert!(page.contains("<th class=\"n\">members</th>"));
        assert!(page.contains("<td>Tidings</td><td class=\"n\">1,000</td>"));
    }

    #[test]
    fn the_contents_lead_to_the_sections() {
        let page = sample().html();
        assert!(
            page.contains("<a href=\"#detection\">") && page.contains("<section id=\"detection\">")
        );
    }
}
