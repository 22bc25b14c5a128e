#!/usr/bin/env python3
"""Tokenizing and chunking the way a user does it today: `datasets.map`, twice, in several processes.

    python3 datasets_map.py --texts texts.jsonl --tokenizer tokenizer.json --processes 2 --block-size 2048
"""
import argparse, json, os, time

p = argparse.ArgumentParser()
p.add_argument("--texts", required=True, help="JSON lines with the key `text`")
p.add_argument("--tokenizer", required=True, help="a tokenizer.json")
p.add_argument("--processes", type=int, default=2)
p.add_argument("--block-size", type=int, default=2048)
args = p.parse_args()
os.environ["TOKENIZERS_PARALLELISM"] = "false"
import datasets
from transformers import PreTrainedTokenizerFast

datasets.disable_caching()
datasets.disable_progress_bars()
tokenizer = PreTrainedTokenizerFast(tokenizer_file=args.tokenizer)
texts = datasets.Dataset.from_list([json.loads(line) for line in open(args.texts, encoding="utf-8")])


def tokenize(rows):
    return {"input_ids": tokenizer(rows["text"])["input_ids"]}


def group(rows):
    ids = [token for row in rows["input_ids"] for token in row]
    end = len(ids) // args.block_size * args.block_size
    return {"input_ids": [ids[i : i + args.block_size] for i in range(0, end, args.block_size)]}


started = time.perf_counter()
tokens = texts.map(tokenize, batched=True, num_proc=args.processes, remove_columns=["text"])
sequences = tokens.map(group, batched=True, num_proc=args.processes)
seconds = time.perf_counter() - started
print(json.dumps({"what": "tokenize", "seconds": seconds, "sequences": len(sequences), "texts": len(texts)}))
