//! How the models of a figure look: their colours and shapes, and the legend that says what these mean.

use protocol::identifier::Identifier;
use std::fmt::{self, Write};

/// How opaque marks are: some of a mark shows through another one.
pub(super) const OPACITY: f64 = 0.9;
/// Hues of the first and the last width: from teal over blue to magenta.
const HUES: (f64, f64) = (172.0, 322.0);
/// How light colours are from the first hue to the last, in percent, so that marks have a contrast of 3:1 on light and on dark ground.
const LIGHTNESS: [f64; 11] = [34.0, 37.0, 44.0, 55.0, 62.0, 64.0, 62.0, 60.0, 55.0, 53.0, 55.0];

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

    /// Told apart on light and on dark ground, and by people who confuse red and green.
    pub(super) fn colour(&self, width: Option<u32>) -> String {
        let at = width.and_then(|width| self.widths.iter().position(|known| *known == width)).unwrap_or(0);
        let share = if self.widths.len() > 1 { at as f64 / (self.widths.len() - 1) as f64 } else { 0.35 };
        let place = share * (LIGHTNESS.len() - 1) as f64;
        let (before, after) = (LIGHTNESS[place.floor() as usize], LIGHTNESS[place.ceil() as usize]);
        let lightness = before + (after - before) * place.fract();
        format!("hsl({:.0} 60% {lightness:.0}%)", HUES.0 + share * (HUES.1 - HUES.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Red, green and blue of `hsl(H S% L%)`, each from 0 to 1.
    fn rgb(colour: &str) -> [f64; 3] {
        let parts: Vec<f64> = colour
            .trim_start_matches("hsl(")
            .split([' ', '%', ')'])
            .filter_map(|part| part.parse().ok())
            .collect();
        let (hue, saturation, lightness) = (parts[0], parts[1] / 100.0, parts[2] / 100.0);
        [0.0, 8.0, 4.0].map(|offset| {
            let k = (offset + hue / 30.0) % 12.0;
            let height = (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
            lightness - saturation * lightness.min(1.0 - lightness) * height
        })
    }

    /// The relative luminance of WCAG 2.
    fn luminance(rgb: [f64; 3]) -> f64 {
        let [r, g, b] =
            rgb.map(|c| if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055_f64).powf(2.4) });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn marks_stand_out_from_light_and_from_dark_ground() {
        for count in 1..=12 {
            let widths: Vec<u32> = (1..=count).map(|at| 16 * at).collect();
            let looks = Looks { widths: widths.clone(), depths: Vec::new() };
            for width in widths {
                let colour = looks.colour(Some(width));
                for ground in [[255, 255, 255], [0x1a, 0x1d, 0x21], [0x13, 0x15, 0x18]] {
                    let ground = ground.map(|c: u8| f64::from(c) / 255.0);
                    let mark = rgb(&colour);
                    let seen = [0, 1, 2].map(|c| OPACITY * mark[c] + (1.0 - OPACITY) * ground[c]);
                    let (a, b) = (luminance(seen), luminance(ground));
                    let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                    assert!(contrast >= 3.0, "{colour} on {ground:?}: {contrast}");
                }
            }
        }
    }
}
