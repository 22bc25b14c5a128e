//! A cluster's queue in the record: submissions, and what their attempts wait for.

use super::{AttemptRow, Result, Store, StoreError, Tx, row};
use crate::domain::{
    resources::{Door, Request},
    transition,
};
use chrono::{DateTime, Utc};
use protocol::{
    exit,
    ids::{AttemptId, StageId, SubmissionId},
    stage::{AttemptState, StageKind, SubmissionState},
};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

/// What the queue is noted to say about an attempt whose job is over, nobody knows how: nothing is queued behind it.
pub const UNEXPLAINED: &str =
    "its job is over; how it ended can't be told now, as accounting or its files can't be read";

/// The signal that Slurm names where it could not write a job's output, as on a node that lacks the file system.
const NO_OUTPUT: i32 = 53;

/// A submission to be recorded.
#[derive(Clone, Debug)]
pub struct NewSubmission {
    /// Id.
    pub id: SubmissionId,
    /// Kind of its stages.
    pub kind: StageKind,
    /// What each of its jobs asks for.
    pub request: Request,
    /// Its folder.
    pub folder: PathBuf,
}

/// A submission that is not known to be in the queue.
#[derive(Clone, Debug)]
pub struct OpenSubmission {
    /// Id.
    pub id: SubmissionId,
    /// Kind of its stages.
    pub kind: StageKind,
    /// State.
    pub state: SubmissionState,
    /// What each of its jobs asks for.
    pub request: Request,
    /// Its folder.
    pub folder: PathBuf,
    /// It is not handed over before.
    pub due: DateTime<Utc>,
    /// How many of its attempts are not over.
    pub attempts: u32,
}

impl Store {
    /// Submissions that are not known to be in the queue, oldest first.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn open_submissions(&self) -> Result<Vec<OpenSubmission>> {
        let rows = sqlx::query!(
            r#"SELECT s.id AS "id!: String", s.kind AS "kind!: String", s.state AS "state!: String",
                      s.request AS "request!: String", s.folder AS "folder!: String", s.due AS "due!: i64",
                      count(*) AS "attempts!: i64"
               FROM submissions s JOIN attempts a ON a.submission_id = s.id
               WHERE s.state <> 'submitted' AND a.live = 1
               GROUP BY s.id ORDER BY s.created, s.id"#
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|found| {
                Ok(OpenSubmission {
                    id: row::word("a submission's id", &found.id)?,
                    kind: row::word("a submission's kind", &found.kind)?,
                    state: row::word("a submission's state", &found.state)?,
                    request: row::json("a submission's request", &found.request)?,
                    folder: found.folder.into(),
                    due: row::time(found.due),
                    attempts: row::small(found.attempts),
                })
            })
            .collect()
    }

    /// Attempts that wait in the queue behind an attempt that ended without success.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn outdated_attempts(&self) -> Result<Vec<AttemptId>> {
        // Put in this way, it begins with what is not over, and not with all that ever waited.
        let rows = sqlx::query_scalar!(
            r#"SELECT c.id AS "id!: String" FROM attempts c
               WHERE c.live = 1 AND c.claim IS NULL AND c.stop IS NULL
               AND EXISTS (SELECT 1 FROM attempt_parents ap JOIN attempts p ON p.id = ap.parent_id
                           WHERE ap.attempt_id = c.id AND p.live = 0 AND p.state <> 'succeeded')"#
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.iter().map(|id| row::word("an attempt's id", id)).collect()
    }

    /// Nodes that lost or broke attempts at three stages or more in the last day, at three times or more (what a reboot
    /// ends, ends at once), and finished none since. An attempt that failed within a minute of its claim, or before it,
    /// counts as broken by its node, unless its input was wrong: where a driver does not work or the worker can't even
    /// start, all fail at once, and such a node would take every try.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn failing_nodes(&self, now: DateTime<Utc>) -> Result<Vec<String>> {
        let since = (now - chrono::TimeDelta::days(1)).timestamp_millis();
        let rows = sqlx::query_scalar!(
            r#"WITH good AS (SELECT node, max(finished) AS finished FROM attempts
                             WHERE node IS NOT NULL AND state = 'succeeded' GROUP BY node)
               SELECT bad.node AS "node!: String" FROM attempts bad LEFT JOIN good ON good.node = bad.node
               WHERE bad.node IS NOT NULL AND bad.finished > ?1 AND bad.finished >= ifnull(good.finished, 0)
               AND (bad.state IN ('node_failed', 'lost')
                    OR (bad.state = 'failed' AND bad.exit_code IS NOT ?2
                        AND CASE WHEN bad.started IS NULL THEN bad.exit_code > 0 AND bad.accepted_through = 0
                                 ELSE bad.finished < bad.started + 60000 END))
               GROUP BY bad.node
               HAVING count(DISTINCT bad.stage_id) >= 3 AND count(DISTINCT bad.finished / 300000) >= 3
               ORDER BY bad.node"#,
            since,
            exit::USAGE
        );
        Ok(rows.fetch_all(&self.readers).await?)
    }

    /// Stages to be tried again whose last attempt failed at once, as [`Self::failing_nodes`] has it, and the node on
    /// which it did; what was cancelled or made room since proves nothing about another node. That is reason enough to
    /// try this one stage elsewhere; after a person asked to try it again, no more.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn failed_at(&self, now: DateTime<Utc>) -> Result<HashMap<StageId, String>> {
        let since = (now - chrono::TimeDelta::days(1)).timestamp_millis();
        let rows = sqlx::query!(
            r#"WITH good AS (SELECT node, max(finished) AS finished FROM attempts
                             WHERE node IS NOT NULL AND state = 'succeeded' GROUP BY node)
               SELECT bad.stage_id AS "stage!: i64", bad.node AS "node!: String"
               FROM stages s JOIN attempts bad ON bad.stage_id = s.id LEFT JOIN good ON good.node = bad.node
               WHERE s.state IN ('waiting', 'ready') AND s.failures > 0
               AND bad.node IS NOT NULL AND bad.finished > ?1 AND bad.finished >= ifnull(good.finished, 0)
               AND bad.exit_code IS NOT ?2
               AND CASE WHEN bad.started IS NULL
                        THEN bad.state IN ('failed', 'lost') AND (bad.exit_code > 0 OR bad.signal = ?3)
                             AND bad.accepted_through = 0
                        ELSE bad.state = 'failed' AND bad.finished < bad.started + 60000 END
               AND bad.number = (SELECT max(number) FROM attempts
                                 WHERE stage_id = s.id AND state NOT IN ('cancelled', 'preempted'))"#,
            since,
            exit::USAGE,
            NO_OUTPUT
        );
        let rows = rows.fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|found| (StageId(found.stage), found.node)).collect())
    }

    /// How many attempts wait in the queue by reason.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn queue_reasons(&self) -> Result<BTreeMap<String, u64>> {
        let rows = sqlx::query!(
            r#"SELECT coalesce(a.waits, CASE a.state WHEN 'running' THEN 'runs' ELSE 'handed over' END) AS "why!: String",
                      count(*) AS "count!: i64"
               FROM attempts a WHERE a.live = 1 AND a.submission_id IS NOT NULL GROUP BY 1"#
        );
        let rows = rows.fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|found| (found.why, row::unsigned(found.count))).collect())
    }
}

impl Tx {
    /// Records the intent to hand over an array.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn open_submission(&mut self, submission: &NewSubmission) -> Result<()> {
        let (id, kind) = (submission.id.to_string(), submission.kind.as_str());
        let (request, folder) = (row::to_json(&submission.request)?, submission.folder.to_string_lossy());
        let now = self.now_ms();
        sqlx::query!(
            "INSERT INTO submissions (id, kind, state, request, folder, due, created) VALUES (?, ?, 'intended', ?, ?, ?, ?)",
            id,
            kind,
            request,
            folder,
            now,
            now
        )
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// Notes that an attempt was queued behind another one.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn add_attempt_parent(&mut self, attempt: AttemptId, parent: AttemptId) -> Result<()> {
        let (attempt, parent) = (attempt.to_string(), parent.to_string());
        sqlx::query!("INSERT INTO attempt_parents (attempt_id, parent_id) VALUES (?, ?)", attempt, parent)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// How many attempts a cluster's queue has that went through this door.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn in_queue(&mut self, door: &Door) -> Result<u32> {
        let (partition, account, qos) = door;
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM attempts a JOIN submissions s ON s.id = a.submission_id
               WHERE a.live = 1 AND s.state = 'submitted' AND json_extract(s.request, '$.partition') IS ?
               AND json_extract(s.request, '$.account') IS ? AND json_extract(s.request, '$.qos') IS ?"#,
            partition,
            account,
            qos
        );
        Ok(row::small(count.fetch_one(self.conn()).await?))
    }

    /// The state of a submission and its id in the queue, if there is one of this id.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn submission_state(
        &mut self,
        id: SubmissionId,
    ) -> Result<Option<(SubmissionState, Option<u64>)>> {
        let id = id.to_string();
        let found = sqlx::query!("SELECT state, job_id FROM submissions WHERE id = ?", id);
        let Some(found) = found.fetch_optional(self.conn()).await? else { return Ok(None) };
        Ok(Some((row::word("a submission's state", &found.state)?, found.job_id.map(row::unsigned))))
    }

    /// Moves a submission to another state, with its id in the queue where it has one, when it is due and why it
    /// is held.
    ///
    /// # Errors
    /// When the transition is illegal, the submission is not in `from` any more, or the record can't be used.
    pub async fn move_submission(
        &mut self,
        id: SubmissionId,
        from: SubmissionState,
        to: SubmissionState,
        job: Option<u64>,
        due: DateTime<Utc>,
        message: Option<&str>,
    ) -> Result<()> {
        transition::submission(from, to)?;
        let (id, from, to) = (id.to_string(), from.as_str(), to.as_str());
        let (job, due) = (job.map(row::signed), due.timestamp_millis());
        let changed = sqlx::query!(
            "UPDATE submissions SET state = ?, job_id = ?, due = ?, message = ? WHERE id = ? AND state = ?",
            to,
            job,
            due,
            message,
            id,
            from
        );
        if changed.execute(self.conn()).await?.rows_affected() != 1 {
            return Err(StoreError::Stale { what: "submission", id });
        }
        sqlx::query!("UPDATE attempts SET waits = ? WHERE submission_id = ? AND live = 1", message, id)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// Moves those of a submission's attempts to another state of the queue that may go there, all at once: none that a
    /// worker has.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn move_queued(&mut self, id: SubmissionId, to: AttemptState) -> Result<()> {
        let from = row::to_json(&transition::attempt_from(to).collect::<Vec<_>>())?;
        let (id, to) = (id.to_string(), to.as_str());
        sqlx::query!(
            "UPDATE attempts SET state = ? WHERE submission_id = ? AND live = 1
             AND state IN (SELECT value FROM json_each(?))",
            to,
            id,
            from
        )
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// The attempts of a submission that are not over.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn attempts_of(&mut self, id: SubmissionId) -> Result<Vec<AttemptRow>> {
        let text = id.to_string();
        let ids = sqlx::query_scalar!(
            "SELECT id FROM attempts WHERE submission_id = ? AND live = 1 ORDER BY task",
            text
        );
        let ids = ids.fetch_all(self.conn()).await?;
        let mut attempts = Vec::with_capacity(ids.len());
        for id in ids {
            attempts.extend(self.attempt(row::word("an attempt's id", &id)?).await?);
        }
        Ok(attempts)
    }

    /// The ids in the queue of the arrays that a submission's attempts were queued behind and that are not over,
    /// with the pairs of their jobs' indices (theirs, the other's).
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn waits_for(&mut self, id: SubmissionId) -> Result<Vec<(u64, StageKind, u32, u32)>> {
        let id = id.to_string();
        let rows = sqlx::query!(
            r#"SELECT s.job_id AS "job?: i64", s.kind AS "kind!: String",
                      c.task / own.pack AS "own!: i64", p.task / s.pack AS "other!: i64"
               FROM attempts c JOIN attempt_parents ap ON ap.attempt_id = c.id JOIN attempts p ON p.id = ap.parent_id
               JOIN submissions s ON s.id = p.submission_id JOIN submissions own ON own.id = c.submission_id
               WHERE c.submission_id = ? AND c.live = 1 AND p.live = 1"#,
            id
        );
        let rows = rows.fetch_all(self.conn()).await?;
        let mut found = Vec::with_capacity(rows.len());
        for pair in rows {
            // An array that is known to have run, but under which id is not, has ended.
            if let Some(job) = pair.job.filter(|&job| job > 0) {
                let kind = row::word("a submission's kind", &pair.kind)?;
                found.push((row::unsigned(job), kind, row::small(pair.own), row::small(pair.other)));
            }
        }
        Ok(found)
    }

    /// Whether an attempt that this one was queued behind ended without success, or one that shared its job: the job
    /// may have failed for that, and with it what waited.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn is_outdated(&mut self, id: AttemptId) -> Result<bool> {
        let id = id.to_string();
        let found = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64"
               FROM attempt_parents ap JOIN attempts p ON p.id = ap.parent_id JOIN submissions s ON s.id = p.submission_id
               JOIN attempts a ON a.submission_id = s.id
                    AND a.task BETWEEN p.task - p.task % s.pack AND p.task - p.task % s.pack + s.pack - 1
               WHERE ap.attempt_id = ? AND a.live = 0 AND a.state <> 'succeeded'"#,
            id
        );
        Ok(found.fetch_one(self.conn()).await? > 0)
    }

    /// Notes that the queue has an attempt, why it waits there, and on which node it is. Nothing, if the attempt is over by
    /// now. Live views are not told: this changes by the minute for thousands.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn note_queue(
        &mut self,
        attempt: &AttemptRow,
        waits: Option<&str>,
        node: Option<&str>,
    ) -> Result<()> {
        let (from, to) = (AttemptState::Submitted, AttemptState::Pending);
        transition::attempt(from, to)?;
        let (id, from, to) = (attempt.id.to_string(), from.as_str(), to.as_str());
        sqlx::query!(
            "UPDATE attempts SET state = iif(state = ?, ?, state), waits = ?, node = ifnull(?, node)
             WHERE id = ? AND live = 1",
            from,
            to,
            waits,
            node,
            id
        )
        .execute(self.conn())
        .await?;
        Ok(())
    }
}
