//! The training loop.

use super::{
    adamw::AdamW,
    ahead::{Ahead, Taken, Waiting},
    gradients::loss_and_gradients,
    keep,
    log::Log,
    memory,
    order::Order,
    resume,
    state::{self, RANDOM, Settings, TrainerState},
};
use crate::{
    Error, Result,
    data::{self, Manifest, Sequences, lock::Lock},
    device::{self, Device},
    files,
    kernels::{Kernels, Precision, dropout::Dropout},
    model::{
        Batch, GptNeo, GptNeoConfig,
        checkpoint::{self, CONFIG, checkpoints},
        config::FromData,
        init,
    },
    on_device,
    report::Report,
};
use chrono::Utc;
use protocol::{output::TrainOutput, real::Real, run::decay_is_lost, settings::Dtype, spec::TrainSpec};
use serde_json::{Map, Value};
use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between two checkpoints that only serve to resume after a crash, where no number of steps is given.
const RESUME_EVERY: Duration = Duration::from_secs(600);
/// Name of the file in a model folder that is locked by whoever trains the model.
const LOCK: &str = ".lock";

/// Trains a model: one `checkpoint-<step>` per epoch in `spec.out`, of which `spec.keep_checkpoints` stay.
///
/// # Errors
/// On bad input, when a file can't be written, when the loss or what is to be saved is no longer a number, and
/// [`Error::Interrupted`] after a stop was asked for and a checkpoint to resume from was written. A worker that lost its
/// attempt writes none: another may be at work in the same folder.
pub fn train(spec: &TrainSpec, report: &Report) -> Result<TrainOutput> {
    let device = device::resolve(&spec.device, report)?;
    on_device!(device, |B, place| run::<B>(spec, report, &place, device))
}

/// A model on its way.
pub struct Trainer<B: Kernels> {
    /// The model.
    pub model: GptNeo<B>,
    /// Its optimizer.
    pub optimizer: AdamW<B>,
    seed: u32,
    max_grad_norm: f64,
}

impl<B: Kernels> Trainer<B> {
    /// A trainer that clips gradients to a norm of `max_grad_norm`; the seed is that of dropout.
    #[must_use]
    pub const fn new(model: GptNeo<B>, optimizer: AdamW<B>, seed: u32, max_grad_norm: f64) -> Self {
        Self { model, optimizer, seed, max_grad_norm }
    }

    /// One step, counted from 1. Weights stay as they were where loss or gradients are no longer numbers, which
    /// [`Taken::read`] tells.
    ///
    /// # Errors
    /// When the device fails, or as [`Taken::read`] where that needs no waiting.
    pub fn step(&mut self, batch: &Batch, learning_rate: f64, step: u64) -> Result<Taken<B>> {
        let dropout = Dropout::at_step(self.seed, step);
        let (loss, gradients) = loss_and_gradients(&self.model, batch, Some(dropout))?;
        let clipping = B::clipping(&gradients, self.max_grad_norm)?;
        let taken = Taken { step, loss, grad_norm: clipping.norm };
        if taken.is_known() {
            taken.read()?;
        }
        self.optimizer.update(&mut self.model, gradients, &clipping.scale, learning_rate, step)?;
        Ok(taken)
    }
}

/// The learning rate of a step, counted from 1: linear decay to zero without warm-up.
#[must_use]
pub fn learning_rate(peak: f64, step: u64, total: u64) -> f64 {
    peak * (1.0 - (step - 1) as f64 / total as f64)
}

/// The numbers of matrix products that a dtype means.
///
/// # Errors
/// When there is no such dtype.
pub fn precision(dtype: &str) -> Result<Precision> {
    match dtype.parse::<Dtype>() {
        Ok(Dtype::F32) => Ok(Precision::F32),
        Ok(Dtype::Bf16) => Ok(Precision::Bf16),
        Err(error) => Err(Error::input(format!("dtype: {error}"))),
    }
}

fn run<B: Kernels>(
    spec: &TrainSpec,
    report: &Report,
    place: &B::Device,
    device: Device,
) -> Result<TrainOutput> {
    files::require_writable("--out", &spec.out, &spec.out)?;
    let manifest = Manifest::read(&spec.data)?;
    let sequences = Sequences::open(&spec.data, "train")?;
    let mut order =
        Order::parse(&spec.order, spec.seed, sequences.len(), spec.batch_size as usize, spec.epochs)?;
    let per_epoch = order.steps_per_epoch();
    let total = (per_epoch * u64::from(spec.epochs)).min(spec.max_steps.unwrap_or(u64::MAX));
    let data = (manifest.splits["train"].sha256.as_str(), sequences.block_size());
    let start = |folder| checkpoint::weights::hash(&checkpoint::locate(folder, None)?.folder);
    let init = match spec.init.as_deref().map(start) {
        None => Some(RANDOM.to_owned()),
        Some(Ok(hash)) => Some(hash),
        // What training began with may be gone when it is resumed; checkpoints of earlier versions do not ask for it.
        Some(Err(_)) if spec.resume => None,
        Some(Err(error)) => return Err(error),
    };
    let settings = Settings::of(spec, total, data, order.sha256(), init.as_deref());

    let config = configuration(spec, &manifest, sequences.block_size())?;
    let precision = precision(&spec.dtype)?;
    if !precision.exists_on::<B>(place) {
        return Err(Error::input(format!("this device has no {}; use --dtype f32", spec.dtype)));
    }
    if device == Device::Cpu {
        memory::require(&config, precision)?;
    }
    // Until the end: whatever is found half written from now on was left by a killed process.
    let _lock = Lock::take(&spec.out.join(LOCK), &spec.out.display().to_string(), "training", report)?;
    let (model, optimizer, mut done) = begin::<B>(spec, &settings, &config, report, (place, device))?;
    let model = model.in_precision(precision);
    describe(spec, &config)?;

    let (mut log, last, missing) = Log::open(&spec.out, done)?;
    if missing > 0 {
        report.warn(format!(
            "{}: {missing} of {done} steps are missing, the model is whole",
            log.path().display()
        ));
    }
    // Not from the log, which may have lost lines.
    let tokens_before = order.sequences_through(done) * sequences.block_size() as u64;
    let mut tokens = tokens_before;
    let last = last.filter(|line| line.step == done);
    let mut final_loss = last.map_or(Real(f64::NAN), |line| line.loss);
    let mut trainer = Trainer::new(model, optimizer, spec.seed, spec.max_grad_norm);
    let state = |step: u64| TrainerState {
        global_step: step,
        max_steps: total,
        epoch: step as f64 / per_epoch as f64,
        device: Some(device.kind().to_owned()),
        settings: settings.clone(),
    };
    let started = Instant::now();
    let mut saved = Instant::now();
    let mut ahead = Ahead::after(tokens);
    report.progress(done, total, "steps");
    while done < total {
        let step = done + 1;
        let rows = order.batch(done);
        let batch = Batch::new(rows.iter().map(|&row| sequences.get(row)), sequences.block_size());
        let rate = learning_rate(spec.learning_rate, step, total);
        let taken = trainer.step(&batch, rate, step)?;
        done = step;
        tokens += batch.ids.len() as u64;
        let known = taken.is_known();
        let epoch = step as f64 / per_epoch as f64;
        ahead.push(Waiting { taken, epoch, learning_rate: rate, tokens, time: Utc::now() });

        let epoch_over = done.is_multiple_of(per_epoch) || done == total;
        let stop = report.stop_requested();
        report.require_hold()?;
        let due = spec
            .save_every
            .map_or_else(|| saved.elapsed() > RESUME_EVERY, |steps| done.is_multiple_of(steps));
        // Whatever is saved is known to come from steps that found numbers; saving looks at the last update.
        if known || ahead.is_full() || epoch_over || stop || due {
            final_loss = ahead.settle(&mut log, report)?;
            report.progress(done, total, "steps");
        }
        if epoch_over || stop || due {
            log.sync()?;
            state::save(&spec.out, &trainer.model, &trainer.optimizer, &state(done), epoch_over)?;
            keep::prune(&spec.out, spec.keep_checkpoints, false)?;
            saved = Instant::now();
            let index = epoch_over.then(|| done.div_ceil(per_epoch) as u32 - 1);
            report.checkpoint(index, done);
        }
        if stop && done < total {
            return Err(Error::Interrupted(format!(
                "stopped after step {done} of {total}; a checkpoint was written, --resume goes on from it"
            )));
        }
    }
    keep::prune(&spec.out, spec.keep_checkpoints, true)?;
    Ok(TrainOutput {
        steps: done,
        final_loss,
        tokens: tokens - tokens_before,
        seconds: started.elapsed().as_secs_f64(),
        n_params: trainer.model.parameter_count() as u64,
        checkpoints: checkpoints(&spec.out)?.into_iter().map(|(_, folder)| folder).collect(),
    })
}

/// What training begins with: model, optimizer, and the steps that are done already. Those of the newest checkpoint
/// with `--resume`, else of `--init`, else random weights.
fn begin<B: Kernels>(
    spec: &TrainSpec,
    settings: &Settings,
    config: &GptNeoConfig,
    report: &Report,
    (place, device): (&B::Device, Device),
) -> Result<(GptNeo<B>, AdamW<B>, u64)> {
    if !spec.resume && !keep::all(&spec.out)?.is_empty() {
        return Err(Error::input(format!(
            "{}: has checkpoints already; use --resume to go on or another --out",
            spec.out.display()
        )));
    }
    checkpoint::remove_unfinished(&spec.out)?;
    if spec.resume
        && let Some(resumed) = resume::newest::<B>(&spec.out, settings, report, place)?
    {
        let (found, asked) = (resumed.model.config.to_fields(), config.to_fields());
        let differs = found.keys().chain(asked.keys()).find(|&field| found.get(field) != asked.get(field));
        if let Some(field) = differs {
            let text = |fields: &Map<String, Value>| fields.get(field).unwrap_or(&Value::Null).to_string();
            return Err(Error::input(format!(
                "{}: its checkpoints have {field} {}, asked to resume with {}; use the same or another --out",
                spec.out.display(),
                text(&found),
                text(&asked)
            )));
        }
        report.info(format!("going on from step {}", resumed.state.global_step));
        device.compare(resumed.state.device.as_deref(), report);
        return Ok((resumed.model, resumed.optimizer, resumed.state.global_step));
    }
    let TrainSpec { learning_rate, weight_decay, .. } = *spec;
    if decay_is_lost(learning_rate, weight_decay) {
        report.info(format!(
            "weight decay {weight_decay} changes nothing: 1 - learning rate x weight decay is 1 in f32"
        ));
    }
    let model = match &spec.init {
        Some(folder) => {
            let mut model = checkpoint::load::<B>(&checkpoint::locate(folder, None)?.folder, place)?;
            // Its own says nothing of the data, which the checkpoints of this run do.
            model.config = Arc::new(config.clone());
            model
        }
        None => init::random::<B>(config, spec.seed, place),
    };
    let optimizer = AdamW::new(&model, weight_decay);
    Ok((model, optimizer, 0))
}

/// The configuration of the model to train: that of `--init`, which the one asked for must agree with, or the latter.
fn configuration(spec: &TrainSpec, manifest: &Manifest, block_size: usize) -> Result<GptNeoConfig> {
    let data =
        FromData { vocab_size: manifest.vocab_size as usize, block_size, end_of_text: manifest.eos_token_id };
    let Some(init) = &spec.init else { return GptNeoConfig::for_data(spec.config.clone(), data) };
    let file = checkpoint::locate(init, None)?.folder.join(CONFIG);
    let config = GptNeoConfig::for_data(GptNeoConfig::read(&file)?.to_fields(), data)?;
    match config.difference(&spec.config)? {
        None => Ok(config),
        Some((field, own, given)) => Err(Error::input(format!(
            "--config has {field} {given}, but the checkpoint to start from (--init) has {own}; leave it out or use \
             the same"
        ))),
    }
}

/// Writes `config.json` and `tokenizer.json` into the model folder.
fn describe(spec: &TrainSpec, config: &GptNeoConfig) -> Result<()> {
    files::write_json(&spec.out.join(CONFIG), &config.to_fields())?;
    if let Some(tokenizer) = data::tokenizer_file(&spec.data) {
        let bytes = fs::read(&tokenizer).map_err(Error::io(&tokenizer))?;
        files::write_atomically(&spec.out.join("tokenizer.json"), |out| {
            std::io::Write::write_all(out, &bytes)
        })?;
    }
    Ok(())
}
