//! Measures against validation loss as text, for the terminal.

mod text;

use protocol::view::Results;

/// Measures worth a look, in order; those that a study lacks are left out.
const MEASURES: [(&str, &str); 4] = [
    ("cdnv", "class-distance normalised variance"),
    ("etf_error", "distance to a simplex ETF"),
    ("dual_error", "distance to self-duality"),
    ("simcos_mean", "mean cosine of classifier and class mean"),
];
/// What they are drawn against.
const LOSS: &str = "val_loss";

/// One measure of every model that has it.
#[derive(Clone, Debug, PartialEq)]
struct Panel {
    measure: &'static str,
    meaning: &'static str,
    points: Vec<Point>,
}

#[derive(Clone, Debug, PartialEq)]
struct Point {
    model: String,
    /// Position among all models; decides letter and colour.
    index: usize,
    loss: f64,
    value: f64,
}

/// The first measure that the study has, as text; empty if there is nothing to draw.
pub(super) fn text(results: &Results, columns: usize) -> String {
    let panel = |&(measure, meaning): &(&'static str, &'static str)| {
        let points: Vec<_> = results
            .rows
            .iter()
            .enumerate()
            .filter_map(|(index, row)| {
                let (loss, value) = (row.values.get(LOSS)?.0, row.values.get(measure)?.0);
                (loss.is_finite() && value.is_finite()).then(|| Point {
                    model: row.model.clone(),
                    index,
                    loss,
                    value,
                })
            })
            .collect();
        (!points.is_empty()).then_some(Panel { measure, meaning, points })
    };
    MEASURES.iter().find_map(panel).map(|panel| text::draw(&panel, columns)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::text;
    use protocol::{output::MeasureRow, real::Real, view::Results};

    fn results(rows: &[(&str, f64, f64)]) -> Results {
        let row = |&(model, loss, value): &(&str, f64, f64)| MeasureRow {
            model: model.into(),
            values: [("val_loss".to_owned(), Real(loss)), ("etf_error".to_owned(), Real(value))].into(),
        };
        Results { columns: vec!["val_loss".into(), "etf_error".into()], rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn every_model_is_in_the_text_and_its_legend() {
        let drawn = text(&results(&[("small@0", 3.0, 0.5), ("large@0", 2.0, 0.25)]), 60);
        let body: Vec<_> = drawn.lines().collect();
        assert!(body[0].contains("etf_error"), "{drawn}");
        assert!(drawn.contains("A small@0") && drawn.contains("B large@0"), "{drawn}");
        let row = |letter: char| body.iter().skip(1).position(|line| line.contains(letter)).unwrap();
        assert!(row('A') < row('B'), "the larger value is higher up:\n{drawn}");
        assert!(body.iter().all(|line| line.chars().count() <= 60), "{drawn}");
    }

    #[test]
    fn equal_and_missing_values_are_no_obstacle() {
        assert!(text(&results(&[("a@0", 3.0, 0.5), ("b@0", 3.0, 0.5)]), 60).contains("A a@0"));
        assert_eq!(text(&results(&[("a@0", 3.0, f64::NAN)]), 60), "");
    }
}
