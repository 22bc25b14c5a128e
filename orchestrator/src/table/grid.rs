//! Two axes of the grid as a heat map.

use super::{
    Result, TableError,
    entry::{Entry, urgency},
    field::{Field, Moment, Value},
    filter::Filter,
    inner::Study,
    pool,
};
use chrono::{DateTime, Utc};
use protocol::{
    real::Real,
    stage::StageState,
    table::{Axis, ColumnKind, HeatMap},
    view::StageCounts,
};
use std::collections::BTreeMap;

/// The most cells that are answered.
const MOST: usize = 40_000;

/// What is asked of the heat map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridQuery {
    /// The axis from left to right.
    pub x: String,
    /// The axis from top to bottom.
    pub y: String,
    /// The column shown.
    pub value: String,
    /// Only runs that fit.
    pub filter: String,
    /// Checkpoint index; each run's last one if missing.
    pub checkpoint: Option<u32>,
}

/// The heat map.
pub(super) fn grid(study: &Study<'_>, query: &GridQuery, now: DateTime<Utc>) -> Result<HeatMap> {
    let moment = Moment { checkpoint: query.checkpoint, now: now.timestamp_millis() };
    let filter = Filter::parse(&query.filter, study)?;
    let (x, y) = (axis_field(&query.x, study)?, axis_field(&query.y, study)?);
    let field = Field::parse(&query.value, study)?;
    let value = field.column(study);
    if value.kind == ColumnKind::Text {
        return Err(TableError::Query(format!(
            "value={}: holds text; take a state or a number",
            query.value
        )));
    }
    let runs: Vec<&Entry> = study.runs.iter().copied().filter(|run| filter.fits(run, moment)).collect();
    let (x, y) = (Places::of(&x, &runs, moment), Places::of(&y, &runs, moment));
    let size = x.axis.values.len() * y.axis.values.len();
    if size > MOST {
        let detail = format!("{} x {} has {size} cells; at most {MOST} are drawn: filter", query.x, query.y);
        return Err(TableError::Query(detail));
    }
    let mut cells: Vec<Vec<&Entry>> = vec![Vec::new(); size];
    for run in runs {
        if let (Some(i), Some(j)) = (x.place(run, moment), y.place(run, moment)) {
            cells[j * x.axis.values.len() + i].push(run);
        }
    }
    let mut map = HeatMap {
        runs: cells.iter().map(|runs| runs.len() as u32).collect(),
        run: cells.iter().map(|runs| if let [run] = runs[..] { Some(run.id) } else { None }).collect(),
        state: Vec::new(),
        mixed: BTreeMap::new(),
        mean: Vec::new(),
        se: Vec::new(),
        x: x.axis,
        y: y.axis,
        value,
    };
    for (place, runs) in cells.iter().enumerate() {
        let values = runs.iter().map(|run| field.value(run, moment));
        if map.value.kind == ColumnKind::State {
            let states =
                values.filter_map(|value| if let Value::State(state) = value { Some(state) } else { None });
            add_states(&mut map, place, &states.collect::<Vec<_>>());
        } else {
            let numbers = values
                .filter_map(|value| if let Value::Number(number) = value { Some(number) } else { None });
            let numbers: Vec<f64> = numbers.collect();
            let spread = (!numbers.is_empty()).then(|| pool::spread(&numbers));
            map.mean.push(spread.map(|spread| spread.mean));
            map.se.push(spread.and_then(|spread| spread.se));
        }
    }
    Ok(map)
}

fn add_states(map: &mut HeatMap, place: usize, states: &[StageState]) {
    map.state.push(states.iter().copied().min_by_key(|&state| urgency(state)));
    if states.windows(2).any(|two| two[0] != two[1]) {
        let mut counts = StageCounts::default();
        for &state in states {
            counts.add(state);
        }
        map.mixed.insert(place as u32, counts);
    }
}

fn axis_field(name: &str, study: &Study<'_>) -> Result<Field> {
    let field = Field::parse(name, study)?;
    match (&field, field.column(study).kind) {
        (Field::Depth | Field::Width | Field::Seed | Field::Epochs | Field::WeightDecay, _)
        | (Field::Setting(_), ColumnKind::Number) => Ok(field),
        _ => {
            let axes = super::field::AXES.iter().map(Field::name).collect::<Vec<_>>().join(", ");
            Err(TableError::Query(format!(
                "{name} is not an axis; take one of {axes}, or a setting with numbers"
            )))
        }
    }
}

/// The values of an axis and where they lie.
pub(super) struct Places {
    pub axis: Axis,
    field: Field,
}

impl Places {
    /// The axis that runs have.
    pub fn of(field: &Field, runs: &[&Entry], moment: Moment) -> Self {
        let number = |run: &&Entry| match field.value(run, moment) {
            Value::Number(number) => Some(number),
            _ => None,
        };
        let mut values: Vec<f64> = runs.iter().filter_map(number).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let values = values.into_iter().map(Real).collect();
        Self { axis: Axis { name: field.name().to_owned(), values }, field: field.clone() }
    }

    fn place(&self, run: &Entry, moment: Moment) -> Option<usize> {
        match self.field.value(run, moment) {
            Value::Number(number) => {
                self.axis.values.binary_search_by(|value| value.0.total_cmp(&number)).ok()
            }
            _ => None,
        }
    }
}
