#!/usr/bin/env python3
"""The worker's jobs on the processor against PyTorch, in one run, alternating; writes a Markdown table.

Each job runs `--rounds` times, this program's and PyTorch's in turn, two threads each; the table has medians, the
ratio, and how far the worker is from what the machine can do at most (its floor: bytes over the measured memory
bandwidth, or operations over the measured rate of matrix products). Run it by `make bench`, on a quiet machine.
"""
import argparse, datetime, json, os, pathlib, platform, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
THREADS = 2

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--rounds", type=int, default=3)
p.add_argument("--only", nargs="*", help="names of jobs, or beginnings of names")
p.add_argument("--texts", help="JSON lines with texts to tokenize; the test texts if not given")
p.add_argument("--tokenizer", help="tokenizer.json; the test tokenizer if not given")
p.add_argument("--out", type=pathlib.Path, default=HERE / "cpu.md")
args = p.parse_args()

environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
environment |= {"RAYON_NUM_THREADS": str(THREADS), "OMP_NUM_THREADS": str(THREADS), "TRANSFORMERS_VERBOSITY": "error"}


def run(command):
    """The JSON objects that a command prints."""
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def build():
    """The benchmark programs and lc-worker, in the profile that `make build` makes."""
    cargo = ["cargo", "build", "--locked", "-p", "worker", "--bins", "--benches", "--message-format", "json"]
    done = subprocess.run(cargo, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    made = [json.loads(line) for line in done.stdout.splitlines()]
    # The library and the program are made as benchmarks as well; these are the plain ones.
    wanted = {"cpu": "bench", "measures": "bench", "lc-worker": "bin"}
    paths = {}
    for message in made:
        target = message.get("target", {})
        if message.get("executable") and wanted.get(target["name"]) in target["kind"]:
            if target["kind"] == ["bench"] or not message["profile"]["test"]:
                paths[target["name"]] = message["executable"]
    return paths["cpu"], paths["measures"], paths["lc-worker"]


bench, all_measures, worker = build()


def torch(script, *words):
    return run([sys.executable, HERE / script, *words])


def medians(rows):
    """One object per `what`, each number the median over rounds."""
    by_name = {}
    for row in rows:
        by_name.setdefault(row["what"], []).append(row)
    number = lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)
    return {
        name: {k: statistics.median(r[k] for r in group) if number(v) else v for k, v in group[0].items()}
        for name, group in by_name.items()
    }


def race(ours, theirs):
    """Both sides of a job, alternating."""
    a, b = [], []
    for _ in range(args.rounds):
        a += ours()
        b += theirs()
    return medians(a), medians(b)


machine = run([bench, "machine"])[0]
F32, F64, BYTES = machine["f32_gflops"] * 1e9, machine["f64_gflops"] * 1e9, machine["gb_per_s"] * 1e9
rows = []


def wanted(name):
    return not args.only or any(name.startswith(word) for word in args.only)


def seconds(x):
    return f"{x:.2f} s" if x >= 0.1 else f"{x * 1000:.1f} ms"


def add(job, ours, theirs, target, floor, limit, memory="", unit="tokens/s"):
    """A line of the table. `ours` and `theirs` are rates, or seconds if `unit` is None; `floor` in seconds per unit."""
    ratio = ours / theirs if unit else theirs / ours
    share = floor * ours if unit else floor / ours
    show = (lambda x: f"{x:,.0f} {unit}") if unit else seconds
    rows.append([job, show(theirs), show(ours), f"**{ratio:,.0f}x**" if ratio >= 100 else f"**{ratio:.3g}x**", target, f"{limit}: {share:.0%}", memory])
    print(" | ".join(rows[-1]), file=sys.stderr, flush=True)


# Training and the forward pass for collection.
for shape, heads, vocab, window, train_target in [
    ("64x1x512x4", 16, 50257, 256, "1.2x, a third of the memory"),
    ("256x4x256x8", 16, 2048, 256, "1.0x"),
    ("256x2x2048x1", 16, 50257, 256, "1.5x"),
]:
    name = f"train {shape}"
    if not wanted(name):
        continue
    options = ["--vocab", vocab, "--heads", heads, "--window", window]
    ours, theirs = race(
        lambda: run([bench, "train", shape, *options]),
        lambda: torch("torch_train.py", "--threads", THREADS, "--steps", 5, "--shape", shape, *options),
    )
    ours, theirs = ours["train"], theirs["torch train"] | {"body_tokens_per_s": theirs["torch body"]["body_tokens_per_s"]}
    width, depth, length, _ = map(int, shape.split("x"))
    seen = [(length + 1) / 2 if layer % 2 == 0 else min(window, (length + 1) / 2) for layer in range(depth)]
    body = 24 * width**2 * depth + sum(4 * width * keys for keys in seen)
    whole = 3 * (body + 2 * width * vocab)
    memory = f"{ours['peak_rss_mib'] / 1024:.2f} of {theirs['peak_rss_gb']:.2f} GiB"
    add(f"training step, {shape}, vocabulary {vocab}", ours["train_tokens_per_s"], theirs["train_tokens_per_s"],
        train_target, whole / F32, f"{whole / 1e6:,.0f} MFLOP/token", memory)
    add(f"forward for collection, {shape}", ours["body_tokens_per_s"], theirs["body_tokens_per_s"],
        "1.2x", body / F32, f"{body / 1e6:,.1f} MFLOP/token")

# Adding to class statistics.
for width in [256, 1024]:
    name = f"collect {width}"
    if not wanted(name):
        continue
    classes = 50257
    # A small grid: the measures of this script are timed below.
    options = ["--k", classes, "--d", width]
    ours, theirs = race(
        lambda: run([bench, "collect", *options]),
        lambda: torch("torch_collect.py", *options, "--grid-k", 64),
    )
    for what, target, floor, limit in [
        ("means", "200x", 20 * width / BYTES, f"{20 * width:,} B/token"),
        ("vars", "200x", 12 * width / BYTES, f"{12 * width:,} B/token"),
        ("decs", "2x", 4 * classes * width / F32, f"{4 * classes * width / 1e6:,.0f} MFLOP/token"),
    ]:
        add(f"{what}, {classes} classes, width {width}", ours[what]["tokens_per_s"], theirs[what]["tokens_per_s"],
            target, floor, limit)

# Measures, by group and all at once.
if wanted("measures"):
    classes, width = 4096, 256
    groups = {"etf": "etf_error", "dual": "dual_error", "kern-log": "log_kernel", "snr": "cdnv"}
    ours, theirs = race(
        lambda: run([bench, "measures", "--k", classes, "--d", width, *groups]),
        lambda: torch("torch_collect.py", "--k", 64, "--batch", 64, "--d", width, "--grid-k", classes, "--tile", 256),
    )
    gram, grid = classes * width**2, classes**2 * width
    for group, what in groups.items():
        operations = {"etf": gram, "dual": 2 * gram}.get(group, grid)
        add(f"{what}, {classes} classes, width {width}", ours[group]["seconds"], theirs[what]["seconds"], "",
            operations / F64, f"{operations / 1e9:,.1f} GFLOP (f64)", unit=None)
    classes = 29233
    found = medians([row for _ in range(args.rounds) for row in run([all_measures])])
    operations = classes**2 * width + 5 * classes * width**2
    for what, name in [("compute", "all measures"), ("analyze, with values per class", "all measures, from files to files")]:
        taken = found[what]["seconds"]
        rows.append([f"{name}, {classes} classes, width {width}", "", seconds(taken), "", "15 s, 500 MB",
                     f"{operations / 1e9:,.0f} GFLOP (f64): {operations / F64 / taken:.0%}",
                     f"{found[what]['peak_rss_mb']:.0f} MB"])
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)

# Tokenizing.
if wanted("tokenize"):
    golden = ROOT / "worker/tests/golden/chunking"
    texts = pathlib.Path(args.texts) if args.texts else golden / "texts_train.jsonl"
    tokenizer = args.tokenizer or golden / "tokenizer.json"
    lines = [line for line in texts.read_text(encoding="utf-8").splitlines() if line]
    lines *= -(-20000 // len(lines))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        file = folder / "texts.jsonl"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        one = folder / "validation.jsonl"
        one.write_text("\n".join(lines[:1000]) + "\n", encoding="utf-8")

        def prepare():
            out = folder / "data"
            subprocess.run(["rm", "-rf", out], check=True)
            started = time.perf_counter()
            done = run([worker, "--json", "prepare", "--dataset", file, "--validation", one, "--tokenizer", tokenizer,
                        "--block-size", 512, "--shards", THREADS, "--out", out])
            taken = time.perf_counter() - started
            split = done[0]["splits"]["train"] if "splits" in done[0] else done[0]["train"]
            return [{"what": "tokenize", "seconds": taken, "tokens": split["tokens"], "sequences": split["sequences"]}]

        ours, theirs = race(prepare, lambda: torch("datasets_map.py", "--texts", file, "--tokenizer", tokenizer,
                                                   "--processes", THREADS, "--block-size", 512))
    ours, theirs = ours["tokenize"], theirs["tokenize"]
    assert ours["sequences"] == theirs["sequences"], "both make the same sequences"
    add(f"tokenizing {len(lines):,} texts, {ours['tokens']:,.0f} tokens", ours["tokens"] / ours["seconds"],
        ours["tokens"] / theirs["seconds"], "1.0x", 0.0, "library code")
    rows[-1][5] = "the tokenizers library on both sides"

model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
import torch as pytorch

commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
table = [
    ["job", "PyTorch", "lc-worker", "ratio", "target", "floor: share of it reached", "peak memory"],
    ["---"] * 7,
    *rows,
]
text = f"""# Benchmarks on the processor

Made by `make bench` at {commit} on {datetime.date.today()}: {model} ({vectors}), {os.cpu_count()} processors, {THREADS} threads
each; PyTorch {pytorch.__version__}, Python {platform.python_version()}. Medians of {args.rounds} rounds, both sides in turn. The machine: {machine["f32_gflops"]:.0f} GFLOP/s
in f32 and {machine["f64_gflops"]:.0f} in f64 (matrix products of 1536 x 1536), {machine["gb_per_s"]:.1f} GB/s (streaming). What the jobs are and what limits
them is told in [docs/performance.md](../docs/performance.md).

"""
text += "\n".join("| " + " | ".join(cells) + " |" for cells in table) + "\n"
args.out.write_text(text)
print(text)
