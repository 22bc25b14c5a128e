//! What the dashboard asks about many runs at once: the runs table, the heat map, failures, actions on a
//! selection. A selection is written as a filter, for example `depth=2 width>=256 train=failed`.

use crate::{
    ids::{AttemptId, RunId, StageId},
    real::Real,
    run::RunConfig,
    stage::{AttemptState, StageKind, StageRef, StageState},
    study::StudySpec,
    view::{StageCounts, StudySummary, views},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What kind of value a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// The state of a stage, or of all of a run's.
    State,
    /// A moment, milliseconds since 1970 in UTC.
    Time,
    /// A duration in seconds.
    Duration,
}

/// What a column is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ColumnGroup {
    /// The run itself: `run`, `id`.
    Run,
    /// An axis of the grid: `depth`, `width`, `seed`, `epochs`, `weight_decay`.
    Axis,
    /// Another setting, by its path in the configuration: `training.learning_rate`.
    Setting,
    /// `state`, and the state of each kind of stage: `train`.
    State,
    /// Times, GPU-hours, the newest training loss.
    Progress,
    /// A column of the results.
    Measure,
}

/// A cell of the runs table: nothing, a number, a text, or the numbers of several runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Cell {
    /// Of several runs.
    Spread(Spread),
    /// A number.
    Number(Real),
    /// A text.
    Text(String),
    /// No value.
    Nothing,
}

/// What to do with the stages of a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ActionVerb {
    /// Try failed, cancelled and skipped stages again.
    Retry,
    /// Stop what is not over.
    Cancel,
    /// Start these before runs of lower priority.
    Prioritise,
}

views! {
    /// The numbers of several runs in one.
    #[derive(Copy)]
    Spread {
        /// Mean.
        mean: Real,
        /// Standard error of the mean: the sample's standard deviation over the root of `n`; nothing for one.
        se: Option<Real>,
        /// Number of values.
        n: u64,
    }

    /// A column of the runs table.
    Column {
        /// Its name in filters, sort keys and downloads.
        name: String,
        /// What kind of value.
        kind: ColumnKind,
        /// What it is about.
        group: ColumnGroup,
        /// Whether runs of the study differ in it.
        varies: bool,
    }

    /// An axis of the grid.
    Axis {
        /// Its column.
        name: String,
        /// Its values, rising.
        values: Vec<Real>,
    }

    /// How many stages of a kind are in each state.
    KindCounts {
        /// Kind.
        kind: StageKind,
        /// Stages by state.
        counts: StageCounts,
    }

    /// A view of a study's table that a person saved.
    SavedView {
        /// Its name.
        name: String,
        /// The query string of its page, without `?`.
        query: String,
    }

    /// `GET /api/v1/studies/{name}/board`: a study without its runs.
    StudyBoard {
        /// Summary.
        summary: StudySummary,
        /// As asked for; nothing for published results.
        spec: Option<StudySpec>,
        /// Stages by kind and state.
        kinds: Vec<KindCounts>,
        /// Axes of the grid, as its runs have them.
        axes: Vec<Axis>,
        /// Columns of the runs table.
        columns: Vec<Column>,
        /// Highest checkpoint index of a run.
        last_checkpoint: Option<u32>,
        /// Saved views, by name.
        views: Vec<SavedView>,
    }

    /// `GET /api/v1/studies/{name}/runs`
    RunsPage {
        /// The columns shown, in order.
        columns: Vec<Column>,
        /// Rows of this page.
        rows: Vec<TableRow>,
        /// Rows in all.
        total: u64,
        /// Runs that the filter lets through.
        runs: u64,
    }

    /// A row of the runs table: a run, or several that differ only in what is averaged over.
    TableRow {
        /// The run; nothing for several.
        run: Option<RunId>,
        /// Number of runs.
        runs: u64,
        /// A filter that selects these runs.
        filter: String,
        /// One per column.
        cells: Vec<Cell>,
    }

    /// `GET /api/v1/studies/{name}/grid`: a heat map. Cells are listed row by row: that of the x value `i` and
    /// the y value `j` is at `j * x.values.len() + i`.
    HeatMap {
        /// From left to right.
        x: Axis,
        /// From top to bottom.
        y: Axis,
        /// The column shown.
        value: Column,
        /// Runs in each cell.
        runs: Vec<u32>,
        /// The run, where a cell has only one.
        run: Vec<Option<RunId>>,
        /// For states: the one that most needs a person, of those in the cell.
        state: Vec<Option<StageState>>,
        /// For states: how many stages are in which, where there are several.
        mixed: BTreeMap<u32, StageCounts>,
        /// For numbers: their mean.
        mean: Vec<Option<Real>>,
        /// For numbers: the standard error of the mean.
        se: Vec<Option<Real>>,
    }

    /// `POST /api/v1/studies/{name}/actions`
    Action {
        /// What to do.
        verb: ActionVerb,
        /// Which runs, as a filter; all of the study if empty.
        #[serde(default)]
        filter: String,
        /// Checkpoint index that the filter is about, as in the runs table.
        #[serde(default)]
        checkpoint: Option<u32>,
        /// Only these stages: `means`, or of one checkpoint `means@2`; all but the shared `prepare` if empty.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        kinds: Vec<StageRef>,
        /// The new priority, from -100 to 100; 0 is usual, higher goes first.
        #[serde(default)]
        priority: Option<i32>,
    }

    /// What an action changed, or would with `dry_run=true`.
    Acted {
        /// Runs that the filter selects.
        runs: u64,
        /// Stages that changed.
        stages: u64,
        /// The same by kind.
        kinds: Vec<(StageKind, u64)>,
        /// What to know about it; one line.
        note: Option<String>,
    }

    /// `GET /api/v1/runs/{id}/curve`: the training curve, at most `2 * points` of its points: the lowest and the
    /// highest of each column of pixels. Columns are parallel.
    Curve {
        /// Steps planned in all.
        total_steps: Option<u64>,
        /// Points recorded in all.
        recorded: u64,
        /// Optimizer step, from 1.
        step: Vec<u64>,
        /// Tokens trained on.
        tokens: Vec<f64>,
        /// Seconds of training, as the recorded pace says; without pauses.
        seconds: Vec<f64>,
        /// The value asked for.
        value: Vec<Real>,
        /// Its exponential moving average over all recorded points; empty unless asked for.
        smooth: Vec<Real>,
    }

    /// One run's configuration beside others'.
    Compared {
        /// The run.
        run: RunId,
        /// Identifier.
        identifier: String,
        /// Studies that hold it.
        studies: Vec<String>,
        /// Canonical configuration.
        config: RunConfig,
    }

    /// `GET /api/v1/failures`: what went wrong, by cause, the largest group first.
    Failures {
        /// Groups.
        groups: Vec<FailureGroup>,
    }

    /// Stages that failed in the same way.
    FailureGroup {
        /// How the attempts ended.
        state: AttemptState,
        /// Kind of the stages.
        kind: StageKind,
        /// The message that they share, numbers and paths left out.
        cause: String,
        /// What to do about it.
        suggestion: String,
        /// Whether trying again without a change can help.
        transient: bool,
        /// Stages that failed for good.
        failed: u64,
        /// Attempts that ended so but were followed by another.
        retried: u64,
        /// Stages that were skipped because of them.
        skipped: u64,
        /// First time.
        first: DateTime<Utc>,
        /// Last time.
        last: DateTime<Utc>,
        /// Studies concerned.
        studies: Vec<String>,
        /// Examples, the newest first, five at most.
        cases: Vec<FailureCase>,
    }

    /// The evidence of one failed attempt.
    FailureCase {
        /// The run; nothing for `prepare`.
        run: Option<RunId>,
        /// Its identifier.
        identifier: Option<String>,
        /// The stage.
        stage: StageId,
        /// Checkpoint index.
        checkpoint: Option<u32>,
        /// The attempt.
        attempt: AttemptId,
        /// Counts from 1 within the stage.
        number: u32,
        /// Its whole message.
        message: Option<String>,
        /// Host and process or job.
        place: Option<String>,
        /// The cluster's node.
        node: Option<String>,
        /// The cluster's word for its end.
        slurm_state: Option<String>,
        /// Exit code.
        exit_code: Option<i32>,
        /// Signal.
        signal: Option<i32>,
        /// When the worker was last heard of.
        heard: Option<DateTime<Utc>>,
        /// When it ended.
        finished: Option<DateTime<Utc>>,
        /// The end of its log.
        log: Vec<String>,
    }

    /// The data of a server-sent event of `GET /api/v1/moves`: something that a page shows may have changed.
    Moved {
        /// Rises with every change; starts anew with every daemon.
        version: u64,
        /// Studies in which something moved.
        studies: Vec<String>,
        /// Runs that have new points of their training curve, when one run is followed.
        curve: bool,
    }

    /// `GET /api/v1/runs/{id}/classes`: a value of single classes against how often they occur, in bins of equal
    /// width in the logarithm of the count.
    ClassCurve {
        /// The column of values.
        column: String,
        /// Columns to choose from.
        columns: Vec<String>,
        /// Classes in all.
        classes: u64,
        /// Geometric middle of each bin's counts.
        count: Vec<f64>,
        /// Classes in the bin.
        n: Vec<u64>,
        /// Their median.
        median: Vec<Real>,
        /// Lower quartile.
        lower: Vec<Real>,
        /// Upper quartile.
        upper: Vec<Real>,
    }
}
