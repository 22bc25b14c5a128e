//! Which configurations are accepted, and what is written.

use super::*;

fn parse(value: Value) -> Result<GptNeoConfig> {
    GptNeoConfig::from_fields(value.as_object().cloned().unwrap_or_default())
}

#[test]
fn a_written_configuration_reads_back_as_the_same_model() {
    let given = json!({
        "hidden_size": 48, "num_layers": 3, "num_heads": 4, "vocab_size": 7,
        "attention_types": [[["global", "local"], 1], [["global"], 1]], "custom": "kept",
    });
    let config = parse(given).unwrap();
    let again = GptNeoConfig::from_fields(config.to_fields()).unwrap();
    assert_eq!(again.attention_layers, config.attention_layers);
    assert_eq!(again.to_fields(), config.to_fields());
    assert_eq!(again.to_fields()["custom"], "kept");
}

#[test]
fn the_hash_of_the_function_changes_with_what_a_forward_pass_depends_on_alone() {
    let given =
        json!({"hidden_size": 48, "num_layers": 2, "num_heads": 4, "attention_layers": ["global", "local"]});
    let with = |more: Value| {
        let mut fields = given.as_object().cloned().unwrap();
        fields.extend(more.as_object().cloned().unwrap());
        GptNeoConfig::from_fields(fields).unwrap().function_sha256()
    };
    let hash = with(json!({}));
    for same in [
        json!({"attention_layers": null, "attention_types": [[["global", "local"], 1]]}),
        json!({"num_heads": null, "num_attention_heads": 4}),
        json!({"window_size": 256, "layer_norm_epsilon": 0.00001, "activation_function": "gelu_fast"}),
        json!({"resid_dropout": 0.5, "initializer_range": 1, "custom": 7, "dtype": "float16"}),
    ] {
        assert_eq!(with(same.clone()), hash, "{same}");
    }
    for other in [
        json!({"num_heads": 2}),
        json!({"attention_layers": ["local", "global"]}),
        json!({"window_size": 255}),
        json!({"layer_norm_epsilon": 1e-6}),
    ] {
        assert_ne!(with(other.clone()), hash, "{other}");
    }
}

#[test]
fn unsupported_values_are_refused_by_name() {
    for (value, field) in [
        (json!({"hidden_size": 30, "num_heads": 4}), "num_heads"),
        (json!({"activation_function": "relu"}), "activation_function"),
        (json!({"tie_word_embeddings": false}), "tie_word_embeddings"),
        (json!({"model_type": "gpt2"}), "model_type"),
        (json!({"num_layers": 3, "attention_types": [[["global"], 2]]}), "attention_types"),
        (json!({"num_layers": 0, "attention_types": []}), "attention_types"),
        (json!({"attention_types": [[["sparse"], 2]]}), "sparse"),
        (json!({"resid_dropout": 1.0}), "resid_dropout"),
        (json!({"vocab_size": -1}), "vocab_size: invalid value: integer `-1`"),
        (json!({"num_layers": "two"}), "num_layers: invalid type: string \"two\""),
        (json!({"window_size": 0}), "window_size"),
        (json!({"vocab_size": 3_000_000_000_u64}), "vocab_size"),
        (json!({"hidden_size": u64::MAX - 15}), "hidden_size"),
        (json!({"num_layers": 1_000_000_000_000_u64}), "num_layers"),
        (json!({"attention_types": [[["global", "local"], u64::MAX]]}), "num_layers"),
        (json!({"layer_norm_epsilon": -1e-5}), "layer_norm_epsilon"),
        (json!({"initializer_range": -0.1}), "initializer_range"),
        (json!({"activation_function": "gelu"}), "activation_function"),
        (json!({"num_hidden_layers": 2, "num_layers": 4}), "num_hidden_layers is 2, but num_layers is 4"),
        (json!({"num_attention_heads": 2, "num_heads": 4}), "num_attention_heads"),
        (json!({"is_causal": false}), "is_causal false is not supported; accepted: true"),
        (json!({"is_encoder_decoder": true}), "is_encoder_decoder true is not supported; accepted: false"),
        (json!({"tie_encoder_decoder": true}), "tie_encoder_decoder"),
        (json!({"add_cross_attention": true}), "add_cross_attention"),
        (json!({"cross_attention_hidden_size": 32}), "cross_attention_hidden_size"),
        (json!({"torchscript": true}), "torchscript"),
        (json!({"scale_attn_weights": true}), "scale_attn_weights"),
        (json!({"scale_attn_by_inverse_layer_idx": true}), "scale_attn_by_inverse_layer_idx"),
        (json!({"reorder_and_upcast_attn": true}), "reorder_and_upcast_attn"),
        (json!({"pruned_heads": {"0": [1]}}), "pruned_heads"),
        (json!({"per_layer_config": {"0": {"window_size": 4}}}), "per_layer_config"),
        (json!({"quantization_config": {"load_in_8bit": true}}), "quantization_config"),
        (json!({"fusion_config": {"mlp": true}}), "fusion_config"),
        (json!({"transformers_weights": "other.safetensors"}), "transformers_weights"),
        (json!({"loss_type": "ForMaskedLM"}), "loss_type"),
        (json!({"dtype": "int8"}), "dtype \"int8\" is not supported; accepted: float32, bfloat16"),
        (json!({"torch_dtype": "float8_e4m3fn"}), "torch_dtype"),
    ] {
        let refused = parse(value).unwrap_err().to_string();
        assert!(refused.contains(field), "{refused}");
    }
}

#[test]
fn fields_without_an_effect_are_kept() {
    let given = json!({
        "hidden_size": 16, "num_heads": 4, "num_layers": 1, "attention_types": [[["local"], 1]],
        "chunk_size_feed_forward": 8, "classifier_dropout": 0.5, "gradient_checkpointing": true, "id2label": {"0": "A"},
        "is_causal": true, "is_encoder_decoder": false, "loss_type": null, "n_ctx": 99, "output_attentions": true,
        "pad_token_id": 3, "pruned_heads": {}, "quantization_config": null, "return_dict": false,
        "summary_type": "cls_index", "use_cache": false, "eos_token_id": [1, 2],
    });
    let written = parse(given.clone()).unwrap().to_fields();
    for (field, value) in given.as_object().unwrap().iter().filter(|(_, value)| !value.is_null()) {
        assert_eq!(&written[field], value, "{field}");
    }
}

#[test]
fn the_librarys_other_names_are_understood() {
    let config = parse(json!({"hidden_size": 16, "num_attention_heads": 4, "num_hidden_layers": 3})).unwrap();
    assert_eq!((config.num_heads, config.num_layers()), (4, 3));
    let written = config.to_fields();
    assert_eq!((&written["num_heads"], &written["num_layers"]), (&json!(4), &json!(3)));
    assert!(!written.contains_key("num_hidden_layers"));
    for name in ACTIVATIONS {
        let same = parse(json!({"activation_function": name})).unwrap();
        assert_eq!(same.to_fields()["activation_function"], name);
    }
}

#[test]
fn what_is_written_is_a_whole_model_in_single_precision() {
    let given = json!({
        "architectures": ["GPTNeoModel"], "dtype": "bfloat16", "torch_dtype": "float16", "layer_norm_epsilon": 0,
        "hidden_size": 16, "num_heads": 4, "vocab_size": 512,
    });
    let written = parse(given).unwrap().to_fields();
    assert_eq!(written["dtype"], "float32");
    assert_eq!(written["architectures"], json!(["GPTNeoForCausalLM"]));
    assert!(!written.contains_key("torch_dtype"));
    // The library takes a whole number for a mistake here, and warns of tokens outside of the vocabulary.
    assert!(written["layer_norm_epsilon"].is_f64());
    assert!(written["bos_token_id"].is_null() && written["eos_token_id"].is_null());
    assert!(!parse(json!({})).unwrap().to_fields().contains_key("eos_token_id"));
}

#[test]
fn the_tokenizer_must_fit_the_vocabulary() {
    let data = FromData { vocab_size: 512, block_size: 64, end_of_text: Some(0) };
    let small = json!({"vocab_size": 500, "hidden_size": 16, "num_heads": 4});
    let refused = GptNeoConfig::for_data(small.as_object().unwrap().clone(), data).unwrap_err();
    assert!(refused.to_string().contains("vocab_size is 500"), "{refused}");
    let open = json!({"hidden_size": 16, "num_heads": 4, "num_layers": 1});
    let config = GptNeoConfig::for_data(open.as_object().unwrap().clone(), data).unwrap();
    assert_eq!((config.vocab_size, config.max_position_embeddings), (512, 64));
    assert_eq!(config.to_fields()["eos_token_id"], 0);
}
