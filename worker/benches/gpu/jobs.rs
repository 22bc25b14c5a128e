//! Training and collection as the stages do them, apart from files.

use super::{Bench, memory::Pool};
use burn::tensor::{DType, Tensor};
use serde_json::{Value, json};
use std::time::Instant;
use worker::{
    Result,
    kernels::{ClassSums, Kernels, Precision},
    model::{Batch, GptNeo},
    train::{adamw::AdamW, gradients::loss_and_gradients, run::Trainer},
};

impl<B: Kernels> Bench<'_, B> {
    fn trainer(&self) -> Trainer<B> {
        let model = self.network();
        let optimizer = AdamW::new(&model, 0.1);
        Trainer::new(model, optimizer, 0, 1.0)
    }

    /// Takes steps as training does.
    fn steps(&self, trainer: &mut Trainer<B>, batch: &Batch, step: &mut u64) {
        let taken: Vec<_> = (0..self.ahead)
            .map(|_| {
                *step += 1;
                trainer.step(batch, 5e-5, *step).expect("a step")
            })
            .collect();
        assert!(taken.iter().all(|taken| taken.read().is_ok()), "losses are numbers");
    }

    pub(super) fn collect(&self) -> Result<()> {
        let (model, batch) = (self.network(), self.batch());
        let (targets, head) = (batch.targets(), model.token_embedding().clone());
        let [classes, width] = head.dims();
        let zeros = |columns| Tensor::<B, 2>::zeros([classes, columns], (self.device, DType::F64));
        let forward = || batch.with_targets(model.forward(&batch));
        // Of so many batches as are between two waits.
        let tell = |what: &str, seconds: f64| {
            let tokens_per_s = (targets.len() * self.ahead) as f64 / seconds;
            self.say(json!({"what": what, "tokens_per_s": tokens_per_s}));
        };
        self.body(&model, &batch);
        let (x, means) = (forward(), zeros(width));
        let sums = || ClassSums { totals: zeros(width), squares: zeros(1) };
        let add = |sums| (0..self.ahead).fold(sums, |sums, _| B::add_to_classes(sums, &targets, &x));
        tell("class sums", self.median_of(sums(), add));
        let add =
            |totals| (0..self.ahead).fold(totals, |totals, _| B::add_distances(totals, &means, &targets, &x));
        tell("class distances", self.median_of(zeros(1), add));

        let add = |sums| (0..self.ahead).fold(sums, |sums, _| B::add_to_classes(sums, &targets, &forward()));
        tell("means", self.median_of(sums(), add));
        let add = |totals| {
            (0..self.ahead).fold(totals, |totals, _| B::add_distances(totals, &means, &targets, &forward()))
        };
        tell("vars", self.median_of(zeros(1), add));
        let offsets = Tensor::<B, 2>::zeros([1, classes], self.device);
        let decide = |x: &Tensor<B, 2>| -> Result<()> {
            B::decide(x, &head, Some(&offsets), self.precision)?;
            B::decide(x, &head, None, self.precision)?;
            Ok(())
        };
        decide(&forward())?;
        let one = self.median(|| decide(&forward()).expect("a decision"));
        tell("decs", one * self.ahead as f64);
        Ok(())
    }

    /// Forward without the head.
    fn body(&self, model: &GptNeo<B>, batch: &Batch) {
        let seconds = self.median(|| (0..self.ahead).for_each(|_| drop(model.forward(batch))));
        self.say(
            json!({"what": "body", "body_tokens_per_s": (batch.ids.len() * self.ahead) as f64 / seconds}),
        );
    }

    /// Prints what was found, with the model that it was found with.
    fn say(&self, mut found: Value) {
        found["shape"] = json!(self.model.shape);
        found["precision"] = json!(self.model.dtype);
        println!("{found}");
    }

    pub(super) fn endurance(&self, steps: u64) -> Result<()> {
        let (mut trainer, batch) = (self.trainer(), self.batch());
        let mut first = f64::NAN;
        for step in 1..=steps {
            let taken = trainer.step(&batch, 5e-4, step)?;
            if step == 1 || step.is_multiple_of(steps.div_ceil(4)) || step == steps {
                let loss = taken.read()?.loss;
                first = if step == 1 { loss } else { first };
                self.wait();
                println!(
                    "{}",
                    json!({"what": "endurance", "shape": self.model.shape, "step": step, "loss": loss,
                        "first_loss": first, "memory_mib": memory_mib()})
                );
            }
        }
        Ok(())
    }

    pub(super) fn packed(&self, seconds: f64) {
        let (mut trainer, batch) = (self.trainer(), self.batch());
        let mut step = 0;
        self.steps(&mut trainer, &batch, &mut step);
        println!("{}", json!({"what": "ready"}));
        std::io::stdin().read_line(&mut String::new()).expect("a line");
        let (started, before) = (Instant::now(), step);
        while started.elapsed().as_secs_f64() < seconds {
            self.steps(&mut trainer, &batch, &mut step);
        }
        let tokens = (step - before) as f64 * batch.ids.len() as f64;
        println!(
            "{}",
            json!({"what": "packed", "shape": self.model.shape,
                "train_tokens_per_s": tokens / started.elapsed().as_secs_f64()})
        );
    }
}

impl<B: Pool> Bench<'_, B> {
    /// How fast something wrong is tells nothing: the loss of a model that took some steps must be that of the same parameters
    /// with products in `f32`. Takes memory that training does not.
    fn require_right_loss(&self, model: &GptNeo<B>, batch: &Batch) -> Result<()> {
        let (loss, _) = loss_and_gradients(model, batch, None)?;
        let model = model.clone().in_precision(Precision::F32);
        let (hidden, targets) = (batch.with_targets(model.forward(batch)), batch.targets());
        let (sum, _) = B::loss_and_hits(&hidden, model.token_embedding(), &targets)?;
        let (found, exact) = (loss.read()?, sum / targets.len() as f64);
        assert!((found - exact).abs() <= 5e-3 * exact.max(1.0), "the loss is {found} instead of {exact}");
        Ok(())
    }

    pub(super) fn train(&self) {
        let (mut trainer, batch) = (self.trainer(), self.batch());
        let tokens = batch.ids.len() as f64;
        let mut step = 0;
        let streamed = self.median(|| self.steps(&mut trainer, &batch, &mut step)) / self.ahead as f64;
        let reserved = B::reserved(self.device).map(|bytes| bytes as f64 / 2f64.powi(30));
        self.require_right_loss(&trainer.model, &batch).expect("a loss");
        self.say(json!({"what": "train", "train_tokens_per_s": tokens / streamed, "ahead": self.ahead,
            "reserved_gib": reserved}));
        let waited = self.median(|| {
            step += 1;
            drop(trainer.step(&batch, 5e-5, step).expect("a step"));
        });
        self.say(json!({"what": "step", "step_tokens_per_s": tokens / waited}));
        self.body(&trainer.model, &batch);
    }
}

/// Memory of the first GPU that is in use, by the driver's program; not a number where there is none.
fn memory_mib() -> f64 {
    let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];
    let output = std::process::Command::new("nvidia-smi").args(query).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or(f64::NAN)
}
