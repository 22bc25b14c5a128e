//! A run in memory.

use crate::store::TableStage;
use protocol::{
    ids::RunId,
    run::RunConfig,
    stage::{StageKind, StageState},
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc};

/// A run with all that tables show of it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub id: RunId,
    pub identifier: Arc<str>,
    pub name: Arc<str>,
    pub data_hash: Arc<str>,
    pub layers: u32,
    pub width: u32,
    pub seed: u32,
    pub epochs: u32,
    pub weight_decay: f64,
    pub decay: char,
    pub priority: i32,
    /// Shared by all runs that differ in nothing but the axes.
    pub settings: Arc<Settings>,
    /// Its own stages and the shared `prepare`, by checkpoint and kind.
    pub stages: Vec<TableStage>,
    /// See [`crate::store::TableNews`] for this and the next two.
    pub device_ms: f64,
    pub took_ms: i64,
    pub running: (f64, f64),
    pub loss: Option<(u64, f64)>,
    /// Values by checkpoint, at the positions of the table's measures; NaN for none.
    pub measures: BTreeMap<u32, Vec<f64>>,
}

/// The leaves of a configuration without its axes, by path.
#[derive(Debug, PartialEq)]
pub(super) struct Settings(pub BTreeMap<String, Leaf>);

/// A leaf of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Leaf {
    Number(f64),
    Text(Arc<str>),
}

impl Settings {
    /// The leaves of a configuration.
    pub fn of(config: &RunConfig) -> Self {
        let mut leaves = BTreeMap::new();
        let mut tree = serde_json::to_value(config).unwrap_or_default();
        if let Json::Object(fields) = &mut tree {
            for axis in ["layers", "width", "seed", "epochs", "weight_decay", "decay"] {
                fields.remove(axis);
            }
        }
        flatten(&mut leaves, String::new(), tree);
        Self(leaves)
    }
}

fn flatten(leaves: &mut BTreeMap<String, Leaf>, path: String, value: Json) {
    let leaf = match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                flatten(leaves, path, value);
            }
            return;
        }
        Json::Null => return,
        Json::Number(number) => Leaf::Number(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Leaf::Text(text.into()),
        Json::Bool(flag) => Leaf::Text(flag.to_string().into()),
        Json::Array(items) => {
            let text = |item: &Json| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned);
            Leaf::Text(items.iter().map(text).collect::<Vec<_>>().join(",").into())
        }
    };
    leaves.insert(path, leaf);
}

impl Entry {
    /// The checkpoint that is meant: the one asked for, or the last that is planned.
    pub fn checkpoint(&self, asked: Option<u32>) -> Option<u32> {
        asked.or_else(|| self.stages.iter().filter_map(|stage| stage.checkpoint).max())
    }

    /// The stage of a kind at a checkpoint.
    pub fn stage(&self, kind: StageKind, asked: Option<u32>) -> Option<&TableStage> {
        let checkpoint = if kind.per_checkpoint() { self.checkpoint(asked) } else { None };
        self.stages.iter().find(|stage| stage.kind == kind && stage.checkpoint == checkpoint)
    }

    /// The state that most needs a person, of all its stages.
    pub fn state(&self) -> Option<StageState> {
        self.stages.iter().map(|stage| stage.state).min_by_key(|&state| urgency(state))
    }

    /// The measures at the checkpoint that is meant. An earlier one does not stand in for a last one that is not
    /// analysed (yet): means over runs would mix checkpoints.
    pub fn measured(&self, asked: Option<u32>) -> Option<&[f64]> {
        self.measures.get(&self.checkpoint(asked)?).map(Vec::as_slice)
    }

    /// Hours of its attempts on a device.
    pub fn gpu_hours(&self, now: i64) -> f64 {
        let (running, starts) = self.running;
        (self.device_ms + (running * now as f64 - starts).max(0.0)) / 3_600_000.0
    }
}

/// Position of a state among all, the one first that most needs a person.
pub(super) const fn urgency(state: StageState) -> u8 {
    match state {
        StageState::Failed => 0,
        StageState::Running => 1,
        StageState::Queued => 2,
        StageState::Ready => 3,
        StageState::Waiting => 4,
        StageState::Cancelled => 5,
        StageState::Skipped => 6,
        StageState::Done => 7,
    }
}
