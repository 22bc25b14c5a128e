//! What the stream of changes tells.

use super::{StageView, views};
use crate::{
    attempt::MetricPoint,
    ids::{ChangeId, RunId},
};
use serde::{Deserialize, Serialize};

views! {
    /// The data of a server-sent event of `GET /api/v1/changes`; its id is the event's id.
    Change {
        /// Position in the stream.
        id: ChangeId,
        /// Names of the studies concerned.
        studies: Vec<String>,
        /// What changed.
        body: ChangeBody,
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChangeBody {
    /// A study was created or extended.
    Study,
    /// A stage has a new state or new progress.
    Stage {
        /// The stage as it is now.
        stage: StageView,
    },
    /// New points of a training curve.
    Metrics {
        /// The run.
        run: RunId,
        /// The points.
        points: Vec<MetricPoint>,
    },
    /// A row of results.
    Results {
        /// The run.
        run: RunId,
    },
}
