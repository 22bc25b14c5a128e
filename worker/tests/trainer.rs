//! Training steps against Hugging Face's `Trainer`: golden values, section 2.

mod golden;

use golden::{Tensors, Tested, device, json, path};
use worker::{
    kernels::host_floats,
    model::{Batch, checkpoint, gpt_neo},
    train::{
        adamw::AdamW,
        run::{Trainer, learning_rate},
    },
};

#[test]
fn fifteen_steps_equal_the_reference_at_four_settings() {
    let data = Tensors::read("trainer/data.safetensors");
    let (ids, shape) = data.integers("input_ids");
    let length = shape[1];
    let expected = json("trainer/expected.json");
    let settings =
        [("wd0", 0.0, 5e-5), ("wd5e-4", 5e-4, 5e-5), ("wd0.1", 0.1, 5e-5), ("wd0.1_lr1e-3", 0.1, 1e-3)];
    for (name, weight_decay, peak) in settings {
        let run = &expected["runs"][name];
        let model = checkpoint::load::<Tested>(&path("trainer/initial"), &device()).unwrap();
        let optimizer = AdamW::new(&model, weight_decay);
        let mut trainer = Trainer::new(model, optimizer, 0, 1.0);
        let order: Vec<Vec<usize>> = serde_json::from_value(run["order"].clone()).unwrap();
        assert_eq!(order.len(), 15);
        for (at, rows) in order.iter().enumerate() {
            let step = at as u64 + 1;
            let rate = learning_rate(peak, step, order.len() as u64);
            let wanted = |key: &str| run[key][at].as_f64().unwrap();
            assert!((rate / wanted("lr") - 1.0).abs() < 1e-12, "{name} step {step}: rate {rate}");
            let batch = Batch {
                ids: rows.iter().flat_map(|row| &ids[row * length..][..length]).copied().collect(),
                length,
            };
            let found = trainer.step(&batch, rate, step).unwrap().read().unwrap();
            let loss = wanted("loss");
            assert!((found.loss - loss).abs() < 2e-6, "{name} step {step}: loss {} not {loss}", found.loss);
            let norm = wanted("grad_norm_before_clip");
            assert!(
                (found.grad_norm / norm - 1.0).abs() < 1e-5,
                "{name} step {step}: norm {}",
                found.grad_norm
            );
        }
        let last = Tensors::read(&format!("trainer/{name}_final.safetensors"));
        let tolerance = if peak > 1e-4 { 5e-5 } else { 2e-6 };
        let (mut entries, mut outside) = (0, 0);
        let config = &trainer.model.config;
        let tensors = gpt_neo::tensors(config, trainer.model.parameters());
        for (shape, tensor) in gpt_neo::shapes(config).iter().zip(tensors) {
            let values = host_floats(tensor).unwrap();
            let wanted = last.floats(&shape.name);
            assert_eq!(values.len(), wanted.len(), "{}", shape.name);
            for (value, wanted) in values.iter().zip(&wanted) {
                let difference = f64::from((value - wanted).abs());
                assert!(difference <= peak, "{name} {}: {value} not {wanted}", shape.name);
                entries += 1;
                outside += usize::from(difference > tolerance);
            }
        }
        // Adam turns a rounding difference of a gradient near zero into a visible step.
        assert!(outside * 10_000 <= entries, "{name}: {outside} of {entries} entries outside {tolerance}");
    }
}

#[test]
fn decay_spares_biases_and_layer_norms_only() {
    let run = &json("trainer/expected.json")["runs"]["wd0.1"];
    let config = checkpoint::load::<Tested>(&path("trainer/initial"), &device()).unwrap().config;
    let named = |decayed: bool| {
        let mut names: Vec<String> = gpt_neo::shapes(&config)
            .into_iter()
            .map(|tensor| tensor.name)
            .filter(|name| gpt_neo::is_vector(name) != decayed)
            .collect();
        names.sort();
        names
    };
    let listed = |key: &str| {
        let mut names: Vec<String> =
            serde_json::from_value(run[key].clone()).unwrap_or_else(|_| panic!("{key} in {run}"));
        names.sort();
        names
    };
    assert_eq!(named(true), listed("decay_parameters"));
    assert_eq!(named(false), listed("no_decay_parameters"));
}
