//! Dropout: what is dropped, and that training goes down the slope of the loss it sees.

use burn::tensor::Tensor;
use burn_flex::FlexDevice;
use serde_json::json;
use worker::{
    kernels::{
        backend::Cpu,
        dropout::{Dropout, Place},
        host_floats,
    },
    model::{Batch, GptNeo, GptNeoConfig, init},
    train::{adamw::AdamW, gradients::loss_and_gradients, run::Trainer},
};

fn model(embed: f64, attention: f64, resid: f64, seed: u32) -> GptNeo<Cpu> {
    let fields = json!({
        "hidden_size": 16, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 5,
        "vocab_size": 50, "max_position_embeddings": 12, "initializer_range": 0.3,
        "embed_dropout": embed, "attention_dropout": attention, "resid_dropout": resid,
    });
    let config = GptNeoConfig::from_fields(fields.as_object().unwrap().clone()).unwrap();
    init::random(&config, seed, &FlexDevice)
}

fn batch() -> Batch {
    Batch { ids: (0..36).map(|i| i * i % 50).collect(), length: 12 }
}

#[test]
fn gradients_are_the_slope_of_the_loss_with_dropout() {
    for (embed, attention, resid) in [(0.3, 0.0, 0.0), (0.0, 0.4, 0.0), (0.0, 0.0, 0.3), (0.1, 0.2, 0.3)] {
        let model = model(embed, attention, resid, 1);
        let dropout = Some(Dropout::at_step(7, 3));
        let with = |model: &GptNeo<Cpu>, dropout| {
            let (loss, gradients) = loss_and_gradients(model, &batch(), dropout).unwrap();
            (loss.read().unwrap(), gradients)
        };
        let loss = |model: &GptNeo<Cpu>| with(model, dropout);
        let (kept, gradients) = loss(&model);
        assert_eq!(loss(&model).0, kept, "the same step drops the same entries");
        assert_ne!(with(&model, None).0, kept);
        let norm = gradients
            .iter()
            .flat_map(|gradient| host_floats(gradient.clone()).unwrap())
            .map(|x| f64::from(x).powi(2))
            .sum::<f64>()
            .sqrt();
        // Along the gradient the loss must rise by its norm.
        let moved = |by: f64| {
            let mut moved = model.clone();
            for (parameter, gradient) in moved.parameters_mut().0.iter_mut().zip(&gradients) {
                *parameter = parameter.clone() + gradient.clone() * (by / norm);
            }
            loss(&moved).0
        };
        let slope = (moved(2e-3) - moved(-2e-3)) / 4e-3;
        assert!((slope / norm - 1.0).abs() < 5e-3, "{embed} {attention} {resid}: {slope} instead of {norm}");
    }
}

#[test]
fn a_mask_drops_its_share_and_keeps_the_mean() {
    let ones = || Tensor::<Cpu, 1>::ones([100_000], &FlexDevice);
    let values = |seed, step, place, rate| {
        host_floats(Dropout::at_step(seed, step).mask(place, rate).unwrap().apply(ones())).unwrap()
    };
    let first = values(1, 1, Place::Mlp(0), 0.25);
    let dropped = first.iter().filter(|&&x| x == 0.0).count();
    assert!((24_500..25_500).contains(&dropped), "{dropped} of 100,000");
    assert!(first.iter().all(|&x| x == 0.0 || x == 1.0 / 0.75));
    for other in [
        values(2, 1, Place::Mlp(0), 0.25),
        values(1, 2, Place::Mlp(0), 0.25),
        values(1, 1, Place::Mlp(1), 0.25),
        values(1, 1, Place::Attended(0), 0.25),
        values(1, 1, Place::Embedding, 0.25),
    ] {
        let same = first.iter().zip(&other).filter(|(a, b)| a == b).count();
        // Independent masks agree where both keep or both drop: 10 of 16.
        assert!((61_500..63_500).contains(&same), "{same} of 100,000");
    }
    assert!(Dropout::at_step(1, 1).mask(Place::Embedding, 0.0).is_none());
    assert_eq!(first[..8], PINNED, "the masks of a seed stay the same across versions");
}
const KEPT: f32 = 1.0 / 0.75;
const PINNED: [f32; 8] = [0.0, KEPT, KEPT, KEPT, KEPT, 0.0, KEPT, KEPT];

#[test]
fn a_seed_fixes_the_model_and_another_gives_another() {
    let trained = |seed: u32| {
        let model = model(0.1, 0.1, 0.1, seed);
        let optimizer = AdamW::new(&model, 0.1);
        let mut trainer = Trainer::new(model, optimizer, seed, 1.0);
        for step in 1..=5 {
            trainer.step(&batch(), 1e-2, step).unwrap();
        }
        let parameters = trainer.model.parameters().iter();
        parameters.flat_map(|parameter| host_floats(parameter.clone()).unwrap()).collect::<Vec<f32>>()
    };
    let (one, other) = (trained(1), trained(2));
    assert_eq!(one, trained(1));
    let moved = one.iter().zip(&other).filter(|(a, b)| a != b).count();
    assert!(moved * 10 > one.len() * 8, "{moved} of {} differ", one.len());
}
