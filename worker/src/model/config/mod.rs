//! The fields of a GPT-Neo `config.json`, with the defaults of Hugging Face's library.
//!
//! Every field that changes a result either works or is refused by name; [`unsupported`] has those of the
//! latter kind, and docs/models.md has all. [`difference`] compares configurations.

mod difference;
mod unsupported;

use crate::{
    Error, Result,
    data::{Manifest, Sequences},
    files,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// What a block attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionKind {
    /// All earlier positions.
    Global,
    /// The position itself and the `window_size - 1` before it.
    Local,
}

/// A checked GPT-Neo configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct GptNeoConfig {
    /// Entries of the embedding and of the head.
    pub vocab_size: usize,
    /// Most positions of a sequence.
    pub max_position_embeddings: usize,
    /// Width.
    pub hidden_size: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Kind of attention of each block.
    pub attention_layers: Vec<AttentionKind>,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Window of local attention.
    pub window_size: usize,
    /// Dropout after the embeddings.
    pub embed_dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Dropout of the residual branches.
    pub resid_dropout: f64,
    /// Epsilon of the layer norms.
    pub layer_norm_epsilon: f64,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// The library's name of the MLP's activation, one of [`ACTIVATIONS`].
    activation_function: String,
    /// The file's own content, for writing it again.
    raw: Map<String, Value>,
}

/// The fields as written; `None` stands for a missing or null field.
#[derive(Deserialize)]
struct Fields {
    model_type: Option<String>,
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    hidden_size: Option<usize>,
    num_layers: Option<usize>,
    num_heads: Option<usize>,
    attention_types: Option<Vec<(Vec<AttentionKind>, usize)>>,
    attention_layers: Option<Vec<AttentionKind>>,
    intermediate_size: Option<usize>,
    window_size: Option<usize>,
    activation_function: Option<String>,
    embed_dropout: Option<f64>,
    attention_dropout: Option<f64>,
    resid_dropout: Option<f64>,
    layer_norm_epsilon: Option<f64>,
    initializer_range: Option<f64>,
}

/// What a configuration that is not given takes from the data.
#[derive(Clone, Copy, Debug)]
pub struct FromData {
    /// Entries of the tokenizer.
    pub vocab_size: usize,
    /// Tokens per sequence.
    pub block_size: usize,
    /// Id of `<|endoftext|>`, where the tokenizer has one.
    pub end_of_text: Option<u32>,
}

impl GptNeoConfig {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// When the file can't be read or a field has a value that is not accepted.
    pub fn read(path: &Path) -> Result<Self> {
        let raw: Map<String, Value> = files::read_json(path)?;
        Self::from_fields(raw).map_err(|error| Error::input(format!("{}: {error}", path.display())))
    }

    /// Checks the fields of a configuration for a new model, taking what is missing from the data.
    ///
    /// # Errors
    /// When a field has a value that is not accepted, or is too small for the data.
    pub fn for_data(mut raw: Map<String, Value>, data: FromData) -> Result<Self> {
        let mut default = |field: &str, value: Value| {
            if raw.get(field).is_none_or(Value::is_null) {
                raw.insert(field.to_owned(), value);
            }
        };
        default("vocab_size", json!(data.vocab_size));
        default("max_position_embeddings", json!(data.block_size));
        if let Some(id) = data.end_of_text {
            default("bos_token_id", json!(id));
            default("eos_token_id", json!(id));
        }
        let config = Self::from_fields(raw)?;
        if config.vocab_size < data.vocab_size {
            return Err(Error::input(format!(
                "vocab_size is {}, but the data's tokenizer has {} entries; use at least that many",
                config.vocab_size, data.vocab_size
            )));
        }
        if config.max_position_embeddings < data.block_size {
            return Err(Error::input(format!(
                "max_position_embeddings is {}, but the data's sequences have {} tokens; use at least that many",
                config.max_position_embeddings, data.block_size
            )));
        }
        Ok(config)
    }

    /// Checks the fields of a configuration.
    ///
    /// # Errors
    /// When a field has a value that is not accepted.
    pub fn from_fields(raw: Map<String, Value>) -> Result<Self> {
        unsupported::refuse(&raw)?;
        let raw = without_aliases(raw)?;
        let fields: Fields =
            serde_json::from_value(Value::Object(raw.clone())).map_err(|_| wrong_type(&raw))?;
        accept("model_type", fields.model_type.as_deref(), &["gpt_neo"])?;
        accept("activation_function", fields.activation_function.as_deref(), &ACTIVATIONS)?;
        let hidden_size = fields.hidden_size.unwrap_or(2048);
        let num_heads = fields.num_heads.unwrap_or(16);
        if hidden_size == 0 || num_heads == 0 || !hidden_size.is_multiple_of(num_heads) {
            return Err(Error::input(format!(
                "hidden_size {hidden_size} is not divisible by num_heads {num_heads}; use a multiple"
            )));
        }
        let config = Self {
            activation_function: fields
                .activation_function
                .clone()
                .unwrap_or_else(|| ACTIVATIONS[0].to_owned()),
            vocab_size: fields.vocab_size.unwrap_or(50257),
            max_position_embeddings: fields.max_position_embeddings.unwrap_or(2048),
            hidden_size,
            num_heads,
            attention_layers: attention_layers(&fields)?,
            intermediate_size: fields.intermediate_size.unwrap_or(hidden_size.saturating_mul(4)),
            window_size: fields.window_size.unwrap_or(256),
            embed_dropout: probability("embed_dropout", fields.embed_dropout)?,
            attention_dropout: probability("attention_dropout", fields.attention_dropout)?,
            resid_dropout: probability("resid_dropout", fields.resid_dropout)?,
            layer_norm_epsilon: not_negative("layer_norm_epsilon", fields.layer_norm_epsilon, 1e-5)?,
            initializer_range: not_negative("initializer_range", fields.initializer_range, 0.02)?,
            raw,
        };
        for (field, value) in [
            ("vocab_size", config.vocab_size),
            ("hidden_size", config.hidden_size),
            ("max_position_embeddings", config.max_position_embeddings),
            ("intermediate_size", config.intermediate_size),
            ("window_size", config.window_size),
        ] {
            if value == 0 {
                return Err(Error::input(format!("{field} is 0; use at least 1")));
            }
            if value > LARGEST {
                return Err(Error::input(format!("{field} is {value}; use at most {LARGEST}")));
            }
        }
        Ok(config)
    }

    /// Checks that sequences fit the model.
    ///
    /// # Errors
    /// When they are longer than its positions, or their tokenizer has more entries than its vocabulary.
    pub fn check_fits(&self, data: &Path, sequences: &Sequences) -> Result<()> {
        let (length, vocabulary) = (sequences.block_size(), Manifest::read(data)?.vocab_size as usize);
        if length > self.max_position_embeddings {
            return Err(Error::input(format!(
                "{}: sequences of {length} tokens, but the model has max_position_embeddings {}",
                data.display(),
                self.max_position_embeddings
            )));
        }
        if vocabulary > self.vocab_size {
            return Err(Error::input(format!(
                "{}: a tokenizer of {vocabulary} entries, but the model has vocab_size {}",
                data.display(),
                self.vocab_size
            )));
        }
        Ok(())
    }

    /// Number of blocks.
    #[must_use]
    pub fn num_layers(&self) -> usize {
        self.attention_layers.len()
    }

    /// What identifies the function that weights are the parameters of: the SHA-256 of all that a forward pass depends
    /// on and that the shapes of the weights do not tell. The accepted activations are one function.
    #[must_use]
    pub fn function_sha256(&self) -> String {
        let fields = json!({
            "num_heads": self.num_heads,
            "attention_layers": self.attention_layers,
            "window_size": self.window_size,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        });
        hex::encode(Sha256::digest(fields.to_string()))
    }

    /// The whole `config.json`: what was read, completed by every default, so that any reader sees
    /// the same model. What this program writes is always a whole model in single precision, whatever
    /// the checkpoint was that it started from.
    #[must_use]
    pub fn to_fields(&self) -> Map<String, Value> {
        let own = json!({
            "architectures": ["GPTNeoForCausalLM"],
            "model_type": "gpt_neo",
            "activation_function": self.activation_function,
            "vocab_size": self.vocab_size,
            "max_position_embeddings": self.max_position_embeddings,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers(),
            "num_heads": self.num_heads,
            "attention_layers": self.attention_layers,
            "attention_types": attention_types(&self.attention_layers),
            "intermediate_size": self.intermediate_size,
            "window_size": self.window_size,
            "embed_dropout": self.embed_dropout,
            "attention_dropout": self.attention_dropout,
            "resid_dropout": self.resid_dropout,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "initializer_range": self.initializer_range,
            "tie_word_embeddings": true,
            "dtype": "float32",
        });
        let mut all = self.raw.clone();
        all.retain(|field, value| {
            field != "torch_dtype" && (!value.is_null() || TOKENS.contains(&field.as_str()))
        });
        if let Value::Object(own) = own {
            all.extend(own);
        }
        all.entry("use_cache").or_insert(json!(true));
        // The library's default, which it warns of where the vocabulary is too small for it.
        if self.vocab_size <= DEFAULT_TOKEN {
            for field in TOKENS {
                all.entry(field).or_insert(Value::Null);
            }
        }
        all
    }
}

/// Activations that are the same function, the tanh form of GELU, in the library's names.
pub const ACTIVATIONS: [&str; 4] = ["gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast"];
/// The most of any size: what an index on the device can count.
const LARGEST: usize = i32::MAX as usize;
/// The most blocks: deeper ones are taken for a mistake before memory is asked for them.
const MOST_LAYERS: usize = 10_000;
/// Ids of special tokens that the library gives a default.
const TOKENS: [&str; 2] = ["bos_token_id", "eos_token_id"];
/// That default.
const DEFAULT_TOKEN: usize = 50256;
/// Names that the library takes for others.
const ALIASES: [(&str, &str); 2] =
    [("num_hidden_layers", "num_layers"), ("num_attention_heads", "num_heads")];

/// The fields, each by its own name.
fn without_aliases(mut raw: Map<String, Value>) -> Result<Map<String, Value>> {
    for (alias, field) in ALIASES {
        let Some(value) = raw.remove(alias).filter(|value| !value.is_null()) else { continue };
        let own = raw.entry(field).or_insert(Value::Null);
        if !own.is_null() && *own != value {
            return Err(Error::input(format!(
                "{alias} is {value}, but {field} is {own}; leave one of them out"
            )));
        }
        *own = value;
    }
    Ok(raw)
}

/// The error about the field that can't be read: each is read alone, as serde does not name it.
fn wrong_type(raw: &Map<String, Value>) -> Error {
    let wrong = raw.iter().find_map(|(field, value)| {
        let alone = Map::from_iter([(field.clone(), value.clone())]);
        let error = serde_json::from_value::<Fields>(Value::Object(alone)).err()?;
        Some(format!("{field}: {error}"))
    });
    Error::input(wrong.unwrap_or_else(|| "the fields do not go together".to_owned()))
}

fn accept(field: &str, given: Option<&str>, accepted: &[&str]) -> Result<()> {
    match given {
        Some(value) if !accepted.contains(&value) => Err(Error::input(format!(
            "{field} {value:?} is not supported; accepted: {}",
            accepted.join(", ")
        ))),
        _ => Ok(()),
    }
}

fn not_negative(field: &str, given: Option<f64>, default: f64) -> Result<f64> {
    match given.unwrap_or(default) {
        value if value.is_finite() && value >= 0.0 => Ok(value),
        value => Err(Error::input(format!("{field} is {value}; use at least 0"))),
    }
}

fn probability(field: &str, given: Option<f64>) -> Result<f64> {
    let value = given.unwrap_or(0.0);
    if (0.0..1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Error::input(format!("{field} is {value}; use at least 0 and less than 1")))
    }
}

/// The kind of each block: `attention_layers`, or `attention_types` repeated, or the library's default.
fn attention_layers(fields: &Fields) -> Result<Vec<AttentionKind>> {
    let described = fields.attention_types.as_deref().map_or(0, described);
    let most = described.max(fields.num_layers.unwrap_or(0));
    if most > MOST_LAYERS {
        return Err(Error::input(format!("num_layers is {most}; use at most {MOST_LAYERS}")));
    }
    let expanded = fields.attention_types.as_ref().map(|types| expand(types));
    let layers = match (&fields.attention_layers, expanded) {
        (Some(listed), Some(expanded)) if *listed != expanded => {
            return Err(Error::input("attention_layers and attention_types disagree; leave one of them out"));
        }
        (Some(listed), _) => listed.clone(),
        (None, Some(expanded)) => expanded,
        (None, None) => {
            let layers = fields.num_layers.unwrap_or(24);
            [AttentionKind::Global, AttentionKind::Local].into_iter().cycle().take(layers).collect()
        }
    };
    let expected = fields.num_layers.unwrap_or(layers.len());
    if layers.is_empty() || layers.len() != expected {
        return Err(Error::input(format!(
            "attention_types describes {} layers, but num_layers is {expected}; make them equal and above 0",
            layers.len()
        )));
    }
    Ok(layers)
}

/// How many blocks `attention_types` describes.
fn described(types: &[(Vec<AttentionKind>, usize)]) -> usize {
    types.iter().fold(0, |layers, (kinds, times)| layers.saturating_add(kinds.len().saturating_mul(*times)))
}

/// The kind of each block that `attention_types` describes.
fn expand(types: &[(Vec<AttentionKind>, usize)]) -> Vec<AttentionKind> {
    types.iter().flat_map(|(kinds, times)| kinds.repeat(*times)).collect()
}

/// `attention_types` in the library's form: one entry per block is always valid.
fn attention_types(layers: &[AttentionKind]) -> Value {
    layers.iter().map(|kind| json!([[kind], 1])).collect()
}

#[cfg(test)]
mod tests;
