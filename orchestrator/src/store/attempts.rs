//! Attempts: tries at stages.

use super::{Result, Store, StoreError, Tx, row};
use crate::domain::{queue::Queued, transition};
use chrono::{DateTime, Utc};
use protocol::{
    attempt::Progress,
    ids::{AttemptId, ClaimId, StageId, SubmissionId},
    stage::AttemptState,
};
use std::path::PathBuf;

/// An attempt, as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Id.
    pub id: AttemptId,
    /// Its stage.
    pub stage: StageId,
    /// State.
    pub state: AttemptState,
    /// The slot that it takes.
    pub slot: u32,
    /// Its folder.
    pub folder: PathBuf,
    /// The worker's hold on it.
    pub claim: Option<ClaimId>,
    /// Events taken so far.
    pub accepted_through: u64,
    /// When it was asked to stop.
    pub stop: Option<DateTime<Utc>>,
    /// Its place in a cluster's queue.
    pub queued: Option<Queued>,
    /// How often the cluster started it again.
    pub restarts: u32,
    /// How far it is.
    pub done: Option<u64>,
}

/// An attempt to be recorded.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Id.
    pub id: AttemptId,
    /// Its stage.
    pub stage: StageId,
    /// The slot that it takes.
    pub slot: u32,
    /// SHA-256 of its token.
    pub token_sha256: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its place in a cluster's queue: array and index.
    pub queued: Option<(SubmissionId, u32)>,
}

/// How an attempt ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// One line.
    pub message: Option<String>,
    /// Exit code, where known.
    pub exit_code: Option<i32>,
    /// Signal, where known.
    pub signal: Option<i32>,
    /// The cluster's word for it, where it told.
    pub slurm_state: Option<&'static str>,
    /// Its node, where the cluster told.
    pub node: Option<String>,
}

struct Found {
    id: String,
    stage_id: i64,
    state: String,
    slot: i64,
    folder: String,
    claim: Option<String>,
    accepted_through: i64,
    stop: Option<i64>,
    submission: Option<String>,
    task: Option<i64>,
    job: Option<i64>,
    pack: Option<i64>,
    restarts: i64,
    done: Option<i64>,
}

/// Attempts as [`Found`], from `a` with their submission as `s`; what follows the columns, and its arguments.
macro_rules! found {
    ($from:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Found,
            r#"SELECT a.id AS "id!: String", a.stage_id AS "stage_id!: i64", a.state AS "state!: String",
                      a.slot AS "slot!: i64", a.folder AS "folder!: String", a.claim AS "claim?: String",
                      a.accepted_through AS "accepted_through!: i64", a.stop AS "stop?: i64",
                      a.submission_id AS "submission?: String", a.task AS "task?: i64", s.job_id AS "job?: i64",
                      s.pack AS "pack?: i64", a.restarts AS "restarts!: i64", a.progress_done AS "done?: i64"
               "# + $from
            $(, $argument)*
        )
    };
}

impl TryFrom<Found> for AttemptRow {
    type Error = StoreError;

    fn try_from(found: Found) -> Result<Self> {
        Ok(Self {
            id: row::word("an attempt's id", &found.id)?,
            stage: StageId(found.stage_id),
            state: row::word("an attempt's state", &found.state)?,
            slot: row::small(found.slot),
            folder: found.folder.into(),
            claim: found.claim.map(|claim| row::word("a claim", &claim)).transpose()?,
            accepted_through: row::unsigned(found.accepted_through),
            stop: found.stop.map(row::time),
            queued: match (found.submission, found.task) {
                (Some(submission), Some(task)) => Some(Queued {
                    submission: row::word("a submission's id", &submission)?,
                    member: row::small(task),
                    pack: found.pack.map_or(1, row::small).max(1),
                    job: found.job.map(row::unsigned),
                }),
                _ => None,
            },
            restarts: row::small(found.restarts),
            done: found.done.map(row::unsigned),
        })
    }
}

impl Store {
    /// Attempts that are not over.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn live_attempts(&self) -> Result<Vec<AttemptRow>> {
        let rows = found!(
            "FROM attempts a LEFT JOIN submissions s ON s.id = a.submission_id
             WHERE a.live = 1 ORDER BY a.created, a.stage_id"
        );
        rows.fetch_all(&self.readers).await?.into_iter().map(AttemptRow::try_from).collect()
    }

    /// Live attempts that this one was queued behind, and those packed into the same jobs.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn attempts_before(&self, attempt: AttemptId) -> Result<Vec<AttemptRow>> {
        let attempt = attempt.to_string();
        let rows = found!(
            "FROM attempt_parents ap JOIN attempts p ON p.id = ap.parent_id JOIN submissions s ON s.id = p.submission_id
             JOIN attempts a ON a.submission_id = s.id
                  AND a.task BETWEEN p.task - p.task % s.pack AND p.task - p.task % s.pack + s.pack - 1
             WHERE ap.attempt_id = ? AND a.live = 1",
            attempt
        );
        rows.fetch_all(&self.readers).await?.into_iter().map(AttemptRow::try_from).collect()
    }

    /// Workers that run or are about to.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn busy(&self) -> Result<u32> {
        let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!: i64" FROM attempts WHERE live = 1"#);
        Ok(row::small(count.fetch_one(&self.readers).await?))
    }

    /// An attempt at a stage, by its number or else the newest, and its folder: none without a stage, inner none
    /// without such an attempt.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn attempt_folder(
        &self,
        stage: StageId,
        number: Option<u32>,
    ) -> Result<Option<Option<(AttemptId, PathBuf)>>> {
        let found = sqlx::query!(
            r#"SELECT a.id AS "id?: String", a.folder AS "folder?: String"
               FROM stages s LEFT JOIN attempts a ON a.stage_id = s.id AND a.number = ifnull(?, a.number)
               WHERE s.id = ? ORDER BY a.number DESC LIMIT 1"#,
            number,
            stage.0
        );
        let Some(found) = found.fetch_optional(&self.readers).await? else { return Ok(None) };
        match (found.id, found.folder) {
            (Some(id), Some(folder)) => Ok(Some(Some((row::word("an attempt's id", &id)?, folder.into())))),
            _ => Ok(Some(None)),
        }
    }
}

impl Tx {
    /// Records the intent to try a stage.
    ///
    /// # Errors
    /// When the stage has a live attempt already, or the record can't be used.
    pub async fn open_attempt(&mut self, attempt: &NewAttempt) -> Result<()> {
        let (id, folder) = (attempt.id.to_string(), attempt.folder.to_string_lossy());
        let (submission, task) =
            attempt.queued.map(|(submission, task)| (submission.to_string(), task)).unzip();
        let now = self.now_ms();
        sqlx::query!(
            "INSERT INTO attempts (id, stage_id, number, state, live, slot, token_sha256, folder, created, submission_id, task)
             VALUES (?1, ?2, (SELECT count(*) + 1 FROM attempts WHERE stage_id = ?2), 'intended', 1, ?3, ?4, ?5, ?6, ?7, ?8)",
            id,
            attempt.stage.0,
            attempt.slot,
            attempt.token_sha256,
            folder,
            now,
            submission,
            task
        )
        .execute(self.conn())
        .await?;
        self.touch_stage(attempt.stage);
        Ok(())
    }

    /// An attempt.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn attempt(&mut self, id: AttemptId) -> Result<Option<AttemptRow>> {
        let id = id.to_string();
        let found =
            found!("FROM attempts a LEFT JOIN submissions s ON s.id = a.submission_id WHERE a.id = ?", id);
        found.fetch_optional(self.conn()).await?.map(AttemptRow::try_from).transpose()
    }

    /// The attempt at a stage that is not over.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn live_attempt(&mut self, stage: StageId) -> Result<Option<AttemptRow>> {
        let found = found!(
            "FROM attempts a LEFT JOIN submissions s ON s.id = a.submission_id
             WHERE a.stage_id = ? AND a.live = 1",
            stage.0
        );
        found.fetch_optional(self.conn()).await?.map(AttemptRow::try_from).transpose()
    }

    /// Whether an attempt came further than all before at its stage.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn progressed(&mut self, attempt: &AttemptRow) -> Result<bool> {
        let Some(done) = attempt.done.filter(|&done| done > 0) else { return Ok(false) };
        let id = attempt.id.to_string();
        let best = sqlx::query_scalar!(
            r#"SELECT ifnull(max(progress_done), 0) AS "best!: i64" FROM attempts WHERE stage_id = ? AND id <> ?"#,
            attempt.stage.0,
            id
        );
        Ok(done > row::unsigned(best.fetch_one(self.conn()).await?))
    }

    /// Moves an attempt to another state; with its ending, if it is final.
    ///
    /// # Errors
    /// When the transition is illegal, the attempt is not in `from` any more, or the record can't be used.
    pub async fn move_attempt(
        &mut self,
        attempt: &AttemptRow,
        to: AttemptState,
        ending: &Ending,
    ) -> Result<()> {
        transition::attempt(attempt.state, to)?;
        let (id, from, word) = (attempt.id.to_string(), attempt.state.as_str(), to.as_str());
        let now = self.now_ms();
        let (live, over) = (i64::from(!to.is_final()), to.is_final().then_some(now));
        let started = (to == AttemptState::Running).then_some(now);
        let changed = sqlx::query!(
            "UPDATE attempts SET state = ?, live = ?, started = ifnull(started, ?), finished = ?,
                    message = ?, exit_code = ?, signal = ?, slurm_state = ?, node = ifnull(?, node)
             WHERE id = ? AND state = ?",
            word,
            live,
            started,
            over,
            ending.message,
            ending.exit_code,
            ending.signal,
            ending.slurm_state,
            ending.node,
            id,
            from
        );
        if changed.execute(self.conn()).await?.rows_affected() != 1 {
            return Err(StoreError::Stale { what: "attempt", id });
        }
        self.touch_stage(attempt.stage);
        Ok(())
    }

    /// Notes when an attempt that is over ended, by its worker's word: it may have been recorded long after that. A clock
    /// that is wrong is believed as far as it can be true.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn ended_at(&mut self, id: AttemptId, time: DateTime<Utc>) -> Result<()> {
        let (id, time) = (id.to_string(), time.timestamp_millis());
        sqlx::query!(
            "UPDATE attempts SET finished = max(ifnull(started, created), min(finished, ?)) WHERE id = ? AND live = 0",
            time,
            id
        )
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// Notes that an attempt was asked to stop.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn ask_to_stop(&mut self, id: AttemptId) -> Result<()> {
        let (id, now) = (id.to_string(), self.now_ms());
        sqlx::query!("UPDATE attempts SET stop = ifnull(stop, ?) WHERE id = ? AND live = 1", now, id)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// Notes how far an attempt's events were taken, when the last of them happened, and the newest progress.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn set_accepted(
        &mut self,
        attempt: &AttemptRow,
        (through, heard): (u64, DateTime<Utc>),
        progress: Option<&Progress>,
    ) -> Result<()> {
        let (id, through, heard) = (attempt.id.to_string(), row::signed(through), heard.timestamp_millis());
        sqlx::query!(
            "UPDATE attempts SET accepted_through = ?1, heard = max(ifnull(heard, 0), ?3)
             WHERE id = ?2 AND accepted_through < ?1",
            through,
            id,
            heard
        )
        .execute(self.conn())
        .await?;
        if let Some(Progress { done, total, unit }) = progress {
            let (done, total) = (row::signed(*done), row::signed(*total));
            sqlx::query!(
                "UPDATE attempts SET progress_done = ?, progress_total = ?, progress_unit = ? WHERE id = ?",
                done,
                total,
                unit,
                id
            )
            .execute(self.conn())
            .await?;
            self.touch_progress(attempt.stage);
        }
        Ok(())
    }
}
