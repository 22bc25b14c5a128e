//! All measures of one model: the pass over all pairs on the device, all else by the processor beside it.

use super::Random;
use serde_json::json;
use std::{hint::black_box, thread::available_parallelism, time::Instant};
use worker::{
    Result, analyze,
    device::Device,
    measure::{Decisions, Inputs, Options},
};

/// Median seconds for random statistics in which every class has samples.
pub(super) fn measures(device: Device, classes: usize, width: usize, repeat: usize) -> Result<()> {
    let mut random = Random::new();
    let means: Vec<f64> = (0..classes * width).map(|_| random.float()).collect();
    let weights: Vec<f32> = means.iter().map(|x| (0.4 * x + 0.1 * random.float()) as f32).collect();
    let counts: Vec<i32> = (0..classes).map(|class| 1 + (1e6 / (1.0 + class as f64)) as i32).collect();
    let vars: Vec<f64> = counts.iter().map(|&n| f64::from(n) * (1.5 + random.float())).collect();
    let hits: Vec<i32> = counts.iter().map(|n| n / 3).collect();
    let covariance: Vec<f64> =
        (0..width * width).map(|at| f64::from(u8::from(at % (width + 1) == 0))).collect();
    let inputs = Inputs {
        dim: width,
        counts: &counts,
        means: &means,
        vars: Some(&vars),
        weights: Some(&weights),
        decisions: Some(Decisions { counts: &counts, hits: &hits }),
        covariance: Some(&covariance),
        foreign_mean: Some(&means[..width]),
    };
    let on_gpu = matches!(device, Device::Cuda(_)).then_some(device);
    for device in [Device::Cpu].into_iter().chain(on_gpu) {
        let once = || {
            let started = Instant::now();
            black_box(analyze::measures(device, &inputs, &Options::default(), |_| true)?);
            Ok(started.elapsed().as_secs_f64())
        };
        // Compiles the kernels.
        once()?;
        let mut seconds = (0..repeat).map(|_| once()).collect::<Result<Vec<f64>>>()?;
        seconds.sort_by(f64::total_cmp);
        println!(
            "{}",
            json!({"what": "measures", "with_gpu": device != Device::Cpu, "classes": classes, "width": width,
                "seconds": seconds[repeat / 2], "threads": available_parallelism().map_or(1, usize::from)})
        );
    }
    Ok(())
}
