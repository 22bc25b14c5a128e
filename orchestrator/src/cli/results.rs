//! Results as a table: one column per measure, or one row per measure where that is too wide.

use super::{
    output::{Screen, View},
    table,
};
use protocol::view::Results;
use serde::Serialize;

/// Columns of a screen that is not a terminal.
const PLAIN_WIDTH: usize = 120;

/// The measures of a study.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct ResultsTable<'a>(pub &'a Results);

impl View for ResultsTable<'_> {
    fn table(&self, screen: Screen) -> String {
        let Results { columns, rows } = self.0;
        if rows.is_empty() {
            return "no results yet".to_owned();
        }
        let mut cells: Vec<Vec<String>> =
            vec![std::iter::once("model".to_owned()).chain(columns.iter().cloned()).collect()];
        for row in rows {
            let values = columns
                .iter()
                .map(|column| row.values.get(column).map(|value| table::number(*value)).unwrap_or_default());
            cells.push(std::iter::once(row.model.clone()).chain(values).collect());
        }
        let limit = screen.width.map_or(PLAIN_WIDTH, usize::from);
        if width(&cells) > limit {
            cells = transposed(&cells);
        }
        let right: Vec<_> = (1..cells[0].len()).collect();
        // Models that still don't fit side by side go into blocks below each other.
        let mut blocks = Vec::new();
        let mut from = 1;
        while from < cells[0].len() {
            let mut to = from + 1;
            while to < cells[0].len() && width(&part(&cells, from, to + 1)) <= limit {
                to += 1;
            }
            let block = part(&cells, from, to);
            blocks.push(table::ruled(&block[0], &block[1..], &right[..to - from], screen));
            from = to;
        }
        blocks.join("\n\n")
    }
}

fn part(cells: &[Vec<String>], from: usize, to: usize) -> Vec<Vec<String>> {
    cells.iter().map(|row| [&row[..1], &row[from..to]].concat()).collect()
}

fn width(cells: &[Vec<String>]) -> usize {
    let columns = cells.first().map_or(0, Vec::len);
    (0..columns).map(|i| cells.iter().map(|row| row[i].chars().count()).max().unwrap_or(0) + 2).sum()
}

fn transposed(cells: &[Vec<String>]) -> Vec<Vec<String>> {
    (0..cells[0].len()).map(|i| cells.iter().map(|row| row[i].clone()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::{ResultsTable, Screen, View};
    use protocol::{output::MeasureRow, real::Real, view::Results};

    fn results(columns: usize) -> Results {
        let columns: Vec<_> = (0..columns).map(|i| format!("measure_{i}")).collect();
        let values = columns.iter().map(|column| (column.clone(), Real(0.5))).collect();
        Results { columns, rows: vec![MeasureRow { model: "01x0032_01d00@0".into(), values }] }
    }

    fn shown(columns: usize, width: u16) -> String {
        ResultsTable(&results(columns)).table(Screen { width: Some(width) })
    }

    #[test]
    fn a_wide_table_is_turned_so_that_it_fits() {
        let text = shown(25, 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.lines().any(|line| line.trim().starts_with("measure_24")), "{text}");
        let narrow = shown(2, 80);
        assert!(narrow.lines().any(|line| line.trim().starts_with("01x0032_01d00@0")), "{narrow}");
    }
}
