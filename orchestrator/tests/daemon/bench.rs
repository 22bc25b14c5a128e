//! A daemon without its process: engine, record and router over a temporary root, and an executor
//! whose processes are the test's own hands.

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use chrono::Utc;
use orchestrator::{
    config::executor::ExecutorName,
    domain::layout::Layout,
    engine::Engine,
    executor::{Capabilities, Executor, Exit, Job, Liveness, Order, Room, SubmitError, Survey},
    http::{App, AppState, LoginCodes, Reports, router},
    secret,
    store::Store,
    table::Table,
};
use protocol::{
    attempt::{AttemptFile, Outcome},
    axis::{Counted, Doubled},
    ids::{AttemptId, ClaimId, SubmissionId},
    output::{
        AnalyzeOutput, CollectOutput, EvaluateOutput, MeasureRow, PrepareOutput, StageOutput, TrainOutput,
    },
    real::Real,
    spec::StageSpec,
    study::StudySpec,
    view::{RunDetail, RunSummary, StageView, StudyDetail},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// An executor that starts nothing: what it is given lies in `submitted` until the test takes it.
pub struct Hands {
    pub slots: u32,
    /// Whether it has a queue, which takes everything at once.
    pub queue: bool,
    pub submitted: Mutex<Vec<Job>>,
    pub state: Mutex<HashMap<AttemptId, Liveness>>,
    pub stops: Mutex<Vec<(AttemptId, bool)>>,
    /// Nodes that each order leaves out.
    pub left_out: Mutex<Vec<Vec<String>>>,
    /// Why nothing can be started.
    pub trouble: Mutex<Option<String>>,
    /// The daemon dies while it hands a job over.
    pub dies: Mutex<bool>,
}

impl Hands {
    pub fn new(slots: u32) -> Arc<Self> {
        Arc::new(Self::with(slots, false))
    }

    fn with(slots: u32, queue: bool) -> Self {
        Self {
            slots,
            queue,
            submitted: Mutex::default(),
            state: Mutex::default(),
            stops: Mutex::default(),
            left_out: Mutex::default(),
            trouble: Mutex::default(),
            dies: Mutex::default(),
        }
    }

    pub fn is_gone(&self, attempt: AttemptId, exit: Exit) {
        self.state.lock().unwrap().insert(attempt, Liveness::Gone(exit));
    }

    /// All nodes that the orders since the last call leave out.
    pub fn left_out(&self) -> Vec<String> {
        std::mem::take(&mut *self.left_out.lock().unwrap()).concat()
    }

    pub fn forget(&self, attempt: AttemptId) {
        self.state.lock().unwrap().remove(&attempt);
    }
}

#[async_trait]
impl Executor for Hands {
    fn capabilities(&self) -> Capabilities {
        let name = if self.queue { ExecutorName::Slurm } else { ExecutorName::Local };
        Capabilities { name, slots: self.slots, queue: self.queue }
    }

    async fn room(&self, _queued: u32) -> Room {
        Room { attempts: 1_000, array: 1_000 }
    }

    async fn submit(&self, order: &Order) -> Result<u64, SubmitError> {
        for job in &order.jobs {
            self.submitted.lock().unwrap().push(job.clone());
            self.state.lock().unwrap().insert(job.attempt, Liveness::Alive { node: None });
        }
        self.left_out.lock().unwrap().push(order.request.exclude.clone());
        if *self.dies.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        Ok(1)
    }

    async fn survey(&self, jobs: &[Job], _unclear: &[(SubmissionId, Vec<Job>)]) -> Survey {
        let state = self.state.lock().unwrap();
        let of = |job: &Job| state.get(&job.attempt).cloned().unwrap_or(Liveness::Gone(Exit::default()));
        Survey { jobs: jobs.iter().map(|job| (job.attempt, of(job))).collect(), ..Survey::default() }
    }

    fn can_start(&self) -> bool {
        self.trouble().is_none()
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap().clone()
    }

    async fn stop(&self, jobs: &[Job], force: bool) {
        self.stops.lock().unwrap().extend(jobs.iter().map(|job| (job.attempt, force)));
    }
}

/// A root with a daemon over it.
pub struct Bench {
    pub root: Arc<tempfile::TempDir>,
    pub hands: Arc<Hands>,
    pub engine: Arc<Engine>,
    pub store: Store,
    pub router: Router,
}

impl Bench {
    pub async fn new(slots: u32) -> Self {
        Self::with_token(slots, TOKEN).await
    }

    /// One whose stages go to a queue.
    pub async fn with_queue() -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), Arc::new(Hands::with(0, true)), TOKEN).await
    }

    /// One whose API token is another than [`TOKEN`].
    pub async fn with_token(slots: u32, token: &str) -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), Hands::new(slots), token).await
    }

    async fn open(root: Arc<tempfile::TempDir>, hands: Arc<Hands>, token: &str) -> Self {
        let layout = Layout::new(root.path());
        let store = Store::open(&layout).await.unwrap();
        let wake = Arc::new(Notify::new());
        let engine = Arc::new(Engine::new(store.clone(), hands.clone(), layout, wake));
        engine.distrust_tables().await.unwrap();
        let app = App::new(AppState {
            store: store.clone(),
            table: Arc::new(Table::new(store.clone())),
            engine: engine.clone(),
            token_sha256: secret::hash(token),
            listen: "127.0.0.1:8642".parse().unwrap(),
            started: Utc::now(),
            codes: LoginCodes::default(),
            reports: Reports::default(),
            shutdown: CancellationToken::new(),
        });
        Self { root, hands, engine, store, router: router(app) }
    }

    /// The daemon dies and another one starts on the same root. Workers live on.
    pub async fn restarted(self) -> Self {
        let (root, hands) = (self.root.clone(), self.hands.clone());
        *hands.dies.lock().unwrap() = false;
        self.store.close().await;
        drop(self);
        Self::open(root, hands, TOKEN).await
    }

    pub async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 24).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub async fn call<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&T>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", "127.0.0.1:8642")
            .header("authorization", format!("Bearer {token}"));
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(serde_json::to_vec(body).unwrap())
            }
            None => Body::empty(),
        };
        let (status, text) = self.send(request.body(body).unwrap()).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, value) = self.call::<()>(Method::GET, path, TOKEN, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {value}");
        serde_json::from_value(value).unwrap()
    }

    pub async fn post<T: Serialize>(&self, path: &str, body: Option<&T>) -> (StatusCode, Value) {
        self.call(Method::POST, path, TOKEN, body).await
    }

    /// Plans a study that must be accepted.
    pub async fn plan(&self, spec: &StudySpec) -> protocol::view::StudyPlan {
        let (status, value) = self.post("/studies", Some(spec)).await;
        assert_eq!(status, StatusCode::OK, "{value}");
        serde_json::from_value(value).unwrap()
    }

    pub async fn study(&self, name: &str) -> StudyDetail {
        self.get(&format!("/studies/{name}")).await
    }

    pub async fn run(&self, run: &RunSummary) -> RunDetail {
        self.get(&format!("/runs/{}", run.id)).await
    }

    /// Reconciles, and answers the workers that were started by it.
    pub async fn started(&self) -> Vec<Worker> {
        self.engine.reconcile().await.unwrap();
        let jobs = std::mem::take(&mut *self.hands.submitted.lock().unwrap());
        jobs.iter().map(|job| Worker::at(&job.folder)).collect()
    }

    /// Labels of the workers that were started, sorted.
    pub async fn labels(&self) -> Vec<String> {
        labels(&self.started().await)
    }

    /// Lets every stage of every study succeed; answers how many workers were started.
    pub async fn finish(&self) -> usize {
        let mut count = 0;
        loop {
            let workers = self.started().await;
            if workers.is_empty() {
                return count;
            }
            count += workers.len();
            for worker in workers {
                worker.succeed(self).await;
            }
        }
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap()
    }
}

pub fn labels(workers: &[Worker]) -> Vec<String> {
    let mut labels: Vec<_> = workers.iter().map(Worker::label).collect();
    labels.sort_unstable();
    labels
}

/// A worker in the test's hands.
pub struct Worker {
    pub file: AttemptFile,
    pub folder: PathBuf,
    pub claim: ClaimId,
    /// How often the cluster had started it again.
    pub restarts: u32,
}

impl Worker {
    pub fn at(folder: &Path) -> Self {
        let file = serde_json::from_slice(&fs::read(folder.join("attempt.json")).unwrap()).unwrap();
        Self { file, folder: folder.to_owned(), claim: ClaimId(uuid::Uuid::new_v4()), restarts: 0 }
    }

    pub fn id(&self) -> AttemptId {
        self.file.attempt
    }

    pub fn label(&self) -> String {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let kind = self.file.spec.kind();
        match &self.file.spec {
            StageSpec::Prepare(_) => kind.to_string(),
            StageSpec::Train(spec) => format!("{kind} {}", name(&spec.out)),
            StageSpec::Evaluate(spec) => format!("{kind} {}@{}", name(&spec.model), spec.checkpoint.unwrap()),
            StageSpec::Means(spec) | StageSpec::Vars(spec) | StageSpec::Decs(spec) => {
                format!("{kind} {}@{}", name(&spec.model), spec.checkpoint.unwrap())
            }
            StageSpec::Analyze(spec) => {
                let (name, checkpoint) = spec.only.as_ref().unwrap();
                format!("{kind} {name}@{checkpoint}")
            }
        }
    }

    pub async fn call(&self, bench: &Bench, what: &str, body: &Value) -> (StatusCode, Value) {
        bench.call(Method::POST, &format!("/worker/{what}"), &self.file.token, Some(body)).await
    }

    pub async fn try_claim(&self, bench: &Bench) -> (StatusCode, Value) {
        let body = json!({
            "api_version": protocol::API_VERSION, "attempt": self.id(), "claim": self.claim,
            "process": {"host": "here", "pid": 7, "version": "0", "slurm": null},
        });
        self.call(bench, "claim", &body).await
    }

    pub async fn claim(&self, bench: &Bench) {
        let (status, answer) = self.try_claim(bench).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    pub async fn try_events(&self, bench: &Bench, events: &[Value]) -> (StatusCode, Value) {
        let body =
            json!({"attempt": self.id(), "claim": self.claim, "restarts": self.restarts, "events": events});
        self.call(bench, "events", &body).await
    }

    pub async fn events(&self, bench: &Bench, events: &[Value]) -> Value {
        let (status, answer) = self.try_events(bench, events).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    pub fn report(&self, outcome: &Outcome) -> Value {
        let mut report = serde_json::to_value(protocol::attempt::ResultReport {
            attempt: self.id(),
            claim: self.claim,
            restarts: self.restarts,
            time: Utc::now(),
            outcome: outcome.clone(),
        });
        report.as_mut().unwrap().take()
    }

    pub async fn try_result(&self, bench: &Bench, outcome: &Outcome) -> (StatusCode, Value) {
        self.call(bench, "result", &self.report(outcome)).await
    }

    pub async fn ends(&self, bench: &Bench, outcome: &Outcome) {
        let (status, answer) = self.try_result(bench, outcome).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
        bench.hands.is_gone(self.id(), Exit { code: Some(0), ..Exit::default() });
    }

    pub async fn succeed(&self, bench: &Bench) {
        self.claim(bench).await;
        self.ends(bench, &self.success()).await;
    }

    pub async fn fail(&self, bench: &Bench, permanent: bool) {
        self.claim(bench).await;
        self.ends(bench, &Outcome::Failed { message: "it broke".into(), permanent }).await;
    }

    /// What this stage would return.
    pub fn success(&self) -> Outcome {
        let collected = || CollectOutput {
            file: "f".into(),
            hash: "h".into(),
            sequences: 1,
            tokens: 2,
            classes: 3,
            hits: None,
        };
        let output = match &self.file.spec {
            StageSpec::Prepare(_) => StageOutput::Prepare(PrepareOutput {
                block_size: 2,
                vocab_size: 3,
                splits: Default::default(),
            }),
            StageSpec::Train(_) => StageOutput::Train(TrainOutput {
                steps: 40,
                final_loss: Real(1.5),
                tokens: 1,
                seconds: 1.0,
                n_params: 9,
                checkpoints: vec![],
            }),
            StageSpec::Evaluate(_) => StageOutput::Evaluate(EvaluateOutput {
                eval_loss: Real(1.0),
                eval_accuracy: Real(0.5),
                perplexity: Real(f64::INFINITY),
                eval_samples: 3,
            }),
            StageSpec::Means(_) => StageOutput::Means(collected()),
            StageSpec::Vars(_) => StageOutput::Vars(collected()),
            StageSpec::Decs(_) => StageOutput::Decs(collected()),
            StageSpec::Analyze(_) => StageOutput::Analyze(AnalyzeOutput {
                columns: vec!["n_params".into(), "perplex".into(), "cdnv".into()],
                rows: vec![MeasureRow {
                    model: "what the worker calls it".into(),
                    values: [("n_params".to_owned(), Real(9.0)), ("perplex".to_owned(), Real(f64::INFINITY))]
                        .into(),
                }],
            }),
        };
        Outcome::Succeeded { output }
    }

    /// Writes what the worker would have sent into its folder, as it does before sending anything.
    pub fn leave(&self, events: &[Value], outcome: Option<&Outcome>) {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        fs::write(self.folder.join("lock"), "").unwrap();
        fs::write(self.folder.join("events.jsonl"), lines).unwrap();
        if let Some(outcome) = outcome {
            fs::write(self.folder.join("result.json"), self.report(outcome).to_string()).unwrap();
        }
    }
}

pub fn progress(seq: u64, done: u64) -> Value {
    json!({"seq": seq, "time": Utc::now(),
           "body": {"kind": "progress", "done": done, "total": 40, "unit": "steps"}})
}

pub fn metric(seq: u64, step: u64, loss: f64) -> Value {
    json!({"seq": seq, "time": Utc::now(), "body": {"kind": "metrics", "points": [
        {"step": step, "epoch": 0.1, "loss": Real(loss), "learning_rate": 1e-4, "grad_norm": 1.0, "tokens_per_s": 5.0}
    ]}})
}

/// A study of `widths` x `seeds` models.
pub fn study(name: &str, widths: &[u32], seeds: &[u32]) -> StudySpec {
    let mut spec = StudySpec::named(name);
    spec.grid.width = Doubled(widths.to_vec());
    spec.grid.seed = Counted(seeds.to_vec());
    spec
}

/// `kind state`, in the order of the run's stages.
pub fn states(stages: &[StageView]) -> Vec<String> {
    stages.iter().map(|stage| format!("{} {}", stage.kind, stage.state)).collect()
}
