"""Saves statistics as the published tool does, with the installed PyTorch.

    save_stats.py STATISTICS.safetensors FOLDER

The first has the tensors <stage>.Ns_toks and <stage>.totals; FOLDER gets TS<identifier>@0-<stage>.pt.
"""

import hashlib
import sys

import torch
from safetensors.torch import load_file

tensors = load_file(sys.argv[1])
counts, totals = tensors["means.Ns_toks"], tensors["means.totals"]
means = totals / (counts.unsqueeze(1) + torch.finfo(totals.dtype).eps).to(totals.dtype)
digest = hashlib.sha256(means.numpy().tobytes()).hexdigest()
for stage, sequences in [("means", 150), ("vars", 150), ("decs", 20)]:
    data = {
        "hash": digest,
        "N_seqs": sequences,
        "Ns_toks": tensors[f"{stage}.Ns_toks"],
        "totals": tensors[f"{stage}.totals"],
    }
    torch.save(data, f"{sys.argv[2]}/TS02x0048_01d@0-{stage}.pt")
