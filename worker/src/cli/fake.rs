//! Stages that only sleep, to try out a cluster with everything around them real.

use crate::{
    Error, Result, analyze,
    report::{Report, attempt, process},
    stats,
};
use chrono::{DateTime, Utc};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::{
    attempt::{AttemptFile, MetricPoint},
    ids::AttemptId,
    output::{
        AnalyzeOutput, CollectOutput, EvaluateOutput, MeasureRow, PrepareOutput, SplitOutput, StageOutput,
        TrainOutput,
    },
    real::Real,
    spec::{AnalyzeSpec, CollectSpec, PrepareSpec, StageSpec, TrainSpec},
    stage::StageKind,
};
use serde::Serialize;
use std::{
    fs::File,
    io::Write as _,
    path::Path,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

/// The file beside `daemon.json` that tells what really ran, one JSON object a line.
const LEDGER: &str = "fake-work.jsonl";
/// Longest sleep without a look at [`Report::stop_requested`], in seconds.
const SLICE: f64 = 0.05;
/// How often progress is told.
const PARTS: u32 = 4;
/// Units that every stage claims to have.
const UNITS: u64 = 100;
/// What stands for a hash.
const HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One line of the ledger.
#[derive(Serialize)]
struct Entry {
    attempt: AttemptId,
    stage: StageKind,
    /// `started`, `finished`, `interrupted` or `failed`.
    what: &'static str,
    pid: u32,
    restart_count: u32,
    time: DateTime<Utc>,
}

/// How the fake work of one kind of stage ends instead of well.
#[derive(Clone, Debug)]
pub(super) struct Fail {
    kind: StageKind,
    end: End,
}

#[derive(Clone, Debug)]
enum End {
    Exit(i32),
    Kill,
    Fail(String),
}

impl FromStr for Fail {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (kind, end) = text.split_once('=')?;
            let end = match end.split_once(':') {
                Some(("exit", code)) => End::Exit(code.parse().ok()?),
                Some(("fail", message)) => End::Fail(message.to_owned()),
                _ if end == "kill" => End::Kill,
                _ => return None,
            };
            Some(Self { kind: kind.parse().ok()?, end })
        };
        parse().ok_or("expected STAGE=exit:CODE, STAGE=kill or STAGE=fail:MESSAGE")
    }
}

impl End {
    fn come(&self) -> Error {
        match self {
            Self::Exit(code) => std::process::exit(*code),
            Self::Kill => match kill(Pid::this(), Signal::SIGKILL) {
                Ok(()) => Error::failed("killed"),
                Err(errno) => Error::failed(format!("not killed: {errno}")),
            },
            Self::Fail(message) => Error::failed(message),
        }
    }
}

/// Sleeps for `seconds` and returns what the stage of `attempt` might.
pub(super) fn stage(
    attempt: &AttemptFile,
    seconds: f64,
    fail: Option<&Fail>,
    report: &Report,
) -> Result<StageOutput> {
    let kind = attempt.spec.kind();
    let note = |what| note(attempt, what);
    note("started")?;
    if let Err(interrupted) = sleep(&attempt.spec, seconds, report) {
        note("interrupted")?;
        return Err(interrupted);
    }
    if let Some(fail) = fail.filter(|fail| fail.kind == kind) {
        note("failed")?;
        return Err(fail.end.come());
    }
    let output = match &attempt.spec {
        StageSpec::Prepare(spec) => StageOutput::Prepare(prepared(spec)),
        StageSpec::Train(spec) => StageOutput::Train(trained(spec, seconds)),
        StageSpec::Evaluate(_) => StageOutput::Evaluate(evaluated()),
        StageSpec::Means(spec) => StageOutput::Means(collected(kind, spec)),
        StageSpec::Vars(spec) => StageOutput::Vars(collected(kind, spec)),
        StageSpec::Decs(spec) => StageOutput::Decs(collected(kind, spec)),
        StageSpec::Analyze(spec) => StageOutput::Analyze(analyzed(spec)?),
    };
    note("finished")?;
    Ok(output)
}

fn sleep(spec: &StageSpec, seconds: f64, report: &Report) -> Result<()> {
    let (kind, start) = (spec.kind(), Instant::now());
    for part in 1..=PARTS {
        let share = f64::from(part) / f64::from(PARTS);
        loop {
            if report.stop_requested() {
                return Err(Error::Interrupted(format!(
                    "the fake work was stopped in part {part} of {PARTS}"
                )));
            }
            let left = seconds * share - start.elapsed().as_secs_f64();
            if left <= 0.0 {
                break;
            }
            thread::sleep(Duration::from_secs_f64(left.min(SLICE)));
        }
        let done = UNITS * u64::from(part) / u64::from(PARTS);
        report.progress(done, UNITS, attempt::unit(kind));
        if let StageSpec::Train(spec) = spec {
            report.metric(MetricPoint {
                step: done,
                epoch: f64::from(spec.epochs) * share,
                loss: Real(4.0 - 2.0 * share),
                learning_rate: spec.learning_rate * (1.0 - share),
                grad_norm: Real(1.0),
                tokens_per_s: 1e4,
            });
        }
    }
    Ok(())
}

fn prepared(spec: &PrepareSpec) -> PrepareOutput {
    let split = SplitOutput {
        texts: UNITS,
        tokens: UNITS * u64::from(spec.block_size),
        sequences: UNITS,
        targets: UNITS * u64::from(spec.block_size.saturating_sub(1)),
        dropped_tokens: 0,
        sha256: HASH.to_owned(),
    };
    let splits = ["train", "validation"].map(|name| (name.to_owned(), split.clone()));
    PrepareOutput { block_size: spec.block_size, vocab_size: 1_000, splits: splits.into() }
}

fn trained(spec: &TrainSpec, seconds: f64) -> TrainOutput {
    let step = |epoch| UNITS * u64::from(epoch) / u64::from(spec.epochs.max(1));
    TrainOutput {
        steps: UNITS,
        final_loss: Real(2.0),
        tokens: UNITS * u64::from(spec.batch_size),
        seconds,
        n_params: 1_000_000,
        checkpoints: (1..=spec.epochs)
            .map(|epoch| spec.out.join(format!("checkpoint-{}", step(epoch))))
            .collect(),
    }
}

fn evaluated() -> EvaluateOutput {
    let loss: f64 = 2.0;
    EvaluateOutput {
        eval_loss: Real(loss),
        eval_accuracy: Real(0.5),
        perplexity: Real(loss.exp()),
        eval_samples: UNITS,
    }
}

fn collected(kind: StageKind, spec: &CollectSpec) -> CollectOutput {
    let name = spec.model.file_name().unwrap_or_default().to_string_lossy();
    CollectOutput {
        file: stats::path(&spec.stats, kind, spec.checkpoint.unwrap_or(0), stats::run_name(&name)),
        hash: HASH.to_owned(),
        sequences: UNITS,
        tokens: UNITS * 10,
        classes: UNITS,
        hits: (kind == StageKind::Decs).then_some(UNITS * 5),
    }
}

/// Every cell holds the number of its column, from 1.
fn analyzed(spec: &AnalyzeSpec) -> Result<AnalyzeOutput> {
    let columns = analyze::column_names(spec)?;
    let values = (1..).zip(&columns).map(|(number, column)| (column.clone(), Real(f64::from(number))));
    let rows = spec.only.iter().map(|(name, checkpoint)| MeasureRow {
        model: format!("{}@{checkpoint}", stats::run_name(name)),
        values: values.clone().collect(),
    });
    let rows = rows.collect();
    Ok(AnalyzeOutput { columns, rows })
}

/// Appends a line to the ledger, in a single write: workers on many nodes share it.
fn note(attempt: &AttemptFile, what: &'static str) -> Result<()> {
    let entry = Entry {
        attempt: attempt.attempt,
        stage: attempt.spec.kind(),
        what,
        pid: std::process::id(),
        restart_count: process::restarts(),
        time: Utc::now(),
    };
    let mut line = serde_json::to_vec(&entry).map_err(|error| Error::failed(error.to_string()))?;
    line.push(b'\n');
    let path = attempt.daemon.parent().unwrap_or(Path::new(".")).join(LEDGER);
    File::options()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut ledger| ledger.write_all(&line))
        .map_err(Error::io(&path))
}
