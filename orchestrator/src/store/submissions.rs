//! A cluster's queue in the record: submissions, and what their attempts wait for.

use super::{AttemptRow, Result, Store, Tx, row};
use crate::domain::{
    batch::{Candidate, Earlier, Parent, Place},
    resources::{self, Request},
    work::{Settings, Work},
};
use chrono::{DateTime, Utc};
use protocol::{
    ids::{AttemptId, StageId, SubmissionId},
    resources::ResourceRule,
    run::RunConfig,
    stage::{AttemptState, StageKind},
};
use sqlx::SqliteConnection;
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::PathBuf,
};

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
    /// `held`, `intended` or `ambiguous`.
    pub state: String,
    /// What each of its jobs asks for.
    pub request: Request,
    /// Its folder.
    pub folder: PathBuf,
    /// Calls so far.
    pub tries: u32,
    /// It is not handed over before.
    pub due: DateTime<Utc>,
}

/// What could be queued, and what is.
#[derive(Clone, Debug, Default)]
pub struct Queueable {
    /// Stages without an attempt that is not over, those that may start at once first.
    pub candidates: Vec<Candidate>,
    /// Where stages are in the queue.
    pub placed: HashMap<StageId, Place>,
}

impl Store {
    /// Submissions that are not known to be in the queue, oldest first.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn open_submissions(&self) -> Result<Vec<OpenSubmission>> {
        let rows = sqlx::query!(
            "SELECT id, kind, state, request, folder, tries, due FROM submissions s
             WHERE state <> 'submitted'
               AND EXISTS (SELECT 1 FROM attempts a WHERE a.submission_id = s.id AND a.live = 1)
             ORDER BY created, id"
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|found| {
                Ok(OpenSubmission {
                    id: row::word("a submission's id", &found.id)?,
                    kind: row::word("a submission's kind", &found.kind)?,
                    state: found.state,
                    request: row::json("a submission's request", &found.request)?,
                    folder: found.folder.into(),
                    tries: row::small(found.tries),
                    due: row::time(found.due),
                })
            })
            .collect()
    }

    /// The stages that could be queued now, and the places of those that are.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn queueable(&self, rules: &[ResourceRule]) -> Result<Queueable> {
        // One transaction, so that all parts are of the same moment.
        let mut tx = self.readers.begin().await?;
        queueable(&mut tx, rules).await
    }

    /// How many stages are not over.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn open_stages(&self) -> Result<u64> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM stages WHERE state IN ('waiting', 'ready', 'queued', 'running')"#
        );
        Ok(row::unsigned(count.fetch_one(&self.readers).await?))
    }

    /// What a stage's job would ask for; none if there is no such stage.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn request_of(
        &self,
        stage: StageId,
        rules: &[ResourceRule],
    ) -> Result<Option<(StageKind, Request)>> {
        Ok(self.work(stage).await?.map(|work| match work {
            Work::Prepare { .. } => (StageKind::Prepare, resources::request(rules, StageKind::Prepare, None)),
            Work::Run { kind, config, settings, .. } => {
                let rules = rules.iter().chain(&settings.resources.rules);
                (kind, resources::request(rules, kind, Some((config.layers, config.width))))
            }
        }))
    }

    /// Attempts that wait in the queue behind an attempt that ended without success.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn outdated_attempts(&self) -> Result<Vec<AttemptId>> {
        let rows = sqlx::query_scalar!(
            r#"SELECT DISTINCT c.id AS "id!: String" FROM attempts c
               JOIN attempt_parents ap ON ap.attempt_id = c.id JOIN attempts p ON p.id = ap.parent_id
               WHERE c.live = 1 AND c.claim IS NULL AND c.stop IS NULL AND p.live = 0 AND p.state <> 'succeeded'"#
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.iter().map(|id| row::word("an attempt's id", id)).collect()
    }

    /// Nodes that lost or broke attempts at three stages or more in the last day, and finished none since.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn failing_nodes(&self, now: DateTime<Utc>) -> Result<Vec<String>> {
        let since = (now - chrono::TimeDelta::days(1)).timestamp_millis();
        let rows = sqlx::query_scalar!(
            r#"SELECT bad.node AS "node!: String" FROM attempts bad
               WHERE bad.node IS NOT NULL AND bad.finished > ?1 AND bad.state IN ('node_failed', 'lost')
               AND NOT EXISTS (SELECT 1 FROM attempts good WHERE good.node = bad.node AND good.state = 'succeeded'
                               AND good.finished > bad.finished)
               GROUP BY bad.node HAVING count(DISTINCT bad.stage_id) >= 3 ORDER BY bad.node"#,
            since
        );
        Ok(rows.fetch_all(&self.readers).await?)
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
    /// As [`Store::queueable`], with what this transaction has changed.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn queueable(&mut self, rules: &[ResourceRule]) -> Result<Queueable> {
        queueable(self.conn(), rules).await
    }

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

    /// The state of a submission, if there is one of this id.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn submission_state(&mut self, id: SubmissionId) -> Result<Option<(String, Option<u64>)>> {
        let id = id.to_string();
        let found = sqlx::query!("SELECT state, job_id FROM submissions WHERE id = ?", id);
        let found = found.fetch_optional(self.conn()).await?;
        Ok(found.map(|found| (found.state, found.job_id.map(row::unsigned))))
    }

    /// Moves a submission to another state, with its id in the queue where it has one, when it is due and why it
    /// is held.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn move_submission(
        &mut self,
        id: SubmissionId,
        state: &str,
        job: Option<u64>,
        due: DateTime<Utc>,
        message: Option<&str>,
    ) -> Result<()> {
        let (id, job, due, now) =
            (id.to_string(), job.map(row::signed), due.timestamp_millis(), self.now_ms());
        sqlx::query!(
            "UPDATE submissions SET state = ?1, job_id = ?2, due = ?3, message = ?4, called = ?5,
                    tries = tries + (?1 = 'intended') WHERE id = ?6",
            state,
            job,
            due,
            message,
            now,
            id
        )
        .execute(self.conn())
        .await?;
        sqlx::query!("UPDATE attempts SET waits = ? WHERE submission_id = ? AND live = 1", message, id)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// Moves the attempts of a submission that no worker has touched to another state, all at once.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn move_queued(&mut self, id: SubmissionId, to: AttemptState) -> Result<()> {
        let (id, to) = (id.to_string(), to.as_str());
        sqlx::query!(
            "UPDATE attempts SET state = ?1 WHERE submission_id = ?2 AND live = 1
             AND state IN ('intended', 'ambiguous', 'submitted', 'pending') AND state <> ?1",
            to,
            id
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
                      c.task / ifnull(json_extract(own.request, '$.pack'), 1) AS "own!: i64",
                      p.task / ifnull(json_extract(s.request, '$.pack'), 1) AS "other!: i64"
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

    /// Whether an attempt that this one was queued behind ended without success.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn is_outdated(&mut self, id: AttemptId) -> Result<bool> {
        let id = id.to_string();
        let found = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM attempt_parents ap JOIN attempts p ON p.id = ap.parent_id
               WHERE ap.attempt_id = ? AND p.live = 0 AND p.state <> 'succeeded'"#,
            id
        );
        Ok(found.fetch_one(self.conn()).await? > 0)
    }

    /// Whether an attempt came further than all before at its stage.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn progressed(&mut self, attempt: &AttemptRow) -> Result<bool> {
        let id = attempt.id.to_string();
        let best = sqlx::query_scalar!(
            r#"SELECT ifnull(max(progress_done), 0) AS "best!: i64" FROM attempts WHERE stage_id = ? AND id <> ?"#,
            attempt.stage.0,
            id
        );
        Ok(attempt.done.unwrap_or(0) > row::unsigned(best.fetch_one(self.conn()).await?))
    }

    /// Notes what the queue says about an attempt that no worker has claimed, or where it runs. Live views are not
    /// told: this changes by the minute for thousands.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn note_queue(
        &mut self,
        attempt: &AttemptRow,
        state: AttemptState,
        waits: Option<&str>,
        node: Option<&str>,
    ) -> Result<()> {
        let (id, state) = (attempt.id.to_string(), state.as_str());
        sqlx::query!(
            "UPDATE attempts SET state = CASE WHEN state = 'submitted' THEN ?1 ELSE state END, waits = ?2,
                    node = ifnull(?3, node) WHERE id = ?4 AND live = 1",
            state,
            waits,
            node,
            id
        )
        .execute(self.conn())
        .await?;
        Ok(())
    }
}

/// Runs whose stages of a kind take the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PaceKey {
    layers: u32,
    width: u32,
    epochs: u32,
    data_hash: String,
}

type Asked = (PaceKey, Settings);

/// Minutes to plan for stages of a kind, from the slowest first attempt at such a stage: one that went on from a
/// checkpoint tells a wrong rate.
async fn paces(conn: &mut SqliteConnection) -> Result<HashMap<(StageKind, PaceKey), u64>> {
    let rows = sqlx::query!(
        r#"SELECT s.kind AS "kind!: String", json_extract(r.config, '$.layers') AS "layers!: i64",
                  json_extract(r.config, '$.width') AS "width!: i64", json_extract(r.config, '$.epochs') AS "epochs!: i64",
                  r.data_hash AS "data_hash!: String",
                  max((a.finished - a.started) * 1.0 / a.progress_done) AS "pace!: f64",
                  max(a.progress_total) AS "units!: i64"
           FROM attempts a JOIN stages s ON s.id = a.stage_id JOIN runs r ON r.id = s.run_id
           WHERE a.number = 1 AND a.submission_id IS NOT NULL AND a.progress_done > 0 AND a.finished > a.started
             AND a.state IN ('succeeded', 'preempted', 'timed_out')
           GROUP BY 1, 2, 3, 4, 5"#
    );
    let mut paces = HashMap::new();
    for found in rows.fetch_all(conn).await? {
        let key = PaceKey {
            layers: row::small(found.layers),
            width: row::small(found.width),
            epochs: row::small(found.epochs),
            data_hash: found.data_hash,
        };
        let minutes = resources::planned_minutes(found.pace / 60_000.0 * found.units as f64);
        paces.insert((row::word("a stage's kind", &found.kind)?, key), minutes);
    }
    Ok(paces)
}

/// What could be queued now, and what is.
async fn queueable(conn: &mut SqliteConnection, rules: &[ResourceRule]) -> Result<Queueable> {
    let stages = sqlx::query!(
        r#"SELECT s.id AS "id!: i64", s.kind AS "kind!: String", s.checkpoint AS "checkpoint?: i64",
                  s.run_id AS "run?: i64", s.state AS "state!: String",
                  s.memory_doublings AS "memory!: i64", s.time_doublings AS "time!: i64",
                  s.data_hash AS "data_hash?: String", ifnull(r.priority, 0) AS "priority!: i32"
           FROM stages s LEFT JOIN runs r ON r.id = s.run_id WHERE s.state IN ('ready', 'waiting')
           AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.stage_id = s.id AND a.live = 1)
           ORDER BY ifnull(r.priority, 0) DESC, s.state = 'waiting', CASE WHEN s.state = 'ready' THEN
               CASE s.kind WHEN 'analyze' THEN 0 WHEN 'decs' THEN 1 WHEN 'vars' THEN 1 WHEN 'means' THEN 2
                    WHEN 'evaluate' THEN 3 WHEN 'train' THEN 4 ELSE 5 END END, s.id"#
    );
    let stages = stages.fetch_all(&mut *conn).await?;
    if stages.is_empty() {
        return Ok(Queueable::default());
    }
    let mut parents: HashMap<i64, Vec<Parent>> = HashMap::new();
    let open = sqlx::query!(
        r#"SELECT sp.stage_id AS "stage!: i64", p.id AS "parent!: i64", p.kind AS "kind!: String"
           FROM stages s JOIN stage_parents sp ON sp.stage_id = s.id JOIN stages p ON p.id = sp.parent_id
           WHERE s.state IN ('ready', 'waiting') AND p.state <> 'done'"#
    );
    for found in open.fetch_all(&mut *conn).await? {
        let parent = Parent { stage: StageId(found.parent), kind: row::word("a stage's kind", &found.kind)? };
        parents.entry(found.stage).or_default().push(parent);
    }
    let mut placed = HashMap::new();
    let live = sqlx::query!(
        r#"SELECT a.stage_id AS "stage!: i64", a.submission_id AS "submission!: String", a.task AS "task!: i64",
                  json_extract(s.request, '$.pack') AS "pack?: i64"
           FROM attempts a JOIN submissions s ON s.id = a.submission_id
           WHERE a.live = 1 AND a.stop IS NULL AND s.state = 'submitted' AND s.job_id > 0"#
    );
    for found in live.fetch_all(&mut *conn).await? {
        let array = Earlier::Known(row::word("a submission's id", &found.submission)?);
        let pack = found.pack.map_or(1, row::small).max(1);
        placed.insert(StageId(found.stage), Place { array, task: row::small(found.task), pack });
    }
    let paces = paces(conn).await?;
    let mut asked: HashMap<i64, Asked> = HashMap::new();
    let mut prepared: HashMap<String, Settings> = HashMap::new();
    let mut candidates = Vec::with_capacity(stages.len());
    for found in stages {
        let kind = row::word("a stage's kind", &found.kind)?;
        let (key, settings) = match (found.run, found.data_hash) {
            (Some(run), _) => {
                let (key, settings) = match asked.entry(run) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => {
                        let of_run =
                            sqlx::query!("SELECT config, settings, data_hash FROM runs WHERE id = ?", run);
                        let of_run = of_run.fetch_one(&mut *conn).await?;
                        let config: RunConfig = row::json("a run's configuration", &of_run.config)?;
                        let settings = row::json("a run's settings", &of_run.settings)?;
                        let key = PaceKey {
                            layers: config.layers,
                            width: config.width,
                            epochs: config.epochs,
                            data_hash: of_run.data_hash,
                        };
                        place.insert((key, settings))
                    }
                };
                (Some(key.clone()), Some(settings.clone()))
            }
            (None, Some(data_hash)) => {
                if !prepared.contains_key(&data_hash) {
                    let newest = sqlx::query_scalar!(
                        "SELECT settings FROM runs WHERE data_hash = ? ORDER BY id DESC LIMIT 1",
                        data_hash
                    );
                    if let Some(settings) = newest.fetch_optional(&mut *conn).await? {
                        prepared.insert(data_hash.clone(), row::json("a run's settings", &settings)?);
                    }
                }
                (None, prepared.get(&data_hash).cloned())
            }
            (None, None) => (None, None),
        };
        let of_study = settings.map(|settings| settings.resources.rules).unwrap_or_default();
        let architecture = key.as_ref().map(|key| (key.layers, key.width));
        let mut request = resources::request(rules.iter().chain(&of_study), kind, architecture);
        let asks_for_time = resources::request(&of_study, kind, architecture).minutes.is_some();
        if let Some(&minutes) = key.filter(|_| !asks_for_time).and_then(|key| paces.get(&(kind, key))) {
            request.minutes = Some(minutes);
        }
        request.grow(row::small(found.memory), row::small(found.time));
        candidates.push(Candidate {
            stage: StageId(found.id),
            kind,
            checkpoint: found.checkpoint.map(row::small),
            architecture,
            priority: found.priority,
            request,
            parents: parents.remove(&found.id).unwrap_or_default(),
        });
    }
    Ok(Queueable { candidates, placed })
}
