"""Loads checkpoints with Hugging Face's library and computes logits.

    load.py IDS.safetensors CHECKPOINT...

Writes theirs.safetensors (logits) into each checkpoint, and prints one JSON object: for each checkpoint what
the library had to say about it, which should be nothing.
"""

import json
import logging
import sys
import warnings

import torch
import transformers
from safetensors.torch import load_file, save_file


class Said(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


ids = load_file(sys.argv[1])["input_ids"]
report = {}
for folder in sys.argv[2:]:
    said = Said()
    transformers.logging.add_handler(said)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, info = transformers.GPTNeoForCausalLM.from_pretrained(folder, output_loading_info=True)
        with torch.no_grad():
            logits = model.eval()(ids).logits
    transformers.logging.remove_handler(said)
    save_file({"logits": logits}, f"{folder}/theirs.safetensors")
    report[folder] = {
        "keys": {kind: sorted(map(str, keys)) for kind, keys in info.items() if keys},
        "warnings": said.lines + [str(warning.message) for warning in caught],
        "dtype": str(model.dtype),
        "tied": model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr(),
    }
print(json.dumps(report))
