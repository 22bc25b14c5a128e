//! What is handed to a cluster's queue, and when, with a queue that answers as the test wants.

use super::bench::study;
use async_trait::async_trait;
use orchestrator::{
    config::executor::ExecutorName,
    domain::{
        layout::Layout,
        resources::{Door, Request},
    },
    engine::Engine,
    executor::{Capabilities, Executor, Job, Liveness, Order, Presence, Room, SubmitError, Survey},
    store::Store,
};
use protocol::{
    API_VERSION,
    attempt::{ClaimRequest, Process, SlurmJob},
    ids::{ClaimId, SubmissionId},
    stage::StageKind,
    study::StudySpec,
};
use sqlx::ConnectOptions as _;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Notify;

/// A queue in which everything waits for ever.
struct Queue {
    /// The most attempts that it takes.
    room: Mutex<u32>,
    /// What it answers before it says yes to everything.
    answers: Mutex<VecDeque<SubmitError>>,
    /// What was handed to it: kind and number of jobs.
    orders: Mutex<Vec<(StageKind, usize)>>,
    /// What the last of it asked for.
    asked: Mutex<Option<Request>>,
    /// Where it takes nothing, as there was too much.
    shut: Mutex<BTreeSet<Door>>,
    /// Whom the first worker of the next array asks before the array is answered for.
    hasty: Mutex<Option<Arc<Engine>>>,
}

impl Queue {
    fn answers(&self, answers: impl IntoIterator<Item = SubmitError>) {
        self.answers.lock().unwrap().extend(answers);
    }

    fn has_room(&self, attempts: u32) {
        *self.room.lock().unwrap() = attempts;
    }

    /// What was handed to it since the last time.
    fn orders(&self) -> Vec<(StageKind, usize)> {
        std::mem::take(&mut self.orders.lock().unwrap())
    }
}

#[async_trait]
impl Executor for Queue {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: ExecutorName::Slurm, slots: 0, queue: true }
    }

    async fn submit(&self, order: &Order) -> Result<u64, SubmitError> {
        let hasty = self.hasty.lock().unwrap().take();
        if let Some(engine) = hasty {
            engine.claim(claim(&order.jobs[0])).await.unwrap();
        }
        let mut orders = self.orders.lock().unwrap();
        orders.push((order.kind, order.jobs.len()));
        *self.asked.lock().unwrap() = Some(order.request.clone());
        match self.answers.lock().unwrap().pop_front() {
            Some(answer) => {
                if matches!(answer, SubmitError::Later { .. }) {
                    self.has_room(0);
                }
                if matches!(answer, SubmitError::TooMany { .. }) {
                    self.shut.lock().unwrap().insert(order.request.door());
                }
                Err(answer)
            }
            None => Ok(orders.len() as u64),
        }
    }

    async fn survey(&self, jobs: &[Job], unclear: &[(SubmissionId, Vec<Job>)]) -> Survey {
        let waits = |job: &Job| (job.attempt, Liveness::Waits { reason: None, never: false });
        let absent = |(id, _): &(SubmissionId, Vec<Job>)| (*id, Presence::Absent);
        Survey { jobs: jobs.iter().map(waits).collect(), submissions: unclear.iter().map(absent).collect() }
    }

    async fn stop(&self, _jobs: &[Job], _force: bool) {}

    async fn room(&self, queued: u32) -> Room {
        Room { attempts: self.room.lock().unwrap().saturating_sub(queued), array: 1000 }
    }

    async fn takes(&self, request: &Request) -> bool {
        !self.shut.lock().unwrap().contains(&request.door())
    }
}

/// The claim of a job's worker.
fn claim(job: &Job) -> ClaimRequest {
    let slurm = SlurmJob {
        job_id: 8,
        array_job_id: Some(7),
        array_task: job.queued.map(|queued| queued.array_task()),
        restart_count: 0,
        node: None,
    };
    ClaimRequest {
        api_version: API_VERSION,
        attempt: job.attempt,
        claim: ClaimId(uuid::Uuid::new_v4()),
        process: Process { host: "h".into(), pid: 1, version: "9".into(), slurm: Some(slurm) },
    }
}

struct Site {
    root: tempfile::TempDir,
    queue: Arc<Queue>,
    engine: Arc<Engine>,
}

impl Site {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let store = Store::open(&layout).await.unwrap();
        let queue = Arc::new(Queue {
            room: Mutex::new(1000),
            answers: Mutex::default(),
            orders: Mutex::default(),
            asked: Mutex::default(),
            shut: Mutex::default(),
            hasty: Mutex::default(),
        });
        let engine = Arc::new(Engine::new(store, queue.clone(), layout, Arc::new(Notify::new())));
        Self { root, queue, engine }
    }

    /// What is handed over when the record is compared once.
    async fn orders(&self) -> Vec<(StageKind, usize)> {
        self.engine.reconcile().await.unwrap();
        self.queue.orders()
    }
}

/// A study on data of its own, whose jobs ask for memory of their own.
fn apart(number: u32, seeds: &[u32]) -> StudySpec {
    let mut spec = study(&format!("s{number}"), &[32], seeds);
    spec.data.block_size -= number;
    let rule = serde_json::json!({"mem": format!("{}G", number + 1)});
    spec.resources.rules = vec![serde_json::from_value(rule).unwrap()];
    spec
}

fn later(seconds: u64) -> SubmitError {
    SubmitError::Later { message: "the controller is away".into(), after: Duration::from_secs(seconds) }
}

#[tokio::test]
async fn what_waits_for_something_that_is_held_leaves_the_room_to_others() {
    let site = Site::new().await;
    site.engine.plan(apart(0, &[0, 1, 2]), false).await.unwrap();
    site.queue.answers([later(3600)]);
    assert_eq!(site.orders().await, [(StageKind::Prepare, 1)]);
    site.engine.plan(apart(1, &[0, 1]), false).await.unwrap();
    // The one that is held, and two more.
    site.queue.has_room(3);
    assert_eq!(site.orders().await, [(StageKind::Prepare, 1), (StageKind::Train, 1)]);
    site.queue.has_room(4);
    assert_eq!(site.orders().await, [(StageKind::Evaluate, 1)]);
}

#[tokio::test]
async fn the_first_refusal_holds_back_what_was_held_before() {
    let site = Site::new().await;
    for number in 0..3 {
        site.engine.plan(apart(number, &[0]), false).await.unwrap();
    }
    let unclear = || SubmitError::Unclear { message: "nothing was heard".into() };
    site.queue.answers([unclear(), unclear(), unclear()]);
    assert_eq!(site.orders().await, [(StageKind::Prepare, 1); 3]);
    // None of them is in the queue: all are to be handed over again.
    site.queue.answers([later(0)]);
    assert_eq!(site.orders().await, [(StageKind::Prepare, 1)]);
    site.queue.has_room(1000);
    assert_eq!(site.orders().await.iter().filter(|(kind, _)| *kind == StageKind::Prepare).count(), 3);
}

fn too_many(seconds: u64) -> SubmitError {
    SubmitError::TooMany { message: "a limit is reached".into(), after: Duration::from_secs(seconds) }
}

/// As [`apart`], in a partition of its own.
fn in_partition(number: u32, partition: &str, seeds: &[u32]) -> StudySpec {
    let mut spec = apart(number, seeds);
    spec.resources.rules[0].partition = Some(partition.to_owned());
    spec
}

#[tokio::test]
async fn a_limit_of_one_partition_holds_back_no_other() {
    let site = Site::new().await;
    site.engine.plan(in_partition(0, "a", &[0, 1, 2]), false).await.unwrap();
    site.queue.answers([too_many(3600)]);
    assert_eq!(site.orders().await, [(StageKind::Prepare, 1)]);
    site.engine.plan(in_partition(1, "a", &[3]), false).await.unwrap();
    site.engine.plan(in_partition(2, "b", &[4]), false).await.unwrap();
    // What is held takes none of it, nor does what would go the same way.
    site.queue.has_room(2);
    assert_eq!(site.orders().await, [(StageKind::Prepare, 1), (StageKind::Train, 1)]);
    let asked = site.queue.asked.lock().unwrap().clone();
    assert_eq!(asked.unwrap().partition.as_deref(), Some("b"));
    assert_eq!(site.orders().await, []);
}

#[tokio::test]
async fn an_array_goes_in_halves_if_the_queue_has_little_of_its_partition() {
    let site = Site::new().await;
    site.engine.plan(in_partition(0, "b", &[0, 1, 2, 3]), false).await.unwrap();
    assert_eq!(site.orders().await.len(), 7);
    // The data comes by another way.
    let mut spec = in_partition(0, "a", &[4, 5, 6]);
    spec.name = "t".into();
    site.engine.plan(spec, false).await.unwrap();
    site.queue.answers([too_many(0)]);
    assert_eq!(site.orders().await, [(StageKind::Train, 3)]);
    site.queue.shut.lock().unwrap().clear();
    assert_eq!(site.orders().await[..2], [(StageKind::Train, 1), (StageKind::Train, 2)]);
}

#[tokio::test]
async fn an_array_that_no_queue_takes_goes_in_halves_at_once() {
    let site = Site::new().await;
    site.engine.plan(apart(0, &[0, 1, 2]), false).await.unwrap();
    site.queue.has_room(1);
    assert_eq!(site.orders().await, [(StageKind::Prepare, 1)]);
    site.queue.has_room(1000);
    site.queue.answers([SubmitError::TooLarge { message: "too many tasks".into() }]);
    assert_eq!(site.orders().await, [(StageKind::Train, 3)]);
    assert_eq!(site.orders().await[..2], [(StageKind::Train, 1), (StageKind::Train, 2)]);
}

#[tokio::test]
async fn what_is_held_asks_for_what_its_study_asks_for_by_now() {
    let site = Site::new().await;
    let mut spec = apart(0, &[0]);
    site.engine.plan(spec.clone(), false).await.unwrap();
    site.queue.has_room(1);
    site.queue.answers([too_many(0)]);
    assert_eq!(site.orders().await, [(StageKind::Prepare, 1)]);
    site.queue.shut.lock().unwrap().clear();
    spec.resources.rules[0].qos = Some("short".into());
    site.engine.plan(spec, false).await.unwrap();
    assert_eq!(site.orders().await, [(StageKind::Prepare, 1)], "once");
    let asked = site.queue.asked.lock().unwrap().clone();
    assert_eq!(asked.unwrap().qos.as_deref(), Some("short"));
}

#[tokio::test]
async fn what_a_worker_came_from_is_in_the_queue_whatever_the_answer_was() {
    for answer in [later(0), SubmitError::Unclear { message: "nothing was heard".into() }] {
        let site = Site::new().await;
        site.engine.plan(apart(0, &[0]), false).await.unwrap();
        site.queue.has_room(1);
        *site.queue.hasty.lock().unwrap() = Some(site.engine.clone());
        site.queue.answers([answer]);
        assert_eq!(site.orders().await, [(StageKind::Prepare, 1)]);
        site.queue.has_room(1);
        for _ in 0..3 {
            assert_eq!(site.orders().await, []);
        }
    }
}

#[tokio::test]
async fn what_could_not_be_recorded_leaves_no_folders() {
    let site = Site::new().await;
    site.engine.plan(apart(0, &[0]), false).await.unwrap();
    let file = site.root.path().join("lc.sqlite");
    let mut record = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let full =
        "CREATE TRIGGER full BEFORE INSERT ON attempts BEGIN SELECT raise(ABORT, 'the disk is full'); END";
    sqlx::query(full).execute(&mut record).await.unwrap();
    let error = site.engine.reconcile().await.unwrap_err().to_string();
    assert!(error.contains("the disk is full"), "{error}");
    let folders = || std::fs::read_dir(site.root.path().join("logs/prepare")).unwrap().count();
    assert_eq!(folders(), 0);
    // Nor are there new ones at once.
    site.engine.reconcile().await.unwrap();
    assert_eq!((folders(), site.queue.orders()), (0, Vec::new()));
}
