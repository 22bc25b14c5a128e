//! What the daemon's API answers to `lcctl` and to the dashboard.

mod change;
mod counts;

use crate::{
    attempt::Progress,
    ids::{AttemptId, RunId, StageId},
    output::{MeasureRow, StageOutput},
    report::Origin,
    run::RunConfig,
    stage::{AttemptState, StageKind, StageState},
    study::StudySpec,
};
pub use change::{Change, ChangeBody};
use chrono::{DateTime, Utc};
pub use counts::{StageCounts, StudyState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! views {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $type:ty),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
            pub struct $name { $($(#[$fdoc])* pub $field: $type),+ }
        )+
    };
}
pub(crate) use views;

views! {
    /// `GET /api/v1/health`
    Health {
        /// Version of the daemon.
        version: String,
        /// `LC_ROOT`.
        root: String,
        /// `local` or `slurm`.
        executor: String,
        /// The cluster's profile, by its name or its file.
        profile: Option<String>,
        /// Workers that may run at once.
        slots: u32,
        /// Workers that run now.
        busy: u32,
        /// When the daemon started.
        started: DateTime<Utc>,
        /// Why nothing could be started lately on this machine.
        trouble: Option<String>,
    }

    /// One line of `GET /api/v1/studies`.
    StudySummary {
        /// Name.
        name: String,
        /// Where it stands.
        state: StudyState,
        /// When it was created.
        created: DateTime<Utc>,
        /// When its last stage ended, once it is over.
        finished: Option<DateTime<Utc>>,
        /// Number of runs.
        runs: u64,
        /// Stages by state; a `prepare` that runs share counts once.
        stages: StageCounts,
        /// The results file, once it has a row.
        results: Option<String>,
        /// GPU-hours that its attempts took: the time from claim to end, shared by those in one job.
        #[serde(default)]
        gpu_hours: f64,
        /// GPU-hours that are left by the pace of its stages so far; nothing while a kind of stage that is left
        /// was never done.
        #[serde(default)]
        gpu_hours_left: Option<f64>,
        /// When it ends, if as many stages go on running at once as run now.
        #[serde(default)]
        expected_end: Option<DateTime<Utc>>,
        /// Where published results come from; such a study has no runs.
        #[serde(default)]
        origin: Option<Origin>,
    }

    /// `GET /api/v1/studies/{name}`
    StudyDetail {
        /// Summary.
        summary: StudySummary,
        /// As asked for.
        spec: StudySpec,
        /// Its runs by identifier.
        runs: Vec<RunSummary>,
    }

    /// `POST /api/v1/studies?dry_run=false` answers what was, or would be, created. A study of the
    /// same name may be posted again with a larger grid: runs that exist stay as they are.
    StudyPlan {
        /// Name.
        name: String,
        /// Whether the study was recorded: false on a dry run.
        created: bool,
        /// Runs of the study after this call.
        runs: Vec<PlannedRun>,
        /// Stages that this call adds.
        new_stages: u64,
        /// Stages that exist already, done or on their way.
        existing_stages: u64,
        /// Those of them that this call tries again: a new study asks for them, and they failed, were cancelled or skipped.
        #[serde(default)]
        retried_stages: u64,
        /// What else has to be known about it, a line each.
        #[serde(default)]
        notes: Vec<String>,
        /// On a dry run with a cluster: the job arrays, in the order in which they would be handed over.
        #[serde(default)]
        arrays: Vec<PlannedArray>,
    }

    /// `DELETE /api/v1/studies/{name}`: what was, or would be, taken out of the record.
    RemovedStudy {
        /// Name of the study; it is free again.
        name: String,
        /// Runs that no other study holds: gone with it.
        runs: u64,
        /// Runs that other studies hold, too: they stay.
        shared: u64,
    }

    /// One job array of a plan.
    PlannedArray {
        /// Kind of its stages.
        kind: StageKind,
        /// Their checkpoint index.
        checkpoint: Option<u32>,
        /// Number of its tasks.
        tasks: u32,
        /// Minutes that each may take, where limited.
        minutes: Option<u64>,
        /// GPUs that each gets.
        gpus: u32,
        /// The script.
        script: String,
    }

    /// One run of a plan.
    PlannedRun {
        /// Identifier.
        identifier: String,
        /// Folder name under `models`.
        name: String,
        /// Hash of the canonical configuration.
        hash: String,
        /// Whether this call adds it.
        new: bool,
    }

    /// One run, as listed.
    RunSummary {
        /// Id.
        id: RunId,
        /// Identifier, without checkpoint.
        identifier: String,
        /// Folder name under `models`.
        name: String,
        /// Hash of the canonical configuration.
        hash: String,
        /// Layers.
        layers: u32,
        /// Width.
        width: u32,
        /// Seed.
        seed: u32,
        /// Epochs.
        epochs: u32,
        /// Weight decay.
        weight_decay: f64,
        /// Runs of higher priority start first; 0 is usual.
        #[serde(default)]
        priority: i32,
        /// Its stages (with the shared `prepare`), in order of checkpoint and kind.
        stages: Vec<StageView>,
    }

    /// One stage.
    StageView {
        /// Id.
        id: StageId,
        /// The run; none for a shared `prepare`.
        run: Option<RunId>,
        /// Kind.
        kind: StageKind,
        /// Checkpoint index, where the kind has one.
        checkpoint: Option<u32>,
        /// State.
        state: StageState,
        /// Progress of the running attempt.
        progress: Option<Progress>,
        /// Attempts so far.
        attempts: u32,
        /// When its first attempt started.
        started: Option<DateTime<Utc>>,
        /// When the attempt that runs, or that succeeded, started.
        #[serde(default)]
        attempt_started: Option<DateTime<Utc>>,
        /// When it became final.
        finished: Option<DateTime<Utc>>,
        /// Why it failed or was skipped, or why it waits; one line.
        reason: Option<String>,
    }

    /// `GET /api/v1/runs/{id}`
    RunDetail {
        /// Summary.
        summary: RunSummary,
        /// Names of the studies that hold it.
        studies: Vec<String>,
        /// Canonical configuration.
        config: RunConfig,
        /// Outputs of the stages that are done.
        outputs: Vec<StageResult>,
        /// Measures per analysed checkpoint.
        measures: Vec<MeasureRow>,
        /// Every attempt at every stage, oldest first.
        attempts: Vec<AttemptView>,
    }

    /// The output of a stage that is done.
    StageResult {
        /// The stage.
        stage: StageId,
        /// Checkpoint index.
        checkpoint: Option<u32>,
        /// What it returned.
        output: StageOutput,
    }

    /// One attempt.
    AttemptView {
        /// Id.
        id: AttemptId,
        /// The stage.
        stage: StageId,
        /// Kind of the stage.
        kind: StageKind,
        /// Checkpoint index.
        checkpoint: Option<u32>,
        /// Counts from 1 within the stage.
        number: u32,
        /// State.
        state: AttemptState,
        /// Host and process or job, once claimed.
        place: Option<String>,
        /// When it was recorded.
        created: DateTime<Utc>,
        /// When a worker claimed it.
        started: Option<DateTime<Utc>>,
        /// When it ended.
        finished: Option<DateTime<Utc>>,
        /// How it ended; one line.
        message: Option<String>,
        /// Exit code, where known.
        exit_code: Option<i32>,
        /// Signal that ended it, where known.
        signal: Option<i32>,
        /// Folder with its log.
        folder: String,
        /// The cluster's job: `123_4`.
        #[serde(default)]
        job: Option<String>,
        /// The cluster's node.
        #[serde(default)]
        node: Option<String>,
        /// Why it waits in the queue, in the cluster's word.
        #[serde(default)]
        waits: Option<String>,
        /// The cluster's word for its end.
        #[serde(default)]
        slurm_state: Option<String>,
        /// When the worker was last heard of.
        #[serde(default)]
        heard: Option<DateTime<Utc>>,
        /// Its share of a GPU times the time from claim to end, or until now, in hours; nothing before its claim, nor
        /// where the data is prepared or analysed.
        #[serde(default)]
        gpu_hours: Option<f64>,
    }

    /// `GET /api/v1/stages/{id}/log?bytes=N`: the end of the newest attempt's log.
    LogTail {
        /// The attempt; none if there was none yet.
        attempt: Option<AttemptId>,
        /// Whole lines, lossily decoded.
        text: String,
        /// Bytes in the whole log.
        total_bytes: u64,
    }

    /// `GET /api/v1/stages/{id}/script`: the batch script of the newest attempt, or the one it would get.
    StageScript {
        /// The script.
        script: String,
        /// Where it lies, if it was handed over.
        file: Option<String>,
    }

    /// `GET /api/v1/studies/{name}/results`
    Results {
        /// Columns in order, without the row name.
        columns: Vec<String>,
        /// Rows by identifier.
        rows: Vec<MeasureRow>,
    }

    /// Answer of `POST .../cancel` and `POST .../retry`: what changed, or would with `dry_run=true`.
    Changed {
        /// Stages that changed.
        stages: Vec<StageView>,
        /// Stages that are not over and go on, because another study needs them.
        #[serde(default)]
        left: u64,
    }

    /// One page of a list.
    StudyPage {
        /// The rows, newest first.
        items: Vec<StudySummary>,
        /// Pass as `cursor` for the next page.
        next: Option<String>,
    }

    /// `GET /api/v1/cluster`: the queue that stages are handed to.
    #[derive(Default)]
    ClusterView {
        /// The cluster's name, once it could be asked.
        name: Option<String>,
        /// Why it can't be asked at the moment.
        trouble: Option<String>,
        /// Why nothing is handed over for a while.
        paused: Option<String>,
        /// Until when.
        paused_until: Option<DateTime<Utc>>,
        /// Submission windows as cron expressions; at any time if empty.
        windows: Vec<String>,
        /// Whether jobs may be handed over now.
        open: bool,
        /// When the next window opens, if none is open.
        opens: Option<DateTime<Utc>>,
        /// Attempts in the queue at once.
        max_queued: Option<u32>,
        /// Tasks of one array that may run at once.
        max_running: Option<u32>,
        /// Calls of Slurm's commands since the daemon started.
        calls: u64,
        /// Of these in the last minute.
        calls_last_minute: u64,
        /// Of these in the last hour.
        calls_last_hour: u64,
        /// Seconds that the last look at the queue took.
        tick_seconds: Option<f64>,
        /// Attempts in the queue by why they wait.
        waits: BTreeMap<String, u64>,
    }

    /// `POST /api/v1/login-links`
    LoginLink {
        /// Opens the dashboard once, within five minutes.
        url: String,
    }
}
