//! One figure of a study as SVG: a measure against validation loss, width or depth.
//!
//! The same document serves the report's page and the dashboard, which puts it into its own pages: colours are CSS
//! variables of those pages, with fallbacks for a file of its own; there are no styles or scripts in it. Every point
//! says what it is in a title and in `data-` attributes.

use super::{
    LOSS, Row,
    looks::{Looks, OPACITY},
    measures::PaperMeasure,
    scale::{self, Scale},
};
use protocol::identifier::Identifier;
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 340.0;
/// The plot's edges.
const LEFT: f64 = 64.0;
const TOP: f64 = 14.0;
const RIGHT: f64 = WIDTH - 14.0;
const BOTTOM: f64 = HEIGHT - 44.0;
/// Room for the legend beside the plot.
const LEGEND: f64 = 96.0;

/// More marks than these are thinned.
const MOST_MARKS: usize = 600;

/// What lies on the x axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// Validation loss, in nats per token.
    #[default]
    Loss,
    /// Width of the model.
    Width,
    /// Number of layers.
    Depth,
}

impl Against {
    /// The axis of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            LOSS => Some(Self::Loss),
            "width" => Some(Self::Width),
            "depth" => Some(Self::Depth),
            _ => None,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Loss => "validation loss (nats per token)",
            Self::Width => "width",
            Self::Depth => "layers",
        }
    }
}

struct Point<'a> {
    model: &'a str,
    identifier: Option<Identifier>,
    x: f64,
    y: f64,
}

/// A figure; none if no model has both values. `run` answers the page of a model's run, where there is one.
#[must_use]
pub fn figure(
    rows: &[Row<'_>],
    measure: &PaperMeasure,
    against: Against,
    run: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let point = |row: &Row<'_>| {
        let x = match against {
            Against::Loss => row.measures.values.get(LOSS)?.0,
            Against::Width => f64::from(row.identifier?.width),
            Against::Depth => f64::from(row.identifier?.layers),
        };
        let y = measure.value(row.measures);
        // Widths and depths lie along their logarithms; in results from elsewhere a name may say 0.
        let has_place = x.is_finite() && (against == Against::Loss || x > 0.0);
        Some((row.identifier, x, y)).filter(|_| has_place && y.is_finite())
    };
    let points: Vec<Point<'_>> = rows
        .iter()
        .filter_map(|row| {
            let (identifier, x, y) = point(row)?;
            Some(Point { model: &row.measures.model, identifier, x, y })
        })
        .collect();
    if points.is_empty() {
        return None;
    }
    let mut out = String::new();
    Plot::of(&points, measure, against).document(&mut out, run).ok()?;
    Some(out)
}

/// What is drawn, and where.
struct Plot<'a> {
    points: &'a [Point<'a>],
    measure: &'a PaperMeasure,
    against: Against,
    looks: Looks,
    across: Scale,
    up: Scale,
}

impl<'a> Plot<'a> {
    fn of(points: &'a [Point<'a>], measure: &'a PaperMeasure, against: Against) -> Self {
        let across = match against {
            Against::Loss => Scale::around(points.iter().map(|point| point.x)),
            _ => Scale::around_logarithms(points.iter().map(|point| point.x)),
        };
        let up = Scale::fitting(points.iter().map(|point| point.y));
        let models: Vec<_> = points.iter().filter_map(|point| point.identifier).collect();
        Self { points, measure, against, looks: Looks::of(&models), across, up }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.across.share(value) * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - self.up.share(value) * (BOTTOM - TOP)
    }

    fn document(&self, out: &mut String, run: &dyn Fn(&str) -> Option<String>) -> fmt::Result {
        let Self { points, measure, against, .. } = self;
        let label =
            escaped(&format!("{} against {} for {} models", measure.name, against.label(), points.len()));
        let total = WIDTH + LEGEND;
        // What holds links is no mere picture.
        let role = if points.iter().any(|point| run(point.model).is_some()) { "group" } else { "img" };
        writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="figure" viewBox="0 0 {total} {HEIGHT}" width="{total}" height="{HEIGHT}" role="{role}" aria-label="{label}" font-family="system-ui, sans-serif" font-size="12">"#
        )?;
        self.axes(out)?;
        if *against != Against::Loss {
            self.means(out)?;
        }
        self.marks(out, run)?;
        self.looks.legend(out, (WIDTH + 6.0, TOP))?;
        writeln!(out, "</svg>")
    }

    /// Both axes with their ticks and names.
    fn axes(&self, out: &mut String) -> fmt::Result {
        let mut x_ticks = self.across.ticks(6);
        if self.against != Against::Loss {
            x_ticks = self.points.iter().map(|point| point.x).collect();
            x_ticks.sort_by(f64::total_cmp);
            x_ticks.dedup();
        }
        writeln!(out, r#"<g fill="var(--muted, #5d636b)" stroke="none">"#)?;
        for tick in self.up.ticks(5) {
            let (at, text) = (self.y(tick), scale::label(tick));
            writeln!(out, r#"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="var(--line, #e2e2de)"/>"#)?;
            writeln!(out, r#"<text x="{}" y="{:.1}" text-anchor="end">{text}</text>"#, LEFT - 7.0, at + 4.0)?;
        }
        for tick in x_ticks {
            let (at, text) = (self.x(tick), scale::label(tick));
            writeln!(out, r#"<path d="M{at:.1} {BOTTOM}v5" stroke="var(--line-strong, #c9c9c3)"/>"#)?;
            writeln!(out, r#"<text x="{at:.1}" y="{}" text-anchor="middle">{text}</text>"#, BOTTOM + 18.0)?;
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        writeln!(
            out,
            r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"#,
            BOTTOM + 37.0,
            self.against.label()
        )?;
        writeln!(
            out,
            r#"<text transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>"#,
            f64::midpoint(TOP, BOTTOM),
            escaped(self.measure.name)
        )?;
        writeln!(out, "</g>")?;
        writeln!(
            out,
            r#"<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="var(--line-strong, #c9c9c3)"/>"#
        )
    }

    /// A mark for each model, which leads to its run where there is one.
    fn marks(&self, out: &mut String, run: &dyn Fn(&str) -> Option<String>) -> fmt::Result {
        writeln!(out, r#"<g fill-opacity="{OPACITY}" stroke="var(--surface, #fff)" stroke-width="0.7">"#)?;
        for (point, others) in self.thinned() {
            let more = if others > 0 { format!("\nand {others} more close by") } else { String::new() };
            let told = format!(
                "{}\n{} {}\n{} {}{more}",
                point.model,
                self.against.label(),
                short(point.x),
                self.measure.name,
                short(point.y)
            );
            let depth = point.identifier.map(|identifier| identifier.layers);
            let look = self.looks.outline(depth, (self.x(point.x), self.y(point.y)), 4.2);
            let link = run(point.model);
            if let Some(link) = &link {
                // Reached by pointing; the runs table leads there by keyboard, without hundreds of stops.
                write!(
                    out,
                    r#"<a href="{}" tabindex="-1" aria-label="{}">"#,
                    escaped(link),
                    escaped(&told.replace('\n', ", "))
                )?;
            }
            write!(
                out,
                r#"<path class="point" d="{look}" fill="{}" data-model="{}" data-x="{}" data-y="{}"><title>{}</title></path>"#,
                self.looks.colour(point.identifier.map(|identifier| identifier.width)),
                escaped(point.model),
                point.x as f32,
                point.y as f32,
                escaped(&told)
            )?;
            writeln!(out, "{}", if link.is_some() { "</a>" } else { "" })?;
        }
        writeln!(out, "</g>")
    }

    /// The marks that are drawn, and how many others each stands for: of thousands that lie on each other, one in each
    /// square of a few pixels.
    fn thinned(&self) -> Vec<(&Point<'_>, usize)> {
        let mut side = 0.0;
        loop {
            let mut squares: BTreeMap<(i64, i64), (&Point<'_>, usize)> = BTreeMap::new();
            for (at, point) in self.points.iter().enumerate() {
                let square = if side == 0.0 {
                    (at as i64, 0)
                } else {
                    ((self.x(point.x) / side) as i64, (self.y(point.y) / side) as i64)
                };
                squares.entry(square).and_modify(|(_, others)| *others += 1).or_insert((point, 0));
            }
            if squares.len() <= MOST_MARKS {
                return squares.into_values().collect();
            }
            side = if side == 0.0 { 3.0 } else { side * 1.3 };
        }
    }

    /// A line through the means over what the axis does not show: one per depth against width, one per width against
    /// depth.
    fn means(&self, out: &mut String) -> fmt::Result {
        let mut lines: BTreeMap<u32, BTreeMap<u32, Vec<f64>>> = BTreeMap::new();
        for point in self.points {
            let Some(identifier) = point.identifier else { continue };
            let (line, at) = match self.against {
                Against::Width => (identifier.layers, identifier.width),
                _ => (identifier.width, identifier.layers),
            };
            lines.entry(line).or_default().entry(at).or_default().push(point.y);
        }
        for (line, places) in lines.iter().filter(|(_, places)| places.len() > 1) {
            let path: Vec<String> = places
                .iter()
                .map(|(at, values)| {
                    let mean = values.iter().sum::<f64>() / values.len() as f64;
                    format!("{:.1} {:.1}", self.x(f64::from(*at)), self.y(mean))
                })
                .collect();
            let colour = match self.against {
                Against::Width => "var(--muted, #5d636b)".to_owned(),
                _ => self.looks.colour(Some(*line)),
            };
            writeln!(
                out,
                r#"<path d="M{}" fill="none" stroke="{colour}" stroke-opacity="0.55" stroke-width="1.5"/>"#,
                path.join("L")
            )?;
        }
        Ok(())
    }
}

/// Five significant digits.
fn short(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) {
        return format!("{value:.4e}");
    }
    let before = value.abs().max(1e-3).log10().floor();
    let text = format!("{value:.*}", (4.0 - before).clamp(0.0, 8.0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{output::MeasureRow, real::Real};

    fn row(model: &str, loss: f64, cdnv: f64) -> MeasureRow {
        let values = [(LOSS.to_owned(), Real(loss)), ("cdnv".to_owned(), Real(cdnv))].into();
        MeasureRow { model: model.into(), values }
    }

    fn drawn(rows: &[MeasureRow], against: Against) -> Option<String> {
        let rows: Vec<Row<'_>> = rows
            .iter()
            .map(|measures| Row {
                measures,
                identifier: measures.model.split('@').next().and_then(Identifier::from_name),
            })
            .collect();
        let run = |model: &str| model.starts_with("01").then(|| format!("/runs/{}", model.len()));
        figure(&rows, PaperMeasure::of_key("nc1").unwrap(), against, &run)
    }

    #[test]
    fn every_model_with_both_values_is_a_mark_that_says_what_it_is() {
        let rows =
            [row("01x0064_01d00@0", 3.0, 5.0), row("02x0128_01d00@0", 2.0, 1.0), row("a<b@0", 2.0, f64::NAN)];
        let svg = drawn(&rows, Against::Loss).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert_eq!(svg.matches("class=\"point\"").count(), 2);
        assert_eq!(svg.matches("<a href=\"/runs/15\"").count(), 1);
        assert!(svg.contains("data-model=\"02x0128_01d00@0\" data-x=\"2\" data-y=\"1\""), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("style="));
    }

    #[test]
    fn against_width_and_depth_means_are_joined_by_lines() {
        let rows = [
            row("01x0064_01d00@0", 3.0, 5.0),
            row("01x0064_01d01@0", 3.0, 7.0),
            row("01x0128_01d00@0", 2.0, 1.0),
            row("02x0128_01d00@0", 2.0, 1.5),
        ];
        assert_eq!(drawn(&rows, Against::Width).unwrap().matches("stroke-opacity").count(), 1);
        assert_eq!(drawn(&rows, Against::Depth).unwrap().matches("stroke-opacity").count(), 1);
    }

    #[test]
    fn a_model_of_no_width_or_depth_is_left_out_where_that_is_the_axis() {
        let rows = [
            row("00x0000_01d00@0", 3.0, 5.0),
            row("01x0064_01d00@0", 2.0, 1.0),
            row("02x0128_01d00@0", 2.0, 1.0),
        ];
        for against in [Against::Width, Against::Depth] {
            let svg = drawn(&rows, against).unwrap();
            assert_eq!(svg.matches("class=\"point\"").count(), 2);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert_eq!(drawn(&rows, Against::Loss).unwrap().matches("class=\"point\"").count(), 3);
    }

    #[test]
    fn thousands_of_models_are_thinned_to_what_can_be_seen() {
        let rows: Vec<_> = (0..9000)
            .map(|i| {
                row(&format!("01x0064_01d{i}@0"), 1.0 + f64::from(i % 97) / 50.0, f64::from(i % 89) + 1.0)
            })
            .collect();
        let svg = drawn(&rows, Against::Loss).unwrap();
        let marks = svg.matches("class=\"point\"").count();
        assert!((100..=MOST_MARKS).contains(&marks), "{marks}");
        assert!(svg.contains("more close by") && svg.contains("for 9000 models"));
    }

    #[test]
    fn without_a_model_there_is_no_figure() {
        assert_eq!(drawn(&[], Against::Loss), None);
        assert_eq!(drawn(&[row("a@0", f64::NAN, 1.0)], Against::Loss), None);
    }
}
