//! How the models of a figure look: their colours and shapes, and the legend that says what these mean.

use protocol::identifier::Identifier;
use std::fmt::{self, Write};

/// How groups of models look: a colour by width, a shape by depth, each in the order of its values.
pub(super) struct Looks {
    widths: Vec<u32>,
    depths: Vec<u32>,
}

impl Looks {
    pub(super) fn of(models: &[Identifier]) -> Self {
        let all = |of: fn(&Identifier) -> u32| {
            let mut values: Vec<u32> = models.iter().map(of).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        Self { widths: all(|identifier| identifier.width), depths: all(|identifier| identifier.layers) }
    }

    /// From teal over blue to magenta: told apart on light and on dark ground, and by people who confuse red and green.
    pub(super) fn colour(&self, width: Option<u32>) -> String {
        let at = width.and_then(|width| self.widths.iter().position(|known| *known == width)).unwrap_or(0);
        let share = if self.widths.len() > 1 { at as f64 / (self.widths.len() - 1) as f64 } else { 0.35 };
        format!("hsl({:.0} 60% 50%)", 172.0 + share * 150.0)
    }

    /// The outline of a mark.
    pub(super) fn outline(&self, depth: Option<u32>, centre: (f64, f64), r: f64) -> String {
        let which = depth.and_then(|depth| self.depths.iter().position(|known| *known == depth));
        outline(which.unwrap_or(0), centre, r)
    }

    /// What the colours and shapes mean, from this place down.
    pub(super) fn legend(&self, out: &mut String, (left, top): (f64, f64)) -> fmt::Result {
        let mut at = top + 8.0;
        writeln!(out, r#"<g fill="var(--muted, #5d636b)">"#)?;
        if !self.widths.is_empty() {
            writeln!(out, r#"<text x="{left}" y="{at}">width</text>"#)?;
            for &width in &self.widths {
                at += 17.0;
                let mark = outline(0, (left + 6.0, at - 4.0), 4.5);
                writeln!(
                    out,
                    r#"<path d="{mark}" fill="{}"/><text x="{}" y="{at}">{width}</text>"#,
                    self.colour(Some(width)),
                    left + 18.0
                )?;
            }
            at += 26.0;
        }
        if !self.depths.is_empty() {
            writeln!(out, r#"<text x="{left}" y="{at}">layers</text>"#)?;
            for &depth in &self.depths {
                at += 17.0;
                let mark = self.outline(Some(depth), (left + 6.0, at - 4.0), 4.5);
                writeln!(out, r#"<path d="{mark}"/><text x="{}" y="{at}">{depth}</text>"#, left + 18.0)?;
            }
        }
        writeln!(out, "</g>")
    }
}

/// The outline of a mark: circle, square, diamond, triangle, and a triangle upside down, in turn.
fn outline(which: usize, (x, y): (f64, f64), r: f64) -> String {
    let polygon = |corners: &[(f64, f64)]| {
        let corners: Vec<String> =
            corners.iter().map(|(dx, dy)| format!("{:.1} {:.1}", x + dx * r, y + dy * r)).collect();
        format!("M{}Z", corners.join("L"))
    };
    match which % 5 {
        0 => format!("M{:.1} {y:.1}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0Z", x - r, d = 2.0 * r),
        1 => polygon(&[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]),
        2 => polygon(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
        3 => polygon(&[(0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)]),
        _ => polygon(&[(0.0, 1.2), (1.15, -0.85), (-1.15, -0.85)]),
    }
}
