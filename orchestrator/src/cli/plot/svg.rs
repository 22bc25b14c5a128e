//! Scatter plots as an SVG document: small multiples, two in a row, with a legend.

use super::{
    Panel,
    scale::{self, Scale},
};
use std::fmt::{self, Write};

const PANEL: (f64, f64) = (400.0, 300.0);
/// Left, top, right, bottom.
const INSET: (f64, f64, f64, f64) = (64.0, 34.0, 16.0, 44.0);
const HEAD: f64 = 40.0;
const LEGEND_LINE: f64 = 18.0;
/// Okabe and Ito's palette: told apart by people who confuse red and green.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// Draws all panels below one title.
pub(super) fn draw(title: &str, panels: &[Panel]) -> String {
    let mut out = String::new();
    document(&mut out, title, panels).expect("writing to a string");
    out
}

fn document(out: &mut String, title: &str, panels: &[Panel]) -> fmt::Result {
    let mut models: Vec<(usize, &str)> = Vec::new();
    for point in panels.iter().flat_map(|panel| &panel.points) {
        if models.iter().all(|(index, _)| *index != point.index) {
            models.push((point.index, &point.model));
        }
    }
    models.sort_unstable();
    let across = panels.len().min(2);
    let width = PANEL.0 * across as f64;
    let grid = PANEL.1 * panels.len().div_ceil(2) as f64;
    let per_line = 2 * across;
    let height = HEAD + grid + LEGEND_LINE * (models.len().div_ceil(per_line) as f64 + 1.0);
    let title = escaped(title);
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{title}" font-family="sans-serif" font-size="12">"#
    )?;
    writeln!(out, r#"<rect width="100%" height="100%" fill="white"/>"#)?;
    writeln!(out, r#"<text x="16" y="26" font-size="16" font-weight="bold">{title}</text>"#)?;
    for (i, panel) in panels.iter().enumerate() {
        let (x, y) = ((i % 2) as f64 * PANEL.0, HEAD + (i / 2) as f64 * PANEL.1);
        writeln!(out, r#"<g transform="translate({x} {y})">"#)?;
        self::panel(out, panel)?;
        writeln!(out, "</g>")?;
    }
    for (i, (index, model)) in models.iter().enumerate() {
        let x = INSET.0 + (i % per_line) as f64 * (width - INSET.0) / per_line as f64;
        let y = HEAD + grid + LEGEND_LINE * ((i / per_line) as f64 + 0.8);
        writeln!(
            out,
            r#"<rect x="{x:.1}" y="{:.1}" width="9" height="9" fill="{}"/>"#,
            y - 9.0,
            colour(*index)
        )?;
        writeln!(out, r#"<text x="{:.1}" y="{y:.1}">{}</text>"#, x + 14.0, escaped(model))?;
    }
    writeln!(out, "</svg>")
}

fn panel(out: &mut String, panel: &Panel) -> fmt::Result {
    let (left, top, right, bottom) = (INSET.0, INSET.1, PANEL.0 - INSET.2, PANEL.1 - INSET.3);
    let across = Scale::around(panel.points.iter().map(|point| point.loss));
    let up = Scale::around(panel.points.iter().map(|point| point.value));
    let x = |loss| left + across.share(loss) * (right - left);
    let y = |value| bottom - up.share(value) * (bottom - top);
    writeln!(
        out,
        r##"<text x="{left}" y="22" font-weight="bold">{}<tspan font-weight="normal" fill="#555"> {}</tspan></text>"##,
        escaped(panel.measure),
        escaped(panel.meaning)
    )?;
    for tick in up.ticks(5) {
        let y = y(tick);
        writeln!(out, r##"<path d="M{left} {y:.1}H{right}" stroke="#ddd"/>"##)?;
        let text = scale::label(tick);
        writeln!(
            out,
            r##"<text x="{}" y="{:.1}" text-anchor="end" fill="#333">{text}</text>"##,
            left - 6.0,
            y + 4.0
        )?;
    }
    for tick in across.ticks(5) {
        let x = x(tick);
        writeln!(out, r##"<path d="M{x:.1} {bottom}v4" stroke="#333"/>"##)?;
        let text = scale::label(tick);
        writeln!(
            out,
            r##"<text x="{x:.1}" y="{}" text-anchor="middle" fill="#333">{text}</text>"##,
            bottom + 17.0
        )?;
    }
    writeln!(out, r##"<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#333"/>"##)?;
    let middle = f64::midpoint(left, right);
    writeln!(
        out,
        r##"<text x="{middle}" y="{}" text-anchor="middle" fill="#333">validation loss (nats per token)</text>"##,
        bottom + 35.0
    )?;
    for point in &panel.points {
        let told = format!("{}: loss {}, {} {}", point.model, point.loss, panel.measure, point.value);
        writeln!(
            out,
            r#"<circle cx="{:.1}" cy="{:.1}" r="5" fill="{}" fill-opacity="0.85"><title>{}</title></circle>"#,
            x(point.loss),
            y(point.value),
            colour(point.index),
            escaped(&told)
        )?;
    }
    Ok(())
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
