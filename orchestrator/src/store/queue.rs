//! What could go into a cluster's queue, what each of it asks for, and what is there.

use super::{Result, Store, Tx, UNEXPLAINED, row};
use crate::domain::{
    batch::{self, Candidate, Parent},
    queue::{Earlier, Place},
    resources::{self, Ceiling, Request, Wall},
    work::Settings,
};
use protocol::{
    ids::{RunId, StageId},
    resources::ResourceRule,
    run::RunConfig,
    stage::StageKind,
};
use sqlx::SqliteConnection;
use std::collections::{HashMap, hash_map::Entry};

/// What could be queued, and what is.
#[derive(Clone, Debug, Default)]
pub struct Queueable {
    /// Stages without an attempt that is not over and with parents that are done, placed or candidates themselves; those
    /// that may start at once first.
    pub candidates: Vec<Candidate>,
    /// Where stages are in the queue.
    pub placed: HashMap<StageId, Place>,
}

/// What a cluster adds to the rules of studies.
#[derive(Clone, Debug, Default)]
pub struct Terms<'a> {
    /// Rules that go before them.
    pub rules: &'a [ResourceRule],
    /// The most that its partitions give.
    pub ceilings: Vec<Ceiling>,
    /// The longest time limits of accounts and qualities of service.
    pub walls: Vec<Wall>,
}

impl Store {
    /// The first `most` stages that could be queued now, and the places of those that are.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn queueable(&self, terms: &Terms<'_>, most: usize) -> Result<Queueable> {
        // One transaction, so that all parts are of the same moment.
        let mut tx = self.readers.begin().await?;
        queueable(&mut tx, terms, most).await
    }

    /// What the next jobs of stages would ask for; of those that there are.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn requests_of(
        &self,
        stages: &[StageId],
        terms: &Terms<'_>,
    ) -> Result<HashMap<StageId, (StageKind, Request)>> {
        let mut tx = self.readers.begin().await?;
        let mut asking = Asking::new(&mut tx, terms).await?;
        let mut requests = HashMap::with_capacity(stages.len());
        for &stage in stages {
            let found = sqlx::query!(
                "SELECT kind, run_id, data_hash, memory_doublings, time_doublings FROM stages WHERE id = ?",
                stage.0
            );
            let Some(found) = found.fetch_optional(&mut *tx).await? else { continue };
            let kind = row::word("a stage's kind", &found.kind)?;
            let run = found.run_id.map(RunId);
            let learned = (row::small(found.memory_doublings), row::small(found.time_doublings));
            let (request, _) =
                asking.request(&mut tx, kind, run, found.data_hash.as_deref(), learned).await?;
            requests.insert(stage, (kind, request));
        }
        Ok(requests)
    }
}

impl Tx {
    /// As [`Store::queueable`], with what this transaction has changed.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn queueable(&mut self, terms: &Terms<'_>, most: usize) -> Result<Queueable> {
        queueable(self.conn(), terms, most).await
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

/// How many of the newest attempts say how long such a stage takes.
const NEWEST: i64 = 5;

/// Time limits in minutes: the slowest of the [`NEWEST`] latest representative attempts at stages of a kind. Representative
/// is an attempt in a queue that was the first at its stage to make progress, was never restarted, and either succeeded or
/// was interrupted past 5 % of its units.
async fn paces(conn: &mut SqliteConnection) -> Result<HashMap<(StageKind, PaceKey), u64>> {
    let rows = sqlx::query!(
        r#"SELECT kind AS "kind!: String", layers AS "layers!: i64", width AS "width!: i64", epochs AS "epochs!: i64",
                  data_hash AS "data_hash!: String", max(pace) AS "pace!: f64", max(units) AS "units!: i64"
           FROM (SELECT *, row_number() OVER (PARTITION BY kind, layers, width, epochs, data_hash
                                              ORDER BY finished DESC) AS age
                 FROM (SELECT s.kind, json_extract(r.config, '$.layers') AS layers,
                              json_extract(r.config, '$.width') AS width, json_extract(r.config, '$.epochs') AS epochs,
                              r.data_hash, (a.finished - a.started) * 1.0 / a.progress_done AS pace,
                              a.progress_total AS units, a.finished
                       FROM attempts a JOIN stages s ON s.id = a.stage_id JOIN runs r ON r.id = s.run_id
                       WHERE a.submission_id IS NOT NULL AND a.progress_done > 0 AND a.finished > a.started
                         AND a.restarts = 0
                         AND NOT EXISTS (SELECT 1 FROM attempts b
                                         WHERE b.stage_id = a.stage_id AND b.number < a.number AND b.progress_done > 0)
                         AND (a.state = 'succeeded'
                              OR (a.state IN ('preempted', 'timed_out') AND a.progress_done * 20 >= a.progress_total))))
           WHERE age <= ? GROUP BY 1, 2, 3, 4, 5"#,
        NEWEST
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

/// Tells what stages ask for; remembers what several share.
struct Asking<'a> {
    terms: &'a Terms<'a>,
    paces: HashMap<(StageKind, PaceKey), u64>,
    runs: HashMap<RunId, (PaceKey, Settings)>,
    /// Settings of the newest run with some data: its `prepare` follows them.
    prepared: HashMap<String, Option<Settings>>,
}

impl<'a> Asking<'a> {
    async fn new(conn: &mut SqliteConnection, terms: &'a Terms<'a>) -> Result<Self> {
        Ok(Self { terms, paces: paces(conn).await?, runs: HashMap::new(), prepared: HashMap::new() })
    }

    /// What the next job of a stage asks for, and the layers and width of its run. `learned` is how often memory and
    /// time were doubled.
    async fn request(
        &mut self,
        conn: &mut SqliteConnection,
        kind: StageKind,
        run: Option<RunId>,
        data_hash: Option<&str>,
        learned: (u32, u32),
    ) -> Result<(Request, Option<(u32, u32)>)> {
        let (key, settings) = match (run, data_hash) {
            (Some(run), _) => {
                let (key, settings) = self.run(conn, run).await?;
                (Some(key.clone()), Some(settings))
            }
            (None, Some(data_hash)) => (None, self.prepared(conn, data_hash).await?),
            (None, None) => (None, None),
        };
        let of_study = settings.map(|settings| settings.resources.rules.clone()).unwrap_or_default();
        let architecture = key.as_ref().map(|key| (key.layers, key.width));
        let mut request = resources::request(self.terms.rules.iter().chain(&of_study), kind, architecture);
        let asks_for_time = resources::request(&of_study, kind, architecture).minutes.is_some();
        let pace = key.filter(|_| !asks_for_time).and_then(|key| self.paces.get(&(kind, key)));
        request.learn(pace.copied(), learned, &self.terms.ceilings, &self.terms.walls);
        Ok((request, architecture))
    }

    async fn run(&mut self, conn: &mut SqliteConnection, run: RunId) -> Result<&(PaceKey, Settings)> {
        match self.runs.entry(run) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let found = sqlx::query!("SELECT config, settings, data_hash FROM runs WHERE id = ?", run.0);
                let found = found.fetch_one(conn).await?;
                let config: RunConfig = row::json("a run's configuration", &found.config)?;
                let settings = row::json("a run's settings", &found.settings)?;
                let key = PaceKey {
                    layers: config.layers,
                    width: config.width,
                    epochs: config.epochs,
                    data_hash: found.data_hash,
                };
                Ok(place.insert((key, settings)))
            }
        }
    }

    async fn prepared(&mut self, conn: &mut SqliteConnection, data_hash: &str) -> Result<Option<&Settings>> {
        if !self.prepared.contains_key(data_hash) {
            let newest = sqlx::query_scalar!(
                "SELECT settings FROM runs WHERE data_hash = ? ORDER BY id DESC LIMIT 1",
                data_hash
            );
            let newest = newest.fetch_optional(conn).await?;
            let settings = newest.map(|text| row::json("a run's settings", &text)).transpose()?;
            self.prepared.insert(data_hash.to_owned(), settings);
        }
        Ok(self.prepared.get(data_hash).and_then(Option::as_ref))
    }
}

/// What could be queued now, and what is. Data is prepared with the priority of the first run that waits for it, or a
/// queue with little room would be full of runs that nothing can be queued for.
async fn queueable(conn: &mut SqliteConnection, terms: &Terms<'_>, most: usize) -> Result<Queueable> {
    let stages = sqlx::query!(
        r#"SELECT s.id AS "id!: i64", s.kind AS "kind!: String", s.checkpoint AS "checkpoint?: i64",
                  s.run_id AS "run?: i64", s.state AS "state!: String",
                  s.memory_doublings AS "memory!: i64", s.time_doublings AS "time!: i64",
                  s.data_hash AS "data_hash?: String", ifnull(ifnull(r.priority, p.priority), 0) AS "priority!: i32"
           FROM stages s LEFT JOIN runs r ON r.id = s.run_id
           LEFT JOIN (SELECT data_hash, max(priority) AS priority FROM runs GROUP BY data_hash) p
                ON p.data_hash = s.data_hash
           WHERE s.state IN ('ready', 'waiting')
           AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.stage_id = s.id AND a.live = 1)
           ORDER BY ifnull(ifnull(r.priority, p.priority), 0) DESC, s.state = 'waiting', CASE WHEN s.state = 'ready' THEN
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
                  s.pack AS "pack!: i64"
           FROM attempts a JOIN submissions s ON s.id = a.submission_id
           WHERE a.live = 1 AND a.stop IS NULL AND s.state = 'submitted' AND s.job_id > 0 AND a.waits IS NOT ?"#,
        UNEXPLAINED
    );
    for found in live.fetch_all(&mut *conn).await? {
        let array = Earlier::Known(row::word("a submission's id", &found.submission)?);
        let pack = row::small(found.pack).max(1);
        placed.insert(StageId(found.stage), Place { array, member: row::small(found.task), pack });
    }
    let parents_of = |stage: i64| parents.get(&stage).map_or(&[][..], Vec::as_slice);
    let ids = stages.iter().map(|found| (StageId(found.id), parents_of(found.id)));
    let chosen = batch::placeable(ids, &placed, most);
    let mut asking = Asking::new(&mut *conn, terms).await?;
    let mut candidates = Vec::with_capacity(chosen.len());
    for found in stages.into_iter().filter(|found| chosen.contains(&StageId(found.id))) {
        let kind = row::word("a stage's kind", &found.kind)?;
        let run = found.run.map(RunId);
        let learned = (row::small(found.memory), row::small(found.time));
        let (request, architecture) =
            asking.request(&mut *conn, kind, run, found.data_hash.as_deref(), learned).await?;
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
