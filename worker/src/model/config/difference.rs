//! What a configuration says otherwise than another.

use super::{GptNeoConfig, TOKENS, described, expand, unsupported, without_aliases};
use crate::Result;
use serde_json::{Map, Value};

/// Fields that say which model it is, besides `attention_types`.
const MEANT: [&str; 17] = [
    "model_type",
    "activation_function",
    "vocab_size",
    "max_position_embeddings",
    "hidden_size",
    "num_layers",
    "num_heads",
    "attention_layers",
    "intermediate_size",
    "window_size",
    "embed_dropout",
    "attention_dropout",
    "resid_dropout",
    "layer_norm_epsilon",
    "initializer_range",
    TOKENS[0],
    TOKENS[1],
];

impl GptNeoConfig {
    /// The first field that another configuration sets otherwise, with the value here and the one there. What it
    /// leaves out, and what no model depends on, differs from nothing.
    ///
    /// # Errors
    /// When the other sets a field to what is not supported, or twice under two names.
    pub fn difference(&self, other: &Map<String, Value>) -> Result<Option<(String, Value, Value)>> {
        unsupported::refuse(other)?;
        let own = self.to_fields();
        let given = without_aliases(other.clone())?.into_iter().filter(|(_, value)| !value.is_null());
        let with_own = given.map(|(field, value)| {
            let here = own.get(&field).cloned().unwrap_or(Value::Null);
            (field, here, value)
        });
        Ok(with_own.into_iter().find(|(field, here, there)| !self.agrees(field, here, there)))
    }

    fn agrees(&self, field: &str, here: &Value, there: &Value) -> bool {
        if field == "attention_types" {
            // The same blocks can be written in several ways.
            let types = serde_json::from_value::<Vec<_>>(there.clone());
            return types.is_ok_and(|types| {
                described(&types) == self.num_layers() && expand(&types) == self.attention_layers
            });
        }
        let same = match (here.as_f64(), there.as_f64()) {
            (Some(here), Some(there)) => here == there,
            _ => here == there,
        };
        same || !MEANT.contains(&field)
    }
}
