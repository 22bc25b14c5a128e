//! A scatter plot in characters: one letter per model, with a legend.

use super::Panel;
use crate::report::scale::{self, Scale};
use std::fmt::Write as _;

const ROWS: usize = 14;
/// Width of the numbers on the left.
const GUTTER: usize = 9;
const NARROWEST: usize = 24;
const WIDEST: usize = 72;

/// Draws a panel at most `columns` wide (but never narrower than it can be read).
pub(super) fn draw(panel: &Panel, columns: usize) -> String {
    let width = columns.saturating_sub(GUTTER + 4).clamp(NARROWEST, WIDEST);
    let x = Scale::around(panel.points.iter().map(|point| point.loss));
    let y = Scale::around(panel.points.iter().map(|point| point.value));
    let mut cells = vec![vec![' '; width]; ROWS];
    for point in &panel.points {
        let column = place(x.share(point.loss), width);
        let row = ROWS - 1 - place(y.share(point.value), ROWS);
        // Models that fall on one spot share a star.
        cells[row][column] = if cells[row][column] == ' ' { letter(point.index) } else { '*' };
    }
    let mut labels = vec![String::new(); ROWS];
    for tick in y.ticks(5) {
        labels[ROWS - 1 - place(y.share(tick), ROWS)] = scale::label(tick);
    }
    let mut out = format!("{} ({})\n", panel.measure, panel.meaning);
    for (label, row) in labels.iter().zip(&cells) {
        let mark = if label.is_empty() { '│' } else { '┤' };
        let row: String = row.iter().collect();
        line(&mut out, &format!("{label:>GUTTER$} {mark}{row}"));
    }
    let mut axis = vec!['─'; width];
    let mut below = vec![' '; GUTTER + 2 + width];
    for tick in x.ticks(4) {
        let column = place(x.share(tick), width);
        axis[column] = '┬';
        let text = scale::label(tick);
        let start = (GUTTER + 2 + column).saturating_sub(text.len() / 2).min(below.len() - text.len());
        for (cell, c) in below[start..].iter_mut().zip(text.chars()) {
            *cell = c;
        }
    }
    line(&mut out, &format!("{:GUTTER$} └{}", "", axis.iter().collect::<String>()));
    line(&mut out, &below.iter().collect::<String>());
    line(&mut out, &format!("{:>1$}", "validation loss (nats per token)", GUTTER + 2 + width));
    let mut legend = String::new();
    for point in &panel.points {
        let entry = format!("{} {}", letter(point.index), point.model);
        if !legend.is_empty() && legend.len() + entry.len() + 3 > GUTTER + 2 + width {
            line(&mut out, &legend);
            legend.clear();
        }
        if !legend.is_empty() {
            legend.push_str("   ");
        }
        legend.push_str(&entry);
    }
    line(&mut out, &legend);
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("writing to a string");
}

fn place(share: f64, cells: usize) -> usize {
    ((share * cells as f64) as usize).min(cells - 1)
}

/// A to Z, then a to z, then a dot.
fn letter(index: usize) -> char {
    ('A'..='Z').chain('a'..='z').nth(index).unwrap_or('•')
}
