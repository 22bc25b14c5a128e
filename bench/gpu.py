#!/usr/bin/env python3
"""The worker on a GPU: are its results right, how fast is it, and against PyTorch on the same card; writes bench/gpu.md.

One call does it all, within `--minutes`. The table is written anew after every measurement: a time limit loses nothing, and
what no time was left for, what failed and what the machine lacks is said in it. Takes a folder with the programs that
`make gpu-programs` gathers, so that it can run on a machine without Rust: copy the repository and that folder there, and call

    python3 bench/gpu.py FOLDER

Kernels are compiled before anything is measured, unless LC_GPU_CACHE names a folder of compiled ones. PyTorch and
transformers are raced against where they are installed. Without a folder, only what can be computed is written.
"""
import argparse, datetime, json, os, pathlib, shutil, subprocess, sys, tempfile, threading, time

from gpu_floors import HEADS, SHAPES, VOCABULARY, WINDOW, Card
from gpu_table import CHECKS, Table

HERE = pathlib.Path(__file__).resolve().parent

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("programs", type=pathlib.Path, nargs="?", help="folder made by make gpu-programs")
p.add_argument("--device", default="cuda", help="cuda, cuda:N or vulkan")
p.add_argument("--python", default=sys.executable, help="an interpreter with PyTorch and transformers")
p.add_argument("--minutes", type=float, default=9.0)
p.add_argument("--bf16", type=float, default=790.0, help="TFLOP/s of the card's products (default: by an H200's data sheet, less a fifth)")
p.add_argument("--tf32", type=float, default=395.0, help="the same for TF32")
p.add_argument("--f32", type=float, default=60.0, help="the same in f32, without units for matrices (less a tenth)")
p.add_argument("--gb-per-s", type=float, default=4300.0, help="memory bandwidth of the card (less a tenth)")
p.add_argument("--shapes", nargs="+", default=SHAPES, help="WIDTHxLAYERSxLENGTHxBATCH")
p.add_argument("--quick", action="store_true", help="a tiny model, once each: does this program work, on whatever device?")
p.add_argument("--out", type=pathlib.Path, default=HERE / "gpu.md")
args = p.parse_args()
NOT_YET = "**No card has run this yet.**"
if not args.programs and args.out.exists() and NOT_YET not in args.out.read_text():
    p.error(f"{args.out} was measured on a card; name the folder of programs to measure again, or another --out")
more = {"vocabulary": 300, "window": 8} if args.quick else {"vocabulary": VOCABULARY, "window": WINDOW}
heads, repeat, seconds, steps = (2, 1, 1, 4) if args.quick else (HEADS, 10, 5, 2000)
shapes = ["16x1x32x2", "32x2x32x2"] if args.quick else args.shapes
cuda = args.device.startswith("cuda")
training = "bf16" if cuda else "f32"
started, found = time.monotonic(), {}


def left():
    return args.minutes * 60 - (time.monotonic() - started)


def machine():
    smi = shutil.which("nvidia-smi")
    if not smi:
        return "no NVIDIA card"
    query = [smi, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return subprocess.run(query, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.strip()


card_name = machine()


def write():
    took = (time.monotonic() - started) / 60
    head = ["# The worker on a GPU\n"]
    if args.programs:
        head.append(f"Written by `bench/gpu.py` on {datetime.date.today()}, in {took:.1f} minutes: device {args.device} ({card_name}).")
    else:
        head.append(f"{NOT_YET} Written by `bench/gpu.py` without programs: floors alone.")
    if args.quick:
        head.append("A tiny model, only to see that everything runs: no figure here tells anything about a card.")
    head.append(f"Taken for the card: {args.bf16:g} TFLOP/s in bf16, {args.tf32:g} in TF32, {args.f32:g} in f32, {args.gb_per_s:g} GB/s.")
    table = Table(found, Card(args.bf16, args.tf32, args.f32, args.gb_per_s), shapes, training, more)
    text = "\n".join([*head, table.text()]) + "\n"
    partial = args.out.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(args.out)


def call(command, limit, **environment):
    """Exit code (None where time ran out) and output, also what came before time ran out."""
    limit = min(limit, left())
    if limit < 5:
        return None, "no time was left"
    try:
        done = subprocess.run([str(word) for word in command], env=os.environ | environment, text=True, timeout=limit,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as over:
        before = over.stdout or b""
        before = before.decode(errors="replace") if isinstance(before, bytes) else before
        return None, f"{before}\nstopped after {limit:.0f} s"
    except OSError as error:
        return 1, str(error)


def objects(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def note(key, outcome):
    """Keeps what was found, or why nothing was, and writes the table."""
    found[key] = outcome
    print(*key, outcome if isinstance(outcome, str) else f"{len(outcome)} rows", flush=True)
    write()


def measure(key, command, limit):
    code, output = call(command, limit)
    rows = objects(output)
    if not rows:
        print(output, file=sys.stderr)
    last = output.strip().splitlines()[-1:] or [f"no output, exit code {code}"]
    note(key, rows or last[0].strip()[:160].replace("|", "/"))


def bench(job, shape, dtype, *words, repeat=repeat):
    return [args.programs / "gpu-bench", "--device", args.device, "--repeat", repeat, "--shape", shape, "--dtype", dtype,
            "--heads", heads, "--vocab", more["vocabulary"], "--window", more["window"], job, *words]


def torch(shape, dtype, *words):
    return [args.python, HERE / "torch_train.py", "--device", "cuda" if cuda else "cpu", "--heads", heads, "--shape", shape,
            "--vocab", more["vocabulary"], "--window", more["window"], "--steps", repeat, "--dtype", dtype, *words]


def torch_collect(shape):
    width = shape.split("x")[0]
    return [args.python, HERE / "torch_collect.py", "--device", "cuda" if cuda else "cpu", "--k", more["vocabulary"],
            "--d", width, "--grid-k", 8, "--repeat", repeat]


def checking(program):
    other = "on_vulkan" if cuda else "on_cuda"
    return [args.programs / program, *(["kernels::gpu", "--skip", other] if program == "unit-tests" else [])]


def check(program):
    code, output = call(checking(program), 150)
    results = [line for line in output.splitlines() if line.startswith("test result:")]
    failed = [line.split()[1] for line in output.splitlines() if line.startswith("test ") and line.endswith("FAILED")]
    outcome = ";".join(results[-1].removeprefix("test result: ").split(";")[:2]) if results else output.strip()[-160:]
    note(("check", program), " ".join([outcome.replace("\n", " ").replace("|", "/"), *failed]) or f"exit code {code}")


def side_by_side(way, count, **environment):
    """Rates of `count` processes that train at the same time: each says when it is ready, then all are told to start."""
    if left() < 30:
        note(("packed", way, count), "no time was left")
        return
    command = [str(word) for word in bench("packed", shapes[0], training, "--seconds", seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    workers = [subprocess.Popen(command, env=os.environ | environment, text=True, **pipes) for _ in range(count)]
    stop = threading.Timer(min(90, left()), lambda: [worker.kill() for worker in workers])
    stop.start()
    try:
        for worker in workers:
            worker.stdout.readline()
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
        rows = [row for worker in workers for row in objects(worker.stdout.read())]
        note(("packed", way, count), rows if len(rows) == count else f"{count - len(rows)} of {count} failed")
    except OSError as error:
        note(("packed", way, count), f"not all of {count} started: {error}")
    finally:
        stop.cancel()
        for worker in workers:
            worker.kill()
            worker.wait()


def packed():
    for count in (1, 2, 4, 8):
        side_by_side("alone", count)
    control = shutil.which("nvidia-cuda-mps-control")
    if not control or not cuda:
        for count in (1, 2, 4, 8):
            note(("packed", "mps", count), "this machine has no MPS")
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        subprocess.run([control, "-d"], env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for count in (1, 2, 4, 8):
                side_by_side("mps", count, **environment)
        finally:
            subprocess.run([control], input="quit\n", text=True, env=os.environ | environment, timeout=30,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def compile_ahead(folder):
    """Runs everything once, side by side, so that what is measured later finds its kernels compiled: the compiler takes a
    second for each of some seventy per shape. Which are the fastest is not learnt while others run; that is left out."""
    jobs = [bench(job, shape, dtype, repeat=1) for shape in shapes for job, dtype in (("train", training), ("collect", "f32"))]
    jobs = [job for job in [*jobs, *map(checking, CHECKS)] if job[0].exists()]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    began, until = time.monotonic(), time.monotonic() + min(150, left() / 3)
    workers = [subprocess.Popen([str(word) for word in job], **quiet) for job in jobs]
    failed = 0
    try:
        for worker in workers:
            try:
                failed += worker.wait(timeout=max(1, until - time.monotonic())) != 0
            except subprocess.TimeoutExpired:
                failed += 1
    finally:
        # None is left on the card, whatever happens here.
        for worker in workers:
            worker.kill()
            worker.wait()
    shutil.rmtree(pathlib.Path(folder) / "autotune", ignore_errors=True)
    print(f"compiled ahead in {time.monotonic() - began:.0f} s; {failed} of {len(jobs)} not to the end", flush=True)


def everything():
    """What matters most comes first."""
    for shape in shapes:
        measure(("train", shape, training), bench("train", shape, training), 120)
        measure(("torch", shape, "eager"), torch(shape, "bf16"), 40)
    for shape in shapes:
        measure(("collect", shape, "f32"), bench("collect", shape, "f32"), 60)
    for program in CHECKS:
        check(program)
    packed()
    for shape in shapes:
        measure(("kernels", shape), bench("kernels", shape, training), 40)
    for shape in shapes:
        measure(("torch", shape, "f32"), torch(shape, "f32"), 40)
        measure(("torch collect", shape), torch_collect(shape), 30)
    for shape in shapes:
        measure(("collect", shape, "tf32"), bench("collect", shape, "tf32"), 60)
        measure(("torch", shape, "compile"), torch(shape, "bf16", "--compile"), 60)
        measure(("torch", shape, "flash"), torch(shape, "bf16", "--attn", "flash_attention_2"), 40)
    measure(("endurance",), bench("endurance", shapes[0], training, "--steps", steps), 60)


write()
os.environ["CARGO_MANIFEST_DIR"] = str(HERE.parent / "worker")
if args.programs and "LC_GPU_CACHE" in os.environ:
    everything()
elif args.programs:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LC_GPU_CACHE"] = cache
        compile_ahead(cache)
        everything()
