//! The worker's jobs on the processor, one per call, for `bench/cpu.py` to race against PyTorch.
//!
//! Prints one JSON object per job. Times are medians; a job's peak memory is that of the whole process, so
//! that it stands for the job only where it is the only one of its call.

use burn::tensor::{Tensor, TensorData};
use burn_flex::FlexDevice;
use clap::Parser;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde_json::{Value, json};
use std::{hint::black_box, time::Instant};
use worker::{
    kernels::{
        Kernels as _, Precision,
        backend::Cpu,
        cpu::{
            classes::{add_rows, squared_distances},
            gemm,
        },
    },
    measure::{Decisions, Inputs, MEASURES, Options, compute},
    model::{Batch, GptNeoConfig, init},
    train::{adamw::AdamW, run::Trainer},
};

/// What to measure.
#[derive(Parser)]
enum Job {
    /// What the machine can do: f32 and f64 products, and memory.
    Machine,
    /// Forward without the head, and training steps.
    Train {
        /// WIDTHxDEPTHxLENGTHxBATCH
        shape: String,
        #[arg(long, default_value_t = 50257)]
        vocab: usize,
        #[arg(long, default_value_t = 16)]
        heads: usize,
        #[arg(long, default_value_t = 256)]
        window: usize,
        #[arg(long, default_value_t = 5)]
        steps: usize,
    },
    /// Adding a batch of embeddings to class means and variances, and deciding on it.
    Collect {
        #[arg(long, default_value_t = 50257)]
        k: usize,
        #[arg(long, default_value_t = 256)]
        d: usize,
        #[arg(long, default_value_t = 2047)]
        batch: usize,
        #[arg(long, default_value_t = 5)]
        repeat: usize,
    },
    /// Groups of measures, each on its own. (All measures of a large model: the benchmark `measures`.)
    Measures {
        #[arg(long, default_value_t = 4096)]
        k: usize,
        #[arg(long, default_value_t = 256)]
        d: usize,
        groups: Vec<String>,
    },
}

fn main() {
    // `cargo bench` appends a flag of its own.
    let arguments = std::env::args().filter(|argument| argument != "--bench");
    let rows = match Job::parse_from(arguments) {
        Job::Machine => vec![machine()],
        Job::Train { shape, vocab, heads, window, steps } => vec![train(&shape, vocab, heads, window, steps)],
        Job::Collect { k, d, batch, repeat } => collect(k, d, batch, repeat),
        Job::Measures { k, d, groups } => measures(k, d, &groups),
    };
    for row in rows {
        println!("{row}");
    }
}

/// Median seconds of `repeat` calls, after one that is not counted.
fn median(repeat: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds: Vec<f64> = (0..repeat)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Most memory that the process had so far, in MiB.
fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

struct Random(ChaCha8Rng);

impl Random {
    /// Between -1 and 1.
    fn number(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 2f64.powi(31) - 1.0
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.number() as f32).collect()
    }

    fn below(&mut self, bound: usize, count: usize) -> Vec<i32> {
        (0..count).map(|_| (self.0.next_u32() as usize % bound) as i32).collect()
    }
}

fn random() -> Random {
    Random(ChaCha8Rng::seed_from_u64(0))
}

fn machine() -> Value {
    const N: usize = 1536;
    let mut random = random();
    let (a, b, mut c) = (random.floats(N * N), random.floats(N * N), vec![0.0; N * N]);
    let single = median(5, || gemm::multiply(&mut c, gemm::view(&a, N, N), gemm::view(&b, N, N)));
    let [a, b] = [&a, &b].map(|x| faer::Mat::from_fn(N, N, |i, j| f64::from(x[i * N + j])));
    let double = median(3, || drop(black_box(&a * &b)));
    // Larger than any cache: read two, write one.
    const LONG: usize = 1 << 26;
    let (x, y, mut z) = (vec![1.0f32; LONG], vec![2.0f32; LONG], vec![0.0f32; LONG]);
    let stream = median(3, || {
        use rayon::prelude::*;
        z.par_chunks_mut(1 << 16)
            .zip(x.par_chunks(1 << 16))
            .zip(y.par_chunks(1 << 16))
            .for_each(|((z, x), y)| z.iter_mut().zip(x).zip(y).for_each(|((z, x), y)| *z = x + 3.0 * y));
    });
    let operations = 2.0 * (N as f64).powi(3) * 1e-9;
    json!({"what": "machine", "threads": rayon::current_num_threads(), "f32_gflops": operations / single,
           "f64_gflops": operations / double, "gb_per_s": 12.0 * LONG as f64 * 1e-9 / stream})
}

fn train(shape: &str, vocab: usize, heads: usize, window: usize, steps: usize) -> Value {
    let sizes: Vec<usize> = shape.split('x').filter_map(|size| size.parse().ok()).collect();
    let &[width, depth, length, batch] = &sizes[..] else { panic!("{shape}: WIDTHxDEPTHxLENGTHxBATCH") };
    let kinds: Vec<&str> = ["global", "local"].into_iter().cycle().take(depth).collect();
    let fields = json!({"hidden_size": width, "num_layers": depth, "num_heads": heads, "vocab_size": vocab,
        "window_size": window, "attention_layers": kinds, "max_position_embeddings": length.max(2048)});
    let config = GptNeoConfig::from_fields(fields.as_object().cloned().unwrap_or_default()).expect("a shape");
    let model = init::random::<Cpu>(&config, 0, &FlexDevice);
    let optimizer = AdamW::new(&model, 0.1);
    let mut trainer = Trainer::new(model, optimizer, 0, 1.0);
    let batch = Batch { ids: random().below(vocab, batch * length), length };
    let body = median(steps, || drop(black_box(trainer.model.forward(&batch))));
    let mut step = 0;
    let trained = median(steps, || {
        step += 1;
        trainer.step(&batch, 5e-5, step).expect("a finite loss");
    });
    let rate = |seconds: f64| batch.ids.len() as f64 / seconds;
    json!({"what": "train", "shape": shape, "body_tokens_per_s": rate(body), "train_tokens_per_s": rate(trained),
           "peak_rss_mib": peak_rss_mib()})
}

fn collect(k: usize, d: usize, batch: usize, repeat: usize) -> Vec<Value> {
    let mut random = random();
    let (x, classes) = (random.floats(batch * d), random.below(k, batch));
    let means: Vec<f64> = (0..k * d).map(|_| random.number()).collect();
    let (mut totals, mut squares) = (vec![0.0; k * d], vec![0.0; k]);
    let adding = median(repeat, || add_rows(&mut totals, &mut squares, &classes, &x));
    let distances = median(repeat, || drop(black_box(squared_distances(&means, d, &classes, &x))));
    let matrix = |values: Vec<f32>, shape: [usize; 2]| {
        Tensor::<Cpu, 2>::from_data(TensorData::new(values, shape), &FlexDevice)
    };
    let x = matrix(x, [batch, d]);
    let [means, head] = [(); 2].map(|()| matrix(random.floats(k * d), [k, d]));
    let offsets = matrix(random.floats(k), [1, k]);
    let deciding = median(repeat, || {
        black_box(Cpu::decide(&x, &means, Some(&offsets), Precision::F32).expect("a decision"));
        black_box(Cpu::decide(&x, &head, None, Precision::F32).expect("a decision"));
    });
    [("means", adding), ("vars", distances), ("decs", deciding)]
        .map(|(what, seconds)| json!({"what": what, "k": k, "d": d, "tokens_per_s": batch as f64 / seconds}))
        .into()
}

fn measures(k: usize, d: usize, groups: &[String]) -> Vec<Value> {
    let known = |group: &String| MEASURES.iter().any(|measure| measure.group == group);
    assert!(groups.iter().all(known), "{groups:?}: not all are groups");
    let mut random = random();
    let counts: Vec<i32> = (1..=k as i32).map(|class| 1 + class % 50).collect();
    let means: Vec<f64> = (0..k * d).map(|_| random.number()).collect();
    let vars: Vec<f64> = counts.iter().map(|&count| f64::from(count) * (1.5 + random.number())).collect();
    let weights = random.floats(k * d);
    let inputs = Inputs {
        dim: d,
        counts: &counts,
        means: &means,
        vars: Some(&vars),
        weights: Some(&weights),
        decisions: Some(Decisions { counts: &counts, hits: &counts }),
        covariance: None,
        foreign_mean: None,
    };
    let timed = |group: &String| {
        let seconds = median(1, || {
            black_box(compute(&inputs, &Options::default(), |measure| measure.group == group));
        });
        json!({"what": group, "classes": k, "d": d, "seconds": seconds})
    };
    groups.iter().map(timed).collect()
}
