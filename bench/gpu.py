#!/usr/bin/env python3
"""The worker on a GPU: are its results right, how fast is it, and against PyTorch on the same card; writes bench/gpu.md.

One call does it all, within `--minutes`: what no time is left for, what fails, and what the machine lacks is said in the
table, never left out. Takes a folder with the programs that `make gpu-programs` gathers, so that it can run on a machine
without Rust: copy the repository and that folder there, and call

    python3 bench/gpu.py FOLDER

PyTorch and transformers are raced against where they are installed.
"""
import argparse, datetime, json, os, pathlib, shutil, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SHAPES = ["64x1x512x16", "768x2x512x16", "1024x12x512x4"]
TARGETS = {"64x1x512x16": 3.0, "768x2x512x16": 1.2, "1024x12x512x4": 1.1}
KERNELS = ["64x512x16", "768x512x16", "1024x512x4"]
VOCABULARY, HEADS, WINDOW = 50257, 16, 256

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("programs", type=pathlib.Path, help="folder made by make gpu-programs")
p.add_argument("--device", default="cuda", help="cuda, cuda:N or vulkan")
p.add_argument("--minutes", type=float, default=9.0)
p.add_argument("--tflops", type=float, default=790.0, help="bf16 products that the card can do")
p.add_argument("--gb-per-s", type=float, default=4300.0, help="memory bandwidth of the card")
p.add_argument("--shapes", nargs="+", default=SHAPES)
p.add_argument("--only", nargs="+", choices=["checks", "training", "kernels", "collection", "endurance"])
p.add_argument("--out", type=pathlib.Path, default=HERE / "gpu.md")
args = p.parse_args()
started = time.monotonic()
lines = []


def left():
    return args.minutes * 60 - (time.monotonic() - started)


def say(text=""):
    lines.append(text)
    print(text, flush=True)


def wanted(section):
    return not args.only or section in args.only


def call(command, **environment):
    """Exit code (None where there was no time left) and output."""
    if left() < 10:
        return None, "no time was left"
    try:
        done = subprocess.run([str(word) for word in command], env=os.environ | environment, text=True, timeout=left(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as over:
        return None, "time ran out"
    except OSError as error:
        return 1, str(error)


def objects(command, **environment):
    """The JSON objects that a command prints, and why there are none."""
    code, output = call(command, **environment)
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    if rows:
        return rows, None
    print(output, file=sys.stderr)
    last = output.strip().splitlines()[-1:] or ["no output"]
    return [], last[0][:160]


def bench(*words):
    return objects([args.programs / "gpu-bench", "--device", args.device, *words])


def torch(*words):
    return objects([sys.executable, HERE / "torch_train.py", "--device", "cuda", "--heads", HEADS, "--vocab", VOCABULARY,
                    "--window", WINDOW, *words])


def figure(value, digits=0):
    return "not measured" if value is None else f"{value:,.{digits}f}"


def operations(shape):
    """Of a training step per token: products of matrices and attention."""
    width, depth, length, _ = (int(x) for x in shape.split("x"))
    seen = [length if layer % 2 == 0 else min(length, WINDOW) for layer in range(depth)]
    attention = sum(4 * width * (one * (one + 1) / 2 + (length - one) * one) / length for one in seen)
    return 3 * (24 * depth * width**2 + attention + 2 * VOCABULARY * width)


def checks():
    say("\n## Are the results right?\n")
    say("| what | outcome |\n|---|---|")
    environment = {"CARGO_MANIFEST_DIR": str(ROOT / "worker")}
    for what, program, words in [
        ("each kernel against the processor", "unit-tests", ["kernels::gpu"]),
        ("logits, losses and gradients of `transformers` (f32; bf16 within its rounding)", "gptneo-tests", []),
        ("fifteen steps of the `Trainer` at four settings", "trainer-tests", []),
        ("statistics of the published tool", "collection-tests", []),
    ]:
        code, output = call([args.programs / program, *words], **environment)
        outcome = [line for line in output.splitlines() if line.startswith("test result:")]
        failed = [line.split()[1] for line in output.splitlines() if line.startswith("test ") and line.endswith("FAILED")]
        text = outcome[-1].removeprefix("test result: ").split(";")[0:2] if outcome else [f"not seen: {output[-160:]!r}"]
        say(f"| {what} | {';'.join(text)}{': ' + ', '.join(failed) if failed else ''} |")


def training():
    say("\n## Training and forward, tokens per second\n")
    say("Steps of bf16 products with f32 weights, as PyTorch's autocast. Share: of the card's bf16 products.\n")
    say("| shape (width x layers x length x batch) | forward | PyTorch's best | ratio | training | PyTorch's best | ratio (aim) "
        "| share (aim) | hours for 10^9 tokens |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    notes = []
    for shape in args.shapes:
        rows, why = bench("train", shape)
        if why:
            notes.append(f"{shape}: {why}")
        ours = rows[0] if rows else {}
        theirs = []
        for words in ([], ["--attn", "sdpa"], ["--compile"], ["--compile", "--attn", "sdpa"]):
            found, why = torch("--dtype", "bf16", "--shape", shape, *words)
            if why:
                notes.append(f"PyTorch {' '.join(words) or 'as it comes'}, {shape}: {why}")
            theirs += found
        best = {key: max((row[key] for row in theirs), default=None) for key in ("body_tokens_per_s", "train_tokens_per_s")}
        trained, body = ours.get("train_tokens_per_s"), ours.get("body_tokens_per_s")
        ratio = lambda a, b: a / b if a and b else None
        share = trained and trained * operations(shape) / (args.tflops * 1e12) * 100
        aim = f" ({TARGETS[shape]:g})" if shape in TARGETS else ""
        say(f"| {shape} | {figure(body)} | {figure(best['body_tokens_per_s'])} | {figure(ratio(body, best['body_tokens_per_s']), 2)} "
            f"| {figure(trained)} | {figure(best['train_tokens_per_s'])} | {figure(ratio(trained, best['train_tokens_per_s']), 2)}{aim} "
            f"| {figure(share, 1)}% (45%) | {figure(trained and 1e9 / trained / 3600, 2)} |")
    for note in notes:
        say(f"\n* {note}")


def kernels():
    say("\n## Kernels by themselves\n")
    say("| kernel | shape | time, us | GB/s | of the card | TFLOP/s | of the card |\n|---|---|---:|---:|---:|---:|---:|")
    for shape in KERNELS:
        rows, why = bench("kernels", shape)
        if why:
            say(f"| all | {shape} | not measured: {why} | | | | |")
        for row in rows:
            of = lambda value, most: f"{figure(value, 1)} | {value / most * 100:.0f}%" if value else " | "
            say(f"| {row['kernel']} | {shape} | {row['seconds'] * 1e6:,.0f} | {of(row['gb_per_s'], args.gb_per_s)} "
                f"| {of(row['tflops'], args.tflops)} |")


def collection():
    say("\n## Decisions\n")
    say("| classes x width | tokens/s | TFLOP/s |\n|---|---:|---:|")
    for k, d in [(50257, 64), (50257, 768), (29233, 1024)]:
        rows, why = bench("decide", "--k", k, "--d", d)
        row = rows[0] if rows else {}
        say(f"| {k} x {d} | {figure(row.get('tokens_per_s'))} | {figure(row.get('tflops'), 1)} {why or ''} |")


def endurance():
    say("\n## Two thousand steps\n")
    rows, why = bench("endurance", args.shapes[0])
    if why:
        say(f"not measured: {why}")
        return
    say("| step | loss | memory, MiB |\n|---:|---:|---:|")
    for row in rows:
        say(f"| {row['step']} | {row['loss']:.4f} | {figure(row['memory_mib'])} |")


smi = shutil.which("nvidia-smi")
card = call([smi, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])[1].strip() if smi else "no NVIDIA card"
say("# The worker on a GPU\n")
say(f"Written by `bench/gpu.py` on {datetime.date.today()}: device {args.device} ({card}).")
for section in (checks, training, kernels, collection, endurance):
    if wanted(section.__name__):
        section()
    else:
        say(f"\n{section.__name__}: not asked for.")
say(f"\nIt took {(time.monotonic() - started) / 60:.1f} minutes.")
args.out.write_text("\n".join(lines) + "\n")
