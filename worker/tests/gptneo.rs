//! The model against Hugging Face's GPT-Neo: golden values, section 1.

mod golden;

use burn_flex::FlexDevice;
use golden::{Tensors, assert_close, json, path};
use worker::{
    kernels::Kernels,
    model::{
        Batch, GptNeo, Precision,
        backend::Cpu,
        checkpoint, gpt_neo,
        head::{self, host_floats, host_ints},
    },
    train::gradients::loss_and_gradients,
};

const MODELS: [&str; 3] = ["m1_mixed", "m2_inter", "m3_global"];

fn load(name: &str) -> GptNeo<Cpu> {
    checkpoint::load(&path(&format!("gptneo/{name}")), &FlexDevice).unwrap()
}

fn batch(tensors: &Tensors) -> Batch {
    let (ids, shape) = tensors.integers("input_ids");
    Batch { ids, length: shape[1] }
}

#[test]
fn logits_and_last_embeddings_equal_the_reference() {
    for name in MODELS {
        let expected = Tensors::read(&format!("gptneo/{name}/forward.safetensors"));
        let model = load(name);
        let hidden = model.forward(&batch(&expected));
        let logits = head::logits(&hidden, model.token_embedding());
        let best = host_ints(logits.clone().argmax(1)).unwrap();
        assert_close(&host_floats(logits).unwrap(), &expected.floats("logits"), 1e-5, name);
        assert_close(&host_floats(hidden).unwrap(), &expected.floats("last_hidden"), 1e-5, name);
        assert_eq!(best, expected.integers("argmax").0, "{name}");
    }
}

#[test]
fn the_input_of_every_block_equals_the_reference() {
    for name in MODELS {
        let expected = Tensors::read(&format!("gptneo/{name}/hidden_states.safetensors"));
        let batch = batch(&Tensors::read(&format!("gptneo/{name}/forward.safetensors")));
        let model = load(name);
        let mut seen = 0;
        let last = model.run(&batch, |layer, x| {
            let values = host_floats(x.clone()).unwrap();
            assert_close(&values, &expected.floats(&format!("h{layer}")), 1e-5, name);
            seen += 1;
        });
        assert_eq!(seen, model.config.num_layers());
        assert_close(&host_floats(last).unwrap(), &expected.floats(&format!("h{seen}")), 1e-5, name);
    }
}

#[test]
fn loss_and_gradients_equal_the_reference() {
    for name in MODELS {
        let forward = Tensors::read(&format!("gptneo/{name}/forward.safetensors"));
        let expected = Tensors::read(&format!("gptneo/{name}/grads.safetensors"));
        let figures = json(&format!("gptneo/{name}/expected.json"));
        let model = load(name);
        let (loss, gradients) = loss_and_gradients(&model, &batch(&forward), None).unwrap();
        let wanted = figures["loss_f32"].as_f64().unwrap();
        assert!((loss / wanted - 1.0).abs() < 1e-6, "{name}: {loss} instead of {wanted}");
        assert_eq!(model.parameter_count() as u64, figures["n_params_unique"].as_u64().unwrap());
        let shapes = gpt_neo::shapes(&model.config);
        assert_eq!(gradients.len(), expected.names().len());
        for (parameter, gradient) in shapes.iter().zip(gradients) {
            let wanted = expected.floats(&parameter.name);
            let largest = wanted.iter().fold(0f32, |a, b| a.max(b.abs()));
            let values = host_floats(gradient).unwrap();
            assert_close(&values, &wanted, 1e-5 * f64::from(largest), &parameter.name);
        }
    }
}

#[test]
fn evaluation_equals_the_reference_trainer() {
    for name in MODELS {
        let figures = json(&format!("gptneo/{name}/expected.json"));
        let batch = batch(&Tensors::read(&format!("gptneo/{name}/eval_inputs.safetensors")));
        let model = load(name);
        let hidden = batch.with_targets(model.forward(&batch));
        let targets = batch.targets();
        let (loss, hits) = Cpu::loss_and_hits(&hidden, model.token_embedding(), &targets).unwrap();
        let (loss, accuracy) = (loss / targets.len() as f64, hits as f64 / targets.len() as f64);
        let eval = &figures["eval"];
        let wanted = |key: &str| eval[key].as_f64().unwrap_or_else(|| panic!("{key} in {eval}"));
        assert!((loss / wanted("eval_loss") - 1.0).abs() < 1e-6, "{name}: {loss}");
        assert!((loss.exp() / wanted("perplexity") - 1.0).abs() < 1e-5, "{name}: {}", loss.exp());
        assert!((accuracy - wanted("eval_accuracy")).abs() < 1e-12, "{name}: {accuracy}");
    }
}

#[test]
fn padding_never_changes_a_valid_position() {
    for name in MODELS {
        let expected = Tensors::read(&format!("gptneo/{name}/padded.safetensors"));
        let batch = batch(&expected);
        let (lengths, _) = expected.integers("lengths");
        let model = load(name);
        let hidden = host_floats(model.forward(&batch)).unwrap();
        let wanted = expected.floats("last_hidden");
        let width = model.config.hidden_size;
        for (row, &length) in lengths.iter().enumerate() {
            let first = row * batch.length;
            let valid = first * width..(first + length as usize) * width;
            assert_close(&hidden[valid.clone()], &wanted[valid], 1e-5, name);
        }
    }
}

#[test]
fn bf16_products_give_nearly_the_same_loss_and_gradients() {
    for name in MODELS {
        let batch = batch(&Tensors::read(&format!("gptneo/{name}/forward.safetensors")));
        let mut model = load(name);
        let (exact, gradients) = loss_and_gradients(&model, &batch, None).unwrap();
        model.precision = Precision::Bf16;
        let (rounded, others) = loss_and_gradients(&model, &batch, None).unwrap();
        assert!(rounded != exact && (rounded / exact - 1.0).abs() < 2e-3, "{name}: {rounded} and {exact}");
        for (gradient, other) in gradients.into_iter().zip(others) {
            let (a, b) = (host_floats(gradient).unwrap(), host_floats(other).unwrap());
            let product: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            let norm = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let cosine = product / (norm(&a) * norm(&b));
            assert!(cosine > 0.99, "{name}: cosine {cosine}");
        }
    }
}
