//! Charts as SVG images.

mod scale;

use super::{Chart, Series, Style, html};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use scale::Scale;

impl Chart {
    /// Renders the chart as an SVG image of 720 by 400 on a white background.
    ///
    /// Points that are not finite, or not positive on a logarithmic axis, are left out.
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        let size = (WIDTH as u32 * DOTS as u32, HEIGHT as u32 * DOTS as u32);
        self.draw(SVGBackend::with_string(&mut svg, size)).expect("writing to a string succeeds");
        let end_of_head = svg.find('>').expect("the image starts with a tag") + 1;
        let (width, height) = size;
        format!(
            "<svg {NAMESPACE} width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>{}",
            html::escape(&self.caption),
            &svg[end_of_head..]
        )
    }

    /// The image for embedding in an HTML page, without the namespace declaration.
    pub(super) fn inline_svg(&self) -> String {
        self.svg().replacen(&format!(" {NAMESPACE}"), "", 1)
    }

    fn draw(&self, backend: SVGBackend<'_>) -> Result<(), Failure> {
        let (x, y) = self.scales();
        let root = backend.into_drawing_area();
        root.fill(&WHITE)?;
        let legend_height = self.draw_legend(&root)?;

        let mut plot = ChartBuilder::on(&root)
            .margin_top(legend_height)
            .margin_right(dots(24))
            .margin_bottom(dots(8))
            .margin_left(dots(8))
            .x_label_area_size(dots(48))
            .y_label_area_size(dots(68))
            .build_cartesian_2d(x, y)?;
        plot.configure_mesh()
            .bold_line_style(stroke(GRID, 1))
            .light_line_style(stroke(FAINT_GRID, 1))
            .axis_style(stroke(AXIS, 1))
            .label_style(font(12))
            .axis_desc_style(font(13))
            .set_all_tick_mark_size(dots(4))
            .x_desc(printable(&self.x.label))
            .y_desc(printable(&self.y.label))
            .draw()?;

        for (number, series) in self.series.iter().enumerate() {
            let color = color(number);
            let mut points = self.placed(series);
            match series.style {
                Style::Measured => {
                    plot.draw_series(LineSeries::new(points.iter().copied(), stroke(color, 2)))?;
                    plot.draw_series(points.iter().map(|&at| filled_point(at, color)))?;
                }
                Style::Published => {
                    plot.draw_series(points.iter().flat_map(|&at| hollow_point(at, color)))?;
                }
                Style::Theory => {
                    points.dedup();
                    plot.draw_series([dashed(points, color)])?;
                }
            }
        }
        root.present()?;
        Ok(())
    }

    /// Draws the legend above the plot, in as many rows as needed; returns its height.
    fn draw_legend(&self, root: &Area<'_>) -> Result<i32, Failure> {
        let (mut left, mut row) = (LEGEND_LEFT, 0);
        for (number, series) in self.series.iter().enumerate() {
            let label = printable(&series.label);
            let width = SAMPLE + 8 + (label.chars().count() as f64 * LETTER) as i32;
            if left > LEGEND_LEFT && left + width > WIDTH - 16 {
                (left, row) = (LEGEND_LEFT, row + 1);
            }
            if row == MAX_ROWS {
                break;
            }
            let middle = dots(18 + row * ROW);
            let color = color(number);
            let (from, to) = ((dots(left), middle), (dots(left + SAMPLE), middle));
            let center = (dots(left + SAMPLE / 2), middle);
            match series.style {
                Style::Measured => {
                    root.draw(&PathElement::new(vec![from, to], stroke(color, 2)))?;
                    root.draw(&filled_point(center, color))?;
                }
                Style::Published => {
                    for circle in hollow_point(center, color) {
                        root.draw(&circle)?;
                    }
                }
                Style::Theory => root.draw(&dashed(vec![from, to], color))?,
            }
            let style = font(12).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw_text(&label, &style, (dots(left + SAMPLE + 6), middle))?;
            left += width + 18;
        }
        let rows = if self.series.is_empty() { 0 } else { (row + 1).min(MAX_ROWS) };
        Ok(dots(16 + rows * ROW))
    }

    fn scales(&self) -> (Scale, Scale) {
        let points: Vec<_> = self.series.iter().flat_map(|series| self.placed(series)).collect();
        let x = Scale::over(points.iter().map(|(x, _)| *x), self.x.log);
        let y = Scale::over(points.iter().map(|(_, y)| *y), self.y.log);
        (x, y)
    }

    /// The drawable points of a series, as they are placed on the axes.
    fn placed(&self, series: &Series) -> Vec<(f64, f64)> {
        let place =
            |&(x, y): &_| Some((scale::placed(x, self.x.log)?, scale::placed(y, self.y.log)?));
        series.points.iter().filter_map(place).collect()
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Failure = DrawingAreaErrorKind<std::io::Error>;

fn filled_point<At>(at: At, color: RGBColor) -> Circle<At, i32> {
    Circle::new(at, dots(3), color.filled())
}

/// The inside is white, so that a line below does not fill it.
fn hollow_point<At: Clone>(at: At, color: RGBColor) -> [Circle<At, i32>; 2] {
    [Circle::new(at.clone(), dots(4), WHITE.filled()), Circle::new(at, dots(4), stroke(color, 2))]
}

fn dashed<At: Clone>(
    points: Vec<At>,
    color: RGBColor,
) -> DashedPathElement<std::vec::IntoIter<At>, i32> {
    DashedPathElement::new(points, dots(7), dots(5), stroke(color, 2))
}

fn stroke(color: RGBColor, width: i32) -> ShapeStyle {
    color.stroke_width(dots(width) as u32)
}

fn font(size: i32) -> TextStyle<'static> {
    // The backend's size is that of a line, 1.24 times that of the letters.
    TextStyle::from(("sans-serif", f64::from(dots(size)) * 1.24)).color(&TEXT)
}

fn printable(text: &str) -> String {
    text.chars().map(html::printable).collect()
}

/// Dots per unit: the backend rounds to whole dots, and several per unit make lines smooth.
const fn dots(units: i32) -> i32 {
    units * DOTS
}

fn color(number: usize) -> RGBColor {
    PALETTE[number % PALETTE.len()]
}

const WIDTH: i32 = 720;
const HEIGHT: i32 = 400;
const DOTS: i32 = 5;

const LEGEND_LEFT: i32 = 76;
/// Width of a series' sample in the legend.
const SAMPLE: i32 = 28;
/// Approximate width of a letter; the font that will be used is unknown.
const LETTER: f64 = 6.6;
const ROW: i32 = 20;
/// Maximum number of legend rows; series beyond that are drawn but not named.
const MAX_ROWS: i32 = 8;

/// Colours of Okabe and Ito that stand out on white; they can be told apart by colour-blind
/// readers.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x55, 0x55, 0x55),
];
const TEXT: RGBColor = RGBColor(0x33, 0x38, 0x3e);
const AXIS: RGBColor = RGBColor(0x8a, 0x92, 0x9a);
const GRID: RGBColor = RGBColor(0xdd, 0xe1, 0xe5);
const FAINT_GRID: RGBColor = RGBColor(0xf0, 0xf2, 0xf4);
const NAMESPACE: &str = "xmlns=\"http://www.w3.org/2000/svg\"";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;
    use crate::report::{Axis, Series};

    #[test]
    fn an_image_names_its_axes_and_series() {
        let svg = sample().sections[0].charts[0].svg();
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\""));
        for text in ["members", "time &amp; again (s)", "Tidings", "SWIM &quot;2002&quot;"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(svg.contains("e/(e-1) &lt; 2"));
        assert!(svg.contains("<title>Detection &lt;b&gt;by&lt;/b&gt; size</title>"));
        assert_balanced(&svg);
    }

    #[test]
    fn the_same_chart_gives_the_same_image() {
        let chart = &sample().sections[0].charts[0];
        assert_eq!(chart.svg(), chart.clone().svg());
    }

    #[test]
    fn whatever_is_plotted_there_is_an_image() {
        let odd = [
            vec![],
            vec![(1.0, 1.0)],
            vec![(5.0, 2.0); 3],
            vec![(0.0, 0.0), (-1.0, 1.0), (1.0, -1.0)],
            vec![(f64::NAN, 1.0), (1.0, f64::INFINITY), (f64::NEG_INFINITY, f64::NAN)],
            vec![(f64::MIN, f64::MAX), (f64::MAX, f64::MIN)],
            vec![(f64::MIN_POSITIVE, 5e-324), (1e300, 1e-300)],
            vec![(1.0, 1e15), (2.0, 1e15 + 0.125), (2.0, 1e15)],
            vec![(1.0, 1.0), (1.0 + f64::EPSILON, 1.0 - f64::EPSILON)],
            vec![(1e9, 1e-9), (2e9, 3e-9)],
        ];
        for style in [Style::Measured, Style::Published, Style::Theory] {
            for (x_log, y_log) in [(false, false), (false, true), (true, false), (true, true)] {
                for points in &odd {
                    let axis = |log| Axis { label: "\u{0}<\n".into(), log };
                    let series =
                        vec![Series { label: "]]>".into(), points: points.clone(), style }];
                    let (name, caption) = (String::new(), String::new());
                    let chart = Chart { name, caption, x: axis(x_log), y: axis(y_log), series };
                    assert_balanced(&chart.svg());
                }
            }
        }
        assert_balanced(&Chart::default().svg());
    }

    #[test]
    fn many_series_leave_a_plot() {
        let name = |n: i32| format!("A series with a name that is long, number {n}");
        let series = (0..40).map(|n| Series::theory(name(n), vec![(1.0, 1.0), (2.0, n.into())]));
        let chart = Chart { series: series.collect(), ..Chart::default() };
        let svg = chart.svg();
        assert_balanced(&svg);
        assert!(svg.contains("number 7") && !svg.contains("number 39"));
    }

    fn assert_balanced(svg: &str) {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let (tag, text) = tag.split_once('>').expect("a tag ends");
            assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "{tag}>{text}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.extend(tag.split(' ').next());
            }
        }
        assert!(open.is_empty() && !svg.contains("NaN") && !svg.contains('\0'));
    }
}
