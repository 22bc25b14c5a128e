#!/usr/bin/env python3
"""The worker on a GPU: are its results right, how fast is it, and against PyTorch on the same card; writes bench/gpu.md.

One call does it all, within `--minutes`. The table is written anew after every measurement: a time limit loses nothing, and
what no time was left for, what failed and what the machine lacks is said in it. All output of all commands is in a log beside
it. Takes the archive, or the folder, that `make gpu-programs` makes, so that it can run on a machine without Rust: copy
the repository and the archive there, and call

    python3 bench/gpu.py gpu-programs.tar.xz --out FOLDER/gpu.md

Kernels are compiled before anything is measured, unless LC_GPU_CACHE names a folder of compiled ones. PyTorch and
transformers are raced against where they are installed. Without programs, only what can be computed is written.
"""
import argparse, datetime, os, pathlib, shutil, signal, subprocess, sys, tarfile, tempfile, threading, time, traceback

from gpu_floors import HEADS, SHAPES, VOCABULARY, WINDOW, Card
from gpu_machine import find_cuda, mps
from gpu_run import OVER, Runner, failure, objects
from gpu_table import CHECKS, COUNTS, Table

HERE = pathlib.Path(__file__).resolve().parent

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("programs", type=pathlib.Path, nargs="?", help="archive or folder made by make gpu-programs")
p.add_argument("--device", default="cuda", help="cuda, cuda:N or vulkan")
p.add_argument("--python", default=sys.executable, help="an interpreter with PyTorch and transformers")
p.add_argument("--minutes", type=float, default=9.0)
p.add_argument("--bf16", type=float, default=790.0, help="TFLOP/s of the card's products (default: by an H200's data sheet, less a fifth)")
p.add_argument("--tf32", type=float, default=395.0, help="the same for TF32")
p.add_argument("--f32", type=float, default=60.0, help="the same in f32, without units for matrices (less a tenth)")
p.add_argument("--gb-per-s", type=float, default=4300.0, help="memory bandwidth of the card (less a tenth)")
p.add_argument("--shapes", nargs="+", default=SHAPES, help="WIDTHxLAYERSxLENGTHxBATCH")
p.add_argument("--quick", action="store_true", help="a tiny model, once each: does this program work, on whatever device?")
p.add_argument("--out", type=pathlib.Path, default=HERE / "gpu.md", help="the table; the log lies beside it")
args = p.parse_args()
NOT_YET = "**No card has run this yet.**"
if not args.programs and args.out.exists() and NOT_YET not in args.out.read_text():
    p.error(f"{args.out} was measured on a card; name the programs to measure again, or another --out")
if args.programs and not args.programs.exists():
    p.error(f"{args.programs}: no such file or folder")
more = {"vocabulary": 300, "window": 8} if args.quick else {"vocabulary": VOCABULARY, "window": WINDOW}
heads, repeat, seconds, steps = (2, 1, 1, 4) if args.quick else (HEADS, 10, 5, 500)
shapes = ["16x1x32x2", "32x2x32x2"] if args.quick else args.shapes
cuda = args.device.startswith("cuda")
training = "bf16" if cuda else "f32"
# For a card on which products of some kinds do not work, above all those with its unit for memory.
PRODUCTS, PLAIN = "LC_GPU_PRODUCTS", "Cyclic"
# PyTorch brings libraries of its own.
AS_IT_WAS = ["env", f"LD_LIBRARY_PATH={os.environ.get('LD_LIBRARY_PATH', '')}"]
started, found = time.monotonic(), {}


def machine():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, text=True, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return "no NVIDIA card"


def write():
    took = (time.monotonic() - started) / 60
    head = ["# The worker on a GPU\n"]
    if args.programs:
        head.append(f"Written by `bench/gpu.py` on {datetime.date.today()}, in {took:.1f} minutes: device {args.device} ({card_name}).")
    else:
        head.append(f"{NOT_YET} Written by `bench/gpu.py` without programs: floors alone.")
    if args.quick:
        head.append("A tiny model, only to see that everything runs: no figure here tells anything about a card.")
    head += [found[key] for key in (("machine",), ("products",)) if key in found]
    head.append(f"Taken for the card: {args.bf16:g} TFLOP/s in bf16, {args.tf32:g} in TF32, {args.f32:g} in f32, {args.gb_per_s:g} GB/s.")
    table = Table(found, Card(args.bf16, args.tf32, args.f32, args.gb_per_s), shapes, training, more)
    text = "\n".join([*head, table.text()]) + "\n"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(args.out)


def note(key, outcome):
    """Keeps what was found, or why nothing was, and writes the table."""
    found[key] = outcome
    run.say(" ".join([*map(str, key), outcome if isinstance(outcome, str) else f"{len(outcome)} rows"]))
    write()


def measure(key, command, limit):
    """Whether it went well. What came before time ran out counts, what a program says that panicked does not."""
    code, output = run.call(command, limit)
    rows, why = objects(output), failure(code, output)
    if rows and why and code is None and "panicked at" not in why:
        found["stopped", *key] = why
        why = None
    note(key, why or rows or "no rows")
    return not why


def bench(job, shape, dtype, *words, repeat=repeat):
    return [programs / "gpu-bench", "--device", args.device, "--repeat", repeat, "--shape", shape, "--dtype", dtype,
            "--heads", heads, "--vocab", more["vocabulary"], "--window", more["window"], job, *words]


def collect(shape, dtype):
    return bench("collect", shape, dtype, repeat=min(3, repeat))


def torch(shape, dtype, *words):
    return [*AS_IT_WAS, args.python, HERE / "torch_train.py", "--device", "cuda" if cuda else "cpu", "--heads", heads,
            "--shape", shape, "--vocab", more["vocabulary"], "--window", more["window"], "--steps", repeat, "--dtype", dtype, *words]


def torch_collect(shape):
    width = shape.split("x")[0]
    return [*AS_IT_WAS, args.python, HERE / "torch_collect.py", "--device", "cuda" if cuda else "cpu", "--k", more["vocabulary"],
            "--d", width, "--grid-k", 8, "--repeat", repeat]


def checking(program, *names):
    """A program with tests: all that are for this device, or those that are named."""
    ours = ["kernels::gpu", "--skip", "on_vulkan" if cuda else "on_cuda"] if program == "unit-tests" else []
    return [programs / program, "--test-threads=1", *(["--exact", *names] if names else ours)]


def parts(program):
    """The same in several processes, each with its share of the tests, for each compiles kernels one after the other."""
    if program != "unit-tests":
        return [checking(program)]
    output = run.call([*checking(program), "--list"], 30)[1]
    names = [line.removesuffix(": test") for line in output.splitlines() if line.endswith(": test")]
    return [checking(program, *names[part::4]) for part in range(min(4, len(names)))] or [checking(program)]


def passed(outputs):
    """What processes with tests say together: how many passed, which did not."""
    lines = [line for _, output in outputs for line in output.splitlines()]
    failed = [line.split()[1] for line in lines if line.startswith("test ") and line.endswith("FAILED")]
    counts = [int(line.split()[3]) for line in lines if line.startswith("test result:")]
    # A filter that finds no test is no success.
    good = len(counts) == len(outputs) and all(counts) and all(code == 0 for code, _ in outputs)
    why = next((failure(code, output) for code, output in outputs if code != 0), None)
    words = [f"{'ok' if good else 'FAILED'}. {sum(counts)} passed; {len(failed)} failed", *failed]
    return good, " ".join([*words, *([why] if why and not failed else [])])


def check(program):
    # Tested already, while kernels were compiled.
    if not str(found.get(("check", program), "")).startswith("ok"):
        note(("check", program), passed([run.call(checking(program), 150)])[1])


def side_by_side(way, count, **environment):
    """Rates of `count` processes that train at the same time: each says when it is ready, then all are told to start."""
    if run.left() < 30:
        return note(("packed", way, count), OVER)
    command, workers = bench("packed", shapes[0], training, "--seconds", seconds), []
    stop = threading.Timer(min(90, run.left()), lambda: [run.stop(worker) for worker in workers])
    with run.log.open("a") as log:
        try:
            for _ in range(count):
                pipes = {"stdin": subprocess.PIPE, "stderr": log}
                workers.append(run.start(command, subprocess.PIPE, environment, **pipes))
            stop.start()
            for worker in workers:
                worker.stdout.readline()
            for worker in workers:
                worker.stdin.write("\n")
                worker.stdin.flush()
            rows = [row for worker in workers for row in objects(worker.stdout.read())]
            failed = max(count - len(rows), sum(worker.wait() != 0 for worker in workers))
            note(("packed", way, count), f"{failed} of {count} failed" if failed else rows)
        finally:
            stop.cancel()
            for worker in workers:
                run.stop(worker)


def with_mps():
    """Last, for it changes how the card is used by all."""
    why = None if cuda else "this device has no MPS"
    with mps(run) as (environment, problem):
        for count in COUNTS:
            if why or problem:
                note(("packed", "mps", count), why or problem)
            else:
                side_by_side("mps", count, **environment)


def compile_ahead(folder):
    """Runs everything once, side by side, so that what is measured later finds its kernels compiled: the compiler takes a
    second for each of some seventy per shape. Which are the fastest is not learnt while others run; that is left out."""
    began = time.monotonic()
    jobs = [bench(job, shape, dtype, repeat=1) for shape in shapes for job, dtype in (("train", training), ("collect", "f32"))]
    tests = {program: parts(program) for program in CHECKS if (programs / program).exists()}
    # From a disk that has not been read, this takes longer than what is measured with it.
    jobs.append([*AS_IT_WAS, args.python, "-c", "import torch, transformers"])
    every = [*(job for part in tests.values() for job in part), *jobs]
    ended = run.together(every, min(150, run.left() / 3))
    for program, part in tests.items():
        outputs, ended = ended[:len(part)], ended[len(part):]
        good, words = passed(outputs)
        note(("check", program), words) if good else run.say(f"{program}, while kernels are compiled: {words}")
    for autotune in pathlib.Path(folder).glob("*/autotune"):
        shutil.rmtree(autotune, ignore_errors=True)
    failed = sum(code != 0 for code, _ in ended)
    run.say(f"compiled ahead in {time.monotonic() - began:.0f} s; {failed} of {len(jobs)} not to the end")


def train(shape):
    key, command = ("train", shape, training), bench("train", shape, training)
    if measure(key, command, 100) or shape != shapes[0] or not cuda or PRODUCTS in os.environ or run.left() < 60:
        return
    os.environ[PRODUCTS] = PLAIN
    if measure(key, command, 120):
        note(("products",), f"The first training failed, but not with {PRODUCTS}={PLAIN}: with this was measured all else, too.")
    else:
        del os.environ[PRODUCTS]


def everything():
    """Pairs of what is asked for and how: what matters most comes first."""
    yield from ((("train", shape, training), lambda shape=shape: train(shape)) for shape in shapes)
    yield from ((("check", program), lambda program=program: check(program)) for program in CHECKS)
    commands = [(("kernels", shape), bench("kernels", shape, training), 60) for shape in shapes]
    commands += [(("collect", shape, "f32"), collect(shape, "f32"), 120) for shape in shapes]
    commands += [(("endurance",), bench("endurance", shapes[0], training, "--steps", steps), 60)]
    for key, command, limit in commands:
        yield key, lambda key=key, command=command, limit=limit: measure(key, command, limit)
    yield from ((("packed", "alone", count), lambda count=count: side_by_side("alone", count)) for count in COUNTS)
    commands = [(("torch", shape, "eager"), torch(shape, "bf16"), 40) for shape in shapes]
    commands += [(("collect", shape, "tf32"), collect(shape, "tf32"), 60) for shape in shapes]
    for shape in shapes:
        commands += [(("torch", shape, "f32"), torch(shape, "f32"), 40), (("torch collect", shape), torch_collect(shape), 30)]
    commands += [(("torch", shape, "compile"), torch(shape, "bf16", "--compile"), 60) for shape in shapes]
    for key, command, limit in commands:
        yield key, lambda key=key, command=command, limit=limit: measure(key, command, limit)
    yield ("packed", "mps", COUNTS[0]), with_mps


def attempt(key, step):
    """A step that fails costs its own result, and no other."""
    try:
        if run.left() < 10:
            found.setdefault(key, OVER)
        else:
            step()
    except Exception as error:
        run.keep(traceback.format_exc())
        note(key, f"{type(error).__name__}: {error}"[:160].replace("|", "/"))


def main(folder):
    """All that is to be found out, with programs in `programs` and a folder for what is not kept."""
    if cuda:
        attempt(("machine",), lambda: find_cuda(run, folder))
    os.environ["CUDA_CACHE_PATH"] = str(folder / "driver")
    code, output = run.call(bench("probe", shapes[0], "f32"), 90)
    if failure(code, output):
        note(("machine",), f"Nothing was measured, for no kernel could be run: {failure(code, output)}")
        sys.exit(1)
    if "LC_GPU_CACHE" not in os.environ:
        os.environ["LC_GPU_CACHE"] = str(folder / "kernels")
        attempt(("compile",), lambda: compile_ahead(folder / "kernels"))
    for key, step in everything():
        attempt(key, step)
    write()


if not args.programs:
    write()
else:
    # Also then, nothing is left on the card.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Runner(args.minutes, args.out.with_suffix(".log"))
    card_name = machine()
    os.environ["CARGO_MANIFEST_DIR"] = str(HERE.parent / "worker")
    with tempfile.TemporaryDirectory() as temporary:
        programs = args.programs.resolve()
        if args.programs.is_file():
            programs = pathlib.Path(temporary) / "programs"
            with tarfile.open(args.programs) as archive:
                archive.extractall(programs, filter="data")
        for program in programs.iterdir():
            program.chmod(0o755)
        write()
        main(pathlib.Path(temporary))
