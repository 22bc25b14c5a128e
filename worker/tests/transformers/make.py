"""Makes GPT-Neo checkpoints with Hugging Face's library, in every form that it or an older version writes.

    make.py FOLDER

FOLDER/<case>/ids.safetensors         input_ids int64 [batch, length]
FOLDER/<case>/<form>/                 a checkpoint
FOLDER/<case>/<form>.safetensors      its logits, computed in single precision
"""

import sys
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import save_file
from transformers import GPTNeoConfig, GPTNeoForCausalLM

GLOBAL, LOCAL = [["global"], 1], [["local"], 1]
CASES = {
    "mixed": dict(num_layers=2, num_heads=2, window_size=8, attention_types=[[["global", "local"], 1]]),
    "reversed": dict(num_layers=3, num_heads=4, window_size=5, attention_types=[LOCAL, [["global"], 2]],
                     intermediate_size=50),
    "odd": dict(vocab_size=97, hidden_size=15, num_layers=2, num_heads=5, max_position_embeddings=29,
                window_size=7, attention_types=[LOCAL, LOCAL]),
    "window of one": dict(num_layers=2, num_heads=8, window_size=1, attention_types=[LOCAL, GLOBAL],
                          activation_function="gelu_pytorch_tanh"),
    "wide window": dict(num_layers=1, num_heads=1, window_size=256, attention_types=[LOCAL],
                        layer_norm_epsilon=1e-3, activation_function="gelu_fast"),
    "narrow": dict(hidden_size=8, num_layers=1, num_heads=8, intermediate_size=3, attention_types=[GLOBAL]),
}
SIZES = dict(vocab_size=211, hidden_size=32, max_position_embeddings=64, bos_token_id=0, eos_token_id=0)
SHARD = 1000  # bytes: several files, also for the smallest model


def model_of(case, dtype):
    torch.manual_seed(sum(map(ord, case)))
    model = GPTNeoForCausalLM(GPTNeoConfig(**{**SIZES, **CASES[case]})).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # no parameter is trivial
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.to(dtype)


def bin_file(model, folder, state):
    model.config.save_pretrained(folder)
    torch.save(state, folder / "pytorch_model.bin")


def old(model):
    """As saved by versions that stored the masks, and by programs that transposed matrices in place."""
    state = model.state_dict()
    for layer in range(model.config.num_layers):
        attention = f"transformer.h.{layer}.attn.attention"
        size = model.config.max_position_embeddings
        state[f"{attention}.bias"] = torch.ones(size, size, dtype=torch.uint8).tril().view(1, 1, size, size)
        state[f"{attention}.masked_bias"] = torch.tensor(-1e9)
        state[f"{attention}.q_proj.weight"] = state[f"{attention}.q_proj.weight"].t().contiguous().t()
    return state


FORMS = {
    "plain": lambda model, folder: model.save_pretrained(folder),
    "sharded": lambda model, folder: model.save_pretrained(folder, max_shard_size=SHARD),
    "bare": lambda model, folder: model.transformer.save_pretrained(folder),
    "bin": lambda model, folder: bin_file(model, folder, model.state_dict()),
    "bin with masks": lambda model, folder: bin_file(model, folder, old(model)),
    "bin of parameters": lambda model, folder: bin_file(model, folder, dict(model.named_parameters())),
    "bin of protocol 4": lambda model, folder: (
        model.config.save_pretrained(folder),
        torch.save(model.state_dict(), folder / "pytorch_model.bin", pickle_protocol=4)),
    "bin sharded": lambda model, folder: (
        model.config.save_pretrained(folder),
        save_torch_state_dict(model.state_dict(), folder, max_shard_size=SHARD, safe_serialization=False)),
}


def main():
    for case in CASES:
        base = Path(sys.argv[1]) / case
        for dtype in [torch.float32, torch.float64, torch.bfloat16, torch.float16]:
            model = model_of(case, dtype)
            ids = torch.randint(model.config.vocab_size, (3, model.config.max_position_embeddings - 6))
            base.mkdir(exist_ok=True)
            save_file({"input_ids": ids}, base / "ids.safetensors")
            # The model may change its type below: make what is compared from weights as they were stored.
            for form, write in FORMS.items():
                name = f"{form} {dtype}".replace("torch.", "")
                (base / name).mkdir()
                write(model, base / name)
            with torch.no_grad():
                logits = model.float()(ids).logits
            for form in FORMS:
                save_file({"logits": logits}, base / f"{form} {dtype}.safetensors".replace("torch.", ""))


main()
