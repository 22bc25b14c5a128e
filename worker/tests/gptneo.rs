//! The model against Hugging Face's GPT-Neo: golden values, section 1.

mod golden;

use burn::tensor::{Tensor, TensorData};
use golden::{Tensors, Tested, assert_close, device, json, path};
use worker::{
    kernels::{Kernels, Precision, host_floats, host_ints},
    model::{Batch, GptNeo, checkpoint, gpt_neo, head},
    train::gradients::loss_and_gradients,
};

const MODELS: [&str; 3] = ["m1_mixed", "m2_inter", "m3_global"];

fn load(name: &str) -> GptNeo<Tested> {
    checkpoint::load(&path(&format!("gptneo/{name}")), &device()).unwrap()
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

/// Cross entropy of each target at its row of logits, in double precision.
fn token_losses(logits: &[f32], vocabulary: usize, targets: &[i32]) -> Vec<f32> {
    let loss = |(row, &target): (&[f32], &i32)| {
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = row.iter().map(|&x| f64::from(x - largest).exp()).sum();
        (sum.ln() - f64::from(row[target as usize] - largest)) as f32
    };
    logits.chunks(vocabulary).zip(targets).map(loss).collect()
}

#[test]
fn the_loss_of_every_token_equals_the_reference() {
    for name in MODELS {
        let expected = Tensors::read(&format!("gptneo/{name}/forward.safetensors"));
        let (model, batch) = (load(name), batch(&expected));
        let (hidden, targets) = (batch.with_targets(model.forward(&batch)), batch.targets());
        let logits = host_floats(head::logits(&hidden, model.token_embedding())).unwrap();
        let losses = token_losses(&logits, model.config.vocab_size, &targets);
        assert_close(&losses, &expected.floats("token_nll"), 1e-5, name);
        // One target at a time, through the loss that training and evaluation use.
        let width = model.config.hidden_size;
        let hidden = host_floats(hidden).unwrap();
        for (at, (row, wanted)) in
            hidden.chunks(width).zip(expected.floats("token_nll")).enumerate().step_by(7)
        {
            let row = Tensor::from_data(TensorData::new(row.to_vec(), [1, width]), &device());
            let (loss, _) = Tested::loss_and_hits(&row, model.token_embedding(), &targets[at..=at]).unwrap();
            assert!(
                (loss - f64::from(wanted)).abs() < 1e-5,
                "{name}: position {at}: {loss} instead of {wanted}"
            );
        }
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
        let loss = loss.read().unwrap();
        let wanted = figures["loss_f32"].as_f64().unwrap();
        assert!((loss / wanted - 1.0).abs() < 1e-6, "{name}: {loss} instead of {wanted}");
        assert_eq!(model.parameter_count() as u64, figures["n_params_unique"].as_u64().unwrap());
        let shapes = gpt_neo::shapes(&model.config);
        let gradients = gpt_neo::tensors(&model.config, &gradients);
        assert_eq!(gradients.len(), expected.names().len());
        for (tensor, gradient) in shapes.iter().zip(gradients) {
            let wanted = expected.floats(&tensor.name);
            let largest = wanted.iter().fold(0f32, |a, b| a.max(b.abs()));
            let values = host_floats(gradient).unwrap();
            assert_close(&values, &wanted, 1e-5 * f64::from(largest), &tensor.name);
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
        let (loss, hits) = Tested::loss_and_hits(&hidden, model.token_embedding(), &targets).unwrap();
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
        let hidden = model.forward(&batch);
        let logits = host_floats(head::logits(&hidden, model.token_embedding())).unwrap();
        let hidden = host_floats(hidden).unwrap();
        for (values, wanted) in [(hidden, "last_hidden"), (logits, "logits_masked")] {
            let mut wanted = expected.floats(wanted);
            let width = wanted.len() / batch.ids.len();
            // Padded rows are zero there, and nobody reads them.
            let (mut valid, mut kept) = (Vec::new(), Vec::new());
            for (row, &length) in lengths.iter().enumerate() {
                let first = row * batch.length;
                let range = first * width..(first + length as usize) * width;
                valid.extend_from_slice(&values[range.clone()]);
                kept.extend(wanted[range.clone()].iter_mut().map(std::mem::take));
            }
            assert_close(&valid, &kept, 1e-5, name);
            assert!(wanted.iter().all(|&x| x == 0.0), "{name}: a value was not compared");
        }
        let (mask, _) = expected.integers("attention_mask");
        let ones = mask.chunks(batch.length).map(|row| row.iter().sum::<i32>());
        assert_eq!(ones.collect::<Vec<_>>(), lengths, "{name}");
    }
}

#[test]
fn embeddings_and_next_tokens_of_ragged_sequences_equal_the_reference() {
    for name in MODELS {
        let expected = Tensors::read(&format!("gptneo/{name}/padded.safetensors"));
        let padded = batch(&expected);
        let (lengths, _) = expected.integers("lengths");
        let model = load(name);
        // Sequences of different lengths one by one, as there is no padding here.
        let (mut embeddings, mut next) = (Vec::new(), Vec::new());
        for (row, &length) in padded.ids.chunks(padded.length).zip(&lengths) {
            let batch = Batch { ids: row[..length as usize].to_vec(), length: length as usize };
            embeddings.push(host_floats(batch.with_targets(model.forward(&batch))).unwrap());
            next.push(batch.targets());
        }
        assert_close(&embeddings[0], &expected.floats("X_single"), 1e-5, name);
        assert_eq!(next[0], expected.integers("Y_single").0, "{name}");
        assert_close(&embeddings.concat(), &expected.floats("X"), 1e-5, name);
        assert_eq!(next.concat(), expected.integers("Y").0, "{name}");
    }
}

#[test]
fn bf16_products_give_nearly_the_same_loss_and_gradients() {
    if !Precision::Bf16.exists_on::<Tested>(&device()) {
        println!("skipped: bf16, which this device does not have");
        return;
    }
    for name in MODELS {
        let batch = batch(&Tensors::read(&format!("gptneo/{name}/forward.safetensors")));
        let model = load(name);
        let (exact, gradients) = loss_and_gradients(&model, &batch, None).unwrap();
        let model = model.in_precision(Precision::Bf16);
        let (rounded, others) = loss_and_gradients(&model, &batch, None).unwrap();
        let [exact, rounded] = [exact, rounded].map(|loss| loss.read().unwrap());
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
