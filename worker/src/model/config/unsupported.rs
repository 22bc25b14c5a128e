//! Fields of a `config.json` that change what a model computes or how it is stored, in Hugging Face's
//! library or by their name, and are not supported.
//!
//! The library ignores some of them for GPT-Neo (`scale_attn_weights` is GPT-2's); whoever writes them
//! expects something, so they are refused rather than kept without effect.

use crate::{Error, Result};
use serde_json::{Map, Value};

/// What a field may be besides null or missing.
#[derive(Clone, Copy)]
enum Accepted {
    True,
    False,
    /// An object or a list without anything in it.
    Empty,
    OneOf(&'static [&'static str]),
}

use Accepted::{Empty, False, OneOf, True};

const FIELDS: &[(&str, Accepted)] = &[
    ("tie_word_embeddings", True),
    ("is_causal", True),
    ("is_encoder_decoder", False),
    ("add_cross_attention", False),
    ("cross_attention_hidden_size", Empty),
    ("tie_encoder_decoder", False),
    // Storing a model for TorchScript copies the head.
    ("torchscript", False),
    ("scale_attn_weights", False),
    ("scale_attn_by_inverse_layer_idx", False),
    ("reorder_and_upcast_attn", False),
    ("pruned_heads", Empty),
    ("per_layer_config", Empty),
    ("quantization_config", Empty),
    ("fusion_config", Empty),
    // Another file with the weights.
    ("transformers_weights", Empty),
    ("loss_type", OneOf(&["ForCausalLM"])),
    // What the weights are stored in; they are read into single precision.
    ("dtype", OneOf(&["float32", "bfloat16", "float16", "float64"])),
    ("torch_dtype", OneOf(&["float32", "bfloat16", "float16", "float64"])),
];

/// Refuses the first field with a value that is not accepted.
pub(super) fn refuse(raw: &Map<String, Value>) -> Result<()> {
    for (field, accepted) in FIELDS {
        let Some(value) = raw.get(*field).filter(|value| !value.is_null()) else { continue };
        let (fits, what) = match accepted {
            True => (value == true, "true".to_owned()),
            False => (value == false, "false".to_owned()),
            Empty => (is_empty(value), "null".to_owned()),
            OneOf(names) => (value.as_str().is_some_and(|it| names.contains(&it)), names.join(", ")),
        };
        if !fits {
            return Err(Error::input(format!("{field} {value} is not supported; accepted: {what}")));
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}
