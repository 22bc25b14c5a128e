//! Columns, and the value of a run in each of them.

use super::{
    Result, TableError,
    entry::{Entry, Leaf, urgency},
    inner::Study,
};
use protocol::{
    real::Real,
    stage::{StageKind, StageState},
    table::{Cell, Column, ColumnGroup, ColumnKind},
};
use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    Run,
    Id,
    Name,
    Depth,
    Width,
    Seed,
    Epochs,
    WeightDecay,
    Setting(String),
    State,
    Kind(StageKind),
    Progress,
    Started,
    Finished,
    GpuHours,
    Priority,
    Loss,
    Step,
    Measure(usize, Arc<str>),
}

/// Axes of the grid.
pub(super) const AXES: [Field; 5] =
    [Field::Depth, Field::Width, Field::Seed, Field::Epochs, Field::WeightDecay];

/// A value in a column.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Nothing,
    Number(f64),
    Text(Arc<str>),
    State(StageState),
}

/// When and at which checkpoint values are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Checkpoint index; each run's last one if missing.
    pub checkpoint: Option<u32>,
    /// Milliseconds since 1970.
    pub now: i64,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, Self::Nothing) => true,
            (Self::Number(a), Self::Number(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::State(a), Self::State(b)) => a == b,
            _ => false,
        }
    }
}

// Numbers are equal when their bits are, so that values can be keys; NaN is never among them.
impl Eq for Value {}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Nothing => 0_u8.hash(state),
            Self::Number(number) => number.to_bits().hash(state),
            Self::Text(text) => text.hash(state),
            Self::State(of) => of.hash(state),
        }
    }
}

impl Value {
    fn number(value: Option<f64>) -> Self {
        value.filter(|value| !value.is_nan()).map_or(Self::Nothing, Self::Number)
    }

    /// As it is shown.
    pub fn cell(&self) -> Cell {
        match self {
            Self::Nothing => Cell::Nothing,
            Self::Number(value) => Cell::Number(Real(*value)),
            Self::Text(text) => Cell::Text(text.to_string()),
            Self::State(state) => Cell::Text(state.as_str().to_owned()),
        }
    }

    /// Numbers by size, states by urgency, texts by name; nothing comes last, also where the order is reversed.
    pub fn order(&self, other: &Self, reversed: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Nothing, Self::Nothing) => return Ordering::Equal,
            (Self::Nothing, _) => return Ordering::Greater,
            (_, Self::Nothing) => return Ordering::Less,
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::State(a), Self::State(b)) => urgency(*a).cmp(&urgency(*b)),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            // A column may hold numbers here and texts there.
            (Self::Number(_), _) => Ordering::Less,
            (_, Self::Number(_)) => Ordering::Greater,
            (a, b) => format!("{a:?}").cmp(&format!("{b:?}")),
        };
        if reversed { order.reverse() } else { order }
    }
}

impl Field {
    /// The column of a name.
    pub fn parse(name: &str, study: &Study<'_>) -> Result<Self> {
        let known = match name {
            "run" => Self::Run,
            "id" => Self::Id,
            "name" => Self::Name,
            "depth" | "layers" => Self::Depth,
            "width" => Self::Width,
            "seed" => Self::Seed,
            "epochs" => Self::Epochs,
            "weight_decay" => Self::WeightDecay,
            "state" => Self::State,
            "progress" => Self::Progress,
            "started" => Self::Started,
            "finished" => Self::Finished,
            "gpu_hours" => Self::GpuHours,
            "priority" => Self::Priority,
            "loss" => Self::Loss,
            "step" => Self::Step,
            _ => {
                if let Ok(kind) = name.parse() {
                    return Ok(Self::Kind(kind));
                }
                if let Some(at) = study.measures.iter().position(|measure| **measure == *name) {
                    return Ok(Self::Measure(at, Arc::clone(&study.measures[at])));
                }
                if study.settings.iter().any(|settings| settings.0.contains_key(name)) {
                    return Ok(Self::Setting(name.to_owned()));
                }
                return Err(unknown(name, study));
            }
        };
        Ok(known)
    }

    /// Columns of a list of names, separated by commas.
    pub fn list(names: &str, study: &Study<'_>) -> Result<Vec<Self>> {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| Self::parse(name, study)).collect()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Run => "run",
            Self::Id => "id",
            Self::Name => "name",
            Self::Depth => "depth",
            Self::Width => "width",
            Self::Seed => "seed",
            Self::Epochs => "epochs",
            Self::WeightDecay => "weight_decay",
            Self::Setting(path) => path,
            Self::State => "state",
            Self::Kind(kind) => kind.as_str(),
            Self::Progress => "progress",
            Self::Started => "started",
            Self::Finished => "finished",
            Self::GpuHours => "gpu_hours",
            Self::Priority => "priority",
            Self::Loss => "loss",
            Self::Step => "step",
            Self::Measure(_, name) => name,
        }
    }

    /// What it is about.
    pub const fn group(&self) -> ColumnGroup {
        match self {
            Self::Run | Self::Id | Self::Name => ColumnGroup::Run,
            Self::Depth | Self::Width | Self::Seed | Self::Epochs | Self::WeightDecay => ColumnGroup::Axis,
            Self::Setting(_) => ColumnGroup::Setting,
            Self::State | Self::Kind(_) => ColumnGroup::State,
            Self::Measure(..) => ColumnGroup::Measure,
            _ => ColumnGroup::Progress,
        }
    }

    /// As the API describes it.
    pub fn column(&self, study: &Study<'_>) -> Column {
        let kind = match self {
            Self::Run | Self::Name => ColumnKind::Text,
            Self::State | Self::Kind(_) => ColumnKind::State,
            Self::Started | Self::Finished => ColumnKind::Time,
            Self::Setting(path) => match study.settings.iter().find_map(|settings| settings.0.get(path)) {
                Some(Leaf::Text(_)) => ColumnKind::Text,
                _ => ColumnKind::Number,
            },
            _ => ColumnKind::Number,
        };
        let varies = match self {
            Self::Setting(path) => {
                study.settings.windows(2).any(|two| two[0].0.get(path) != two[1].0.get(path))
            }
            _ => {
                let moment = Moment { checkpoint: None, now: 0 };
                let mut values = study.runs.iter().map(|run| self.value(run, moment));
                let first = values.next();
                first.is_some_and(|first| values.any(|value| value != first))
            }
        };
        Column { name: self.name().to_owned(), kind, group: self.group(), varies }
    }

    /// The value of a run.
    pub fn value(&self, run: &Entry, moment: Moment) -> Value {
        let Moment { checkpoint, now } = moment;
        match self {
            Self::Run => Value::Text(Arc::clone(&run.identifier)),
            Self::Id => Value::Number(run.id.0 as f64),
            Self::Name => Value::Text(Arc::clone(&run.name)),
            Self::Depth => Value::Number(f64::from(run.layers)),
            Self::Width => Value::Number(f64::from(run.width)),
            Self::Seed => Value::Number(f64::from(run.seed)),
            Self::Epochs => Value::Number(f64::from(run.epochs)),
            Self::WeightDecay => Value::Number(run.weight_decay),
            Self::Setting(path) => match run.settings.0.get(path) {
                None => Value::Nothing,
                Some(Leaf::Number(value)) => Value::number(Some(*value)),
                Some(Leaf::Text(text)) => Value::Text(Arc::clone(text)),
            },
            Self::State => run.state().map_or(Value::Nothing, Value::State),
            Self::Kind(kind) => {
                run.stage(*kind, checkpoint).map_or(Value::Nothing, |stage| Value::State(stage.state))
            }
            Self::Progress => progress(run),
            Self::Started => moment_of(
                run.stages
                    .iter()
                    .filter(|stage| stage.kind != StageKind::Prepare)
                    .filter_map(|stage| stage.started)
                    .min(),
            ),
            Self::Finished if run.stages.iter().all(|stage| stage.state.is_final()) => {
                moment_of(run.stages.iter().filter_map(|stage| stage.finished).max())
            }
            Self::Finished => Value::Nothing,
            Self::GpuHours => Value::Number(run.gpu_hours(now)),
            Self::Priority => Value::Number(f64::from(run.priority)),
            Self::Loss => Value::number(run.loss.map(|(_, loss)| loss)),
            Self::Step => Value::number(run.loss.map(|(step, _)| step as f64)),
            Self::Measure(at, _) => {
                Value::number(run.measured(checkpoint).and_then(|values| values.get(*at).copied()))
            }
        }
    }

    /// The values of a run that a filter looks at: of a kind of stage those of all checkpoints, where none is asked
    /// for. A failure counts at whichever of them it happened.
    pub fn values(&self, run: &Entry, moment: Moment) -> Vec<Value> {
        match self {
            Self::Kind(kind) if moment.checkpoint.is_none() && run.stage(*kind, None).is_some() => {
                let of_kind = run.stages.iter().filter(|stage| stage.kind == *kind);
                of_kind.map(|stage| Value::State(stage.state)).collect()
            }
            _ => vec![self.value(run, moment)],
        }
    }
}

fn moment_of(milliseconds: Option<i64>) -> Value {
    Value::number(milliseconds.map(|milliseconds| milliseconds as f64))
}

/// Share of the stages that are done, with what is done of those that run.
fn progress(run: &Entry) -> Value {
    if run.stages.is_empty() {
        return Value::Nothing;
    }
    let done = |stage: &crate::store::TableStage| match stage.state {
        StageState::Done => 1.0,
        _ => stage.progress.unwrap_or_default(),
    };
    Value::Number(run.stages.iter().map(done).sum::<f64>() / run.stages.len() as f64)
}

/// All columns of a study.
pub(super) fn all(study: &Study<'_>) -> Vec<Field> {
    let mut fields = vec![Field::Run, Field::Id, Field::Name];
    fields.extend(AXES);
    let paths: BTreeSet<&String> = study.settings.iter().flat_map(|settings| settings.0.keys()).collect();
    fields.extend(paths.into_iter().map(|path| Field::Setting(path.clone())));
    fields.push(Field::State);
    fields.extend(StageKind::ALL.iter().map(|&kind| Field::Kind(kind)));
    fields.extend([Field::Progress, Field::Started, Field::Finished, Field::GpuHours]);
    fields.extend([Field::Priority, Field::Step, Field::Loss]);
    let measured = |at: usize| {
        let has = |values: &Vec<f64>| values.get(at).is_some_and(|value| !value.is_nan());
        study.runs.iter().any(|run| run.measures.values().any(has))
    };
    let measures = study.measures.iter().enumerate().filter(|&(at, _)| measured(at));
    fields.extend(measures.map(|(at, name)| Field::Measure(at, Arc::clone(name))));
    fields
}

fn unknown(name: &str, study: &Study<'_>) -> TableError {
    let close = |field: &Field| {
        let (known, name) = (field.name().to_lowercase(), name.to_lowercase());
        known.contains(&name) || name.contains(&known) || known.rsplit('.').next() == Some(&*name)
    };
    let mut close: Vec<_> =
        all(study).into_iter().filter(close).map(|field| field.name().to_owned()).collect();
    close.truncate(5);
    let hint = if close.is_empty() {
        "try depth, width, seed, state, train or val_loss".to_owned()
    } else {
        format!("did you mean {}?", close.join(" or "))
    };
    TableError::Query(format!("{name} is not a column of this study; {hint}"))
}
