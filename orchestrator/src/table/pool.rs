//! Rows of the runs table: single runs, or runs that differ only in what is averaged over.

use super::{
    entry::{Entry, urgency},
    field::{AXES, Field, Moment, Value},
    inner::Study,
};
use protocol::{
    identifier::Identifier,
    real::Real,
    table::{Cell, Spread},
};
use std::collections::HashMap;

/// Runs that are one row, and what they have in common.
pub(super) struct Row<'a> {
    pub runs: Vec<&'a Entry>,
    pub key: Vec<(Field, Value)>,
}

/// Runs that agree in every axis and setting but those of `over`, in the order of their first ones.
pub(super) fn pool<'a>(
    study: &Study<'_>,
    runs: Vec<&'a Entry>,
    over: &[Field],
    moment: Moment,
) -> Vec<Row<'a>> {
    let settings = super::field::all(study).into_iter().filter(|field| matches!(field, Field::Setting(_)));
    let varying = AXES.into_iter().chain(settings).filter(|field| field.column(study).varies);
    let keys: Vec<Field> = varying.filter(|field| !over.contains(field)).collect();
    let mut rows: Vec<Row<'a>> = Vec::new();
    let mut places: HashMap<Vec<Value>, usize> = HashMap::new();
    for run in runs {
        let values: Vec<Value> = keys.iter().map(|field| field.value(run, moment)).collect();
        let place = *places.entry(values.clone()).or_insert_with(|| {
            rows.push(Row { runs: Vec::new(), key: keys.iter().cloned().zip(values).collect() });
            rows.len() - 1
        });
        rows[place].runs.push(run);
    }
    rows
}

impl<'a> Row<'a> {
    /// The run, if it is only one and was not pooled.
    pub fn single(&self) -> Option<&'a Entry> {
        if self.key.is_empty() && self.runs.len() == 1 { self.runs.first().copied() } else { None }
    }

    /// Its value for sorting: the mean of several numbers.
    pub fn value(&self, field: &Field, moment: Moment) -> Value {
        if let [run] = self.runs[..] {
            return field.value(run, moment);
        }
        match self.cell(field, moment) {
            Cell::Spread(spread) => Value::Number(spread.mean.0),
            Cell::Number(value) => Value::Number(value.0),
            Cell::Text(text) => text.parse().map_or_else(|_| Value::Text(text.into()), Value::State),
            Cell::Nothing => Value::Nothing,
        }
    }

    /// Its cell in a column.
    pub fn cell(&self, field: &Field, moment: Moment) -> Cell {
        if let Some(run) = self.single() {
            return field.value(run, moment).cell();
        }
        if let Some((_, value)) = self.key.iter().find(|(of, _)| of == field) {
            return value.cell();
        }
        if *field == Field::Run {
            return common_name(&self.runs);
        }
        let values: Vec<Value> = self.runs.iter().map(|run| field.value(run, moment)).collect();
        if let Some(state) = worst(&values) {
            return state;
        }
        let numbers: Vec<f64> = values
            .iter()
            .filter_map(|value| if let Value::Number(number) = value { Some(*number) } else { None })
            .collect();
        match numbers.as_slice() {
            [] if values.windows(2).all(|two| two[0] == two[1]) => {
                values.first().map_or(Cell::Nothing, Value::cell)
            }
            [] => Cell::Nothing,
            numbers => Cell::Spread(spread(numbers)),
        }
    }
}

/// Mean and standard error of the mean.
pub(super) fn spread(numbers: &[f64]) -> Spread {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    let se = (numbers.len() > 1).then(|| Real((squares / (n - 1.0) / n).sqrt()));
    Spread { mean: Real(mean), se, n: numbers.len() as u64 }
}

fn worst(values: &[Value]) -> Option<Cell> {
    let states =
        values.iter().filter_map(|value| if let Value::State(state) = value { Some(*state) } else { None });
    states.min_by_key(|&state| urgency(state)).map(|state| Value::State(state).cell())
}

/// The identifier without the seed, where all agree in the rest.
fn common_name(runs: &[&Entry]) -> Cell {
    let stem = |run: &&Entry| Identifier {
        layers: run.layers,
        width: run.width,
        epochs: run.epochs,
        decay: run.decay,
        seed: None,
    };
    let mut stems = runs.iter().map(stem);
    match stems.next() {
        Some(first) if stems.all(|stem| stem == first) => Cell::Text(first.to_string()),
        _ => Cell::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn the_standard_error_is_that_of_the_mean() {
        let of = spread(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!((of.mean.0, of.n), (2.5, 4));
        // The sample's standard deviation is sqrt(5/3); over the root of 4.
        assert!((of.se.unwrap().0 - (5.0_f64 / 3.0).sqrt() / 2.0).abs() < 1e-15);
        assert_eq!(spread(&[7.0]).se, None);
    }
}
