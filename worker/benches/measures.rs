//! How long the measures of one model take, at the size of the published study.
//!
//!     cargo bench -p worker --bench measures [-- [WIDTH] GROUP...]
//!
//! The width is 256 unless given. Without groups every measure is computed. Prints one JSON object for the computation
//! alone and one for the whole of `analyze`, from files: classes kept, width, seconds, the peak of memory (in the first
//! line with the random inputs), and as a floor the
//! floating-point operations of half a grid of inner products.

use protocol::{measures::GROUPS, spec::AnalyzeSpec, stage::StageKind};
use rand::{RngExt as _, SeedableRng as _};
use safetensors::tensor::{Dtype, TensorView};
use std::{fs, path::Path, time::Instant};
use worker::{
    analyze::analyze,
    measure::{Decisions, Filter, Inputs, Measure, Options, compute},
    report::Report,
    stats::{self, Decs, Means, Meta, Vars, means_hash},
};

const CLASSES: usize = 50_257;
const KEPT: usize = 29_233;
const NAME: &str = "04x0256_01d";

fn main() {
    let mut asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let width = asked.first().and_then(|first| first.parse().ok());
    if width.is_some() {
        asked.remove(0);
    }
    let width: usize = width.unwrap_or(256);
    let groups = if asked.is_empty() { GROUPS.into_iter().map(Into::into).collect() } else { asked };
    let random = Random::new(width);

    let wanted = |measure: &Measure| groups.iter().any(|group| group == measure.group);
    timed("compute", width, || drop(compute(&random.inputs(), &Options::default(), wanted)));

    let folder = tempfile::tempdir().expect("a temporary folder");
    random.write(folder.path());
    let spec = AnalyzeSpec {
        stats: folder.path().join("stats"),
        models: folder.path().join("models"),
        only: None,
        measures: groups,
        min_per_class: 1,
        max_per_class: None,
        foreign_stats: Some(folder.path().join("stats")),
        compat: false,
        device: "cpu".to_owned(),
        out: Some(folder.path().join("results.csv")),
        per_class: Some(folder.path().join("classes.parquet")),
    };
    timed("analyze, with values per class", width, || {
        drop(analyze(&spec, &Report::silent()).expect("a table"))
    });
}

fn timed(what: &str, width: usize, work: impl FnOnce()) {
    // Forgets the peak so far, where the system can.
    drop(fs::write("/proc/self/clear_refs", "5"));
    let start = Instant::now();
    work();
    let seconds = start.elapsed().as_secs_f64();
    let figures = serde_json::json!({
        "what": what,
        "classes": KEPT,
        "d": width,
        "seconds": seconds,
        "peak_rss_mb": peak_memory(),
        "floor_gflop": (KEPT * KEPT * width) as f64 / 1e9,
    });
    println!("{figures}");
}

/// In megabytes, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

/// Random statistics of one model.
struct Random {
    width: usize,
    counts: Vec<i32>,
    means: Vec<f64>,
    weights: Vec<f32>,
    vars: Vec<f64>,
    hits: Vec<i32>,
    covariance: Vec<f64>,
}

impl Random {
    fn new(width: usize) -> Self {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut around_zero = move || random.random::<f64>() - 0.5;
        // The commonest class has a million samples.
        let seen = |class: usize| (class * KEPT) % CLASSES < KEPT;
        let count = |class| if seen(class) { 1 + (1e6 / (1.0 + class as f64)) as i32 } else { 0 };
        let counts: Vec<i32> = (0..CLASSES).map(count).collect();
        assert_eq!(Filter::default().select(&counts).len(), KEPT);
        let mut means = vec![0.0; CLASSES * width];
        for (class, mean) in means.chunks_exact_mut(width).enumerate().filter(|(class, _)| seen(*class)) {
            let scale = 1.0 + (class % 10) as f64;
            mean.iter_mut().enumerate().for_each(|(d, x)| *x = (d as f64).sin() + scale * around_zero());
        }
        Self {
            width,
            weights: means.iter().map(|x| (0.4 * x + 0.2 * around_zero()) as f32).collect(),
            vars: counts.iter().map(|&n| f64::from(n) * (1.0 + around_zero())).collect(),
            hits: counts.iter().map(|n| n / 3).collect(),
            covariance: (0..width * width).map(|i| f64::from(u8::from(i % (width + 1) == 0))).collect(),
            counts,
            means,
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            dim: self.width,
            counts: &self.counts,
            means: &self.means,
            vars: Some(&self.vars),
            weights: Some(&self.weights),
            decisions: Some(Decisions { counts: &self.counts, hits: &self.hits }),
            covariance: Some(&self.covariance),
            foreign_mean: Some(&self.means[..self.width]),
        }
    }

    /// Writes what `analyze` reads.
    fn write(self, folder: &Path) {
        let path = |stage| stats::path(&folder.join("stats"), stage, 0, NAME);
        let checkpoint = folder.join(format!("models/{NAME}/checkpoint-1"));
        fs::create_dir_all(&checkpoint).expect("a folder");
        fs::write(checkpoint.join("config.json"), "{}").expect("a file");
        let head: Vec<u8> = self.weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let head = TensorView::new(Dtype::F32, vec![CLASSES, self.width], &head).expect("a tensor");
        safetensors::serialize_to_file(
            [("transformer.wte.weight", head)],
            None,
            &checkpoint.join("model.safetensors"),
        )
        .expect("a file");

        let (counts, meta) = (self.counts, Meta::default());
        let dim = self.width;
        let mut means = Means { counts: counts.clone(), totals: self.means, dim, squares: None, meta };
        for (totals, &n) in means.totals.chunks_exact_mut(dim).zip(&counts) {
            totals.iter_mut().for_each(|total| *total *= f64::from(n));
        }
        means.write(&path(StageKind::Means)).expect("a file");
        let meta = Meta { hash: means_hash(&means), ..Meta::default() };
        let covariance = Some(self.covariance);
        let vars = Vars { counts: counts.clone(), totals: self.vars, covariance, meta: meta.clone() };
        vars.write(&path(StageKind::Vars)).expect("a file");
        Decs { counts, totals: self.hits, meta }.write(&path(StageKind::Decs)).expect("a file");
    }
}
