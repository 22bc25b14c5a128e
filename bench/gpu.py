#!/usr/bin/env python3
"""The worker on a GPU: are its results right, how fast is it, and against PyTorch on the same card; writes bench/gpu.md.

One call does it all, within `--minutes`, what matters most first. The table is written anew after every measurement: a time
limit loses nothing, and what no time was left for, what failed and what the machine lacks is said in it. All output of all commands is
in a log beside it, and what was found in a JSON file: named as --found, that makes a second call measure what is missing and
write one table of both. Takes the archive, or the folder, that `make gpu-programs` makes, so that it can run on a machine without
Rust: copy the repository and the archive there, and call

    python3 bench/gpu.py gpu-programs.tar.xz --out FOLDER/gpu.md
    python3 bench/gpu.py gpu-programs.tar.xz --out OTHER/gpu.md --found FOLDER/gpu.json [--only torch,mps]

Kernels are compiled before anything is measured. PyTorch and transformers are raced against where they are installed. Without
programs, only what can be computed is written.
"""
import argparse, dataclasses, datetime, os, pathlib, signal, subprocess, sys, tarfile, tempfile, threading, time, traceback

from gpu_ahead import PRODUCTS, Ahead
from gpu_commands import Commands
from gpu_floors import HEADS, SHAPES, VOCABULARY, WINDOW, Card
from gpu_found import Found, name_of
from gpu_machine import find_cuda, mps
from gpu_run import OVER, Runner, ends, failure, objects
from gpu_table import CHECKS, COUNTS, Table
from gpu_targets import targets

HERE = pathlib.Path(__file__).resolve().parent
# About so many seconds it takes to find out whether products are right, and to compile the rest.
BEFORE = 200
PARTS = ["train", "torch", "packed", "collect", "sums", "measures", "kernels", "mps", "endurance", "tf32", "checks"]

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("programs", type=pathlib.Path, nargs="?", help="archive or folder made by make gpu-programs")
p.add_argument("--device", default="cuda", help="cuda, cuda:N or vulkan")
p.add_argument("--python", default=sys.executable, help="an interpreter with PyTorch and transformers")
p.add_argument("--minutes", type=float, default=9.0)
p.add_argument("--only", default=",".join(PARTS), metavar="PARTS", help="of " + ",".join(PARTS))
p.add_argument("--found", type=pathlib.Path, help="JSON file of an earlier call: what is in it is not measured again")
p.add_argument("--again", action="store_true", help="measure it again")
p.add_argument("--cache", type=pathlib.Path, help="keep what is compiled in this folder, for another call on this machine")
p.add_argument("--bf16", type=float, default=790.0, help="TFLOP/s of the card's products (default: by an H200's data sheet, less a fifth)")
p.add_argument("--tf32", type=float, default=395.0, help="the same for TF32")
p.add_argument("--f32", type=float, default=60.0, help="the same in f32, without tensor cores (less a tenth)")
p.add_argument("--gb-per-s", type=float, default=4300.0, help="memory bandwidth of the card (less a tenth)")
p.add_argument("--shapes", nargs="+", default=SHAPES, help="WIDTHxLAYERSxLENGTHxBATCH")
p.add_argument("--quick", action="store_true", help="a tiny model, once each: does this program work, on whatever device?")
p.add_argument("--out", type=pathlib.Path, default=HERE / "gpu.md", help="the table; log and JSON lie beside it")
args = p.parse_args()
NOT_YET = "**No card has run this yet.**"
only = [part.strip() for part in args.only.split(",")]
if unknown := [part for part in only if part not in PARTS]:
    p.error(f"--only: no such part: {', '.join(unknown)}")
if not args.programs and args.out.exists() and NOT_YET not in args.out.read_text():
    p.error(f"{args.out} was measured on a card; name the programs to measure again, or another --out")
for file in (args.programs, args.found):
    if file and not file.exists():
        p.error(f"{file}: no such file or folder")
more = {"vocabulary": 300, "window": 8} if args.quick else {"vocabulary": VOCABULARY, "window": WINDOW}
heads, repeat, seconds, steps = (2, 1, 1, 4) if args.quick else (HEADS, 10, 4, 500)
of_measures = ["--classes", 300, "--width", 16] if args.quick else []
shapes = ["16x1x32x2", "32x2x32x2"] if args.quick else args.shapes
cuda = args.device.startswith("cuda")
training = "bf16" if cuda else "f32"
started = time.monotonic()


def machine():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, text=True, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return "no NVIDIA card"


def shown():
    """The shapes of the table: those of earlier calls, too."""
    known = {word for key in found for word in key if isinstance(word, str) and word.count("x") == 3}
    return [shape for shape in dict.fromkeys([*SHAPES, *shapes, *sorted(known)]) if shape in shapes or shape in known]


def write():
    now = found.calls[-1]
    now |= {"minutes": round((time.monotonic() - started) / 60, 1), "products": os.environ.get(PRODUCTS, "all")}
    head = ["# The worker on a GPU\n"]
    if args.programs:
        head.append(f"Written by `bench/gpu.py` on {now['date']}, in {now['minutes']} minutes: device {args.device} ({now['card']}).")
    else:
        head.append(f"{NOT_YET} Written by `bench/gpu.py` without programs: floors alone.")
    if args.quick:
        head.append("A tiny model, only to see that everything runs: no figure here tells anything about a card.")
    for call, keys in found.earlier():
        same = "the same" if call["programs"] == now["programs"] else "**other**"
        about = f"{call['card']}; {call['minutes']} minutes; {same} programs; {PRODUCTS}: {call['products']}"
        head.append(f"\nFrom a call on {call['date']} ({about}): {'; '.join(keys)}.\n")
    head += [found[key] for key in (("machine",), ("products",)) if key in found]
    head.append(f"Assumed for the floors: {args.bf16:g} TFLOP/s in bf16, {args.tf32:g} in TF32, {args.f32:g} in f32, {args.gb_per_s:g} GB/s.")
    table = Table(found, Card(args.bf16, args.tf32, args.f32, args.gb_per_s), shown(), training, more)
    text = "\n".join([*head, *targets(table), table.text()]) + "\n"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(args.out)
    if args.programs:
        found.write()


def note(key, outcome, stopped=None):
    """Keeps what was found, or why nothing was, and writes the table."""
    found.put(key, outcome, stopped)
    run.say(" ".join([*map(str, key), outcome if isinstance(outcome, str) else f"{len(outcome)} rows", stopped or ""]))
    write()


def measure(key, command, limit):
    """Whether it went well. What came before time ran out counts, what a program says that panicked does not."""
    code, output = run.call(command, limit)
    rows, why = objects(output), failure(code, output)
    counts = rows and why and "panicked at" not in why and (code is None or key[0].startswith("torch"))
    note(key, rows if counts else why or rows or "no rows", why if counts else None)
    return not why


def train(shape):
    key, command = ("train", shape, training), commands.bench("train", shape, training)
    if measure(key, command, 90) or shape != shapes[0] or not cuda or PRODUCTS in os.environ or run.left() < 60:
        return
    os.environ[PRODUCTS] = "Cyclic"
    if measure(key, command, 90):
        found.note(("products",), f"The first training failed, but not with {PRODUCTS}=Cyclic: with this was measured all else, too.")
    else:
        del os.environ[PRODUCTS]


def side_by_side(way, count, environment={}):
    """Rates of `count` processes that train at the same time: each says when it is ready, then all are told to start."""
    command, workers, said = commands.bench("packed", shown()[0], training, "--seconds", seconds), [], []
    stop = threading.Timer(min(60, run.left()), lambda: [run.stop(worker) for worker in workers])
    try:
        for _ in range(count):
            said.append(tempfile.TemporaryFile("w+b"))
            workers.append(run.start(command, subprocess.PIPE, environment, stdin=subprocess.PIPE, stderr=said[-1]))
        stop.start()
        for worker in workers:
            worker.stdout.readline()
        for worker in workers:
            try:
                worker.stdin.write("\n")
                worker.stdin.flush()
            except BrokenPipeError:
                pass
        rows = [row for worker in workers for row in objects(worker.stdout.read())]
        failed = max(count - len(rows), sum(worker.wait() != 0 for worker in workers))
        words = [ends(file) for file in said]
        why = next((failure(1, text) for text in words if text.strip()), "")
        note(("packed", way, count), f"{failed} of {count} failed: {why}" if failed else rows)
    finally:
        stop.cancel()
        for worker, file in zip(workers, said):
            run.stop(worker)
            run.keep(f"{way}, one of {count}: exit code {worker.returncode}\n{ends(file)[-10_000:]}")
            file.close()
        if any(worker.returncode for worker in workers):
            run.unlock()


def with_mps():
    """Late, for it changes how the card is used by all."""
    why = None if cuda else "this device has no MPS"
    with mps(run) as (environment, problem):
        for count in reversed(COUNTS):
            if why or problem:
                note(("packed", "mps", count), why or problem)
            elif wanted([("packed", "mps", count)]) and run.left() > 15:
                side_by_side("mps", count, environment)


@dataclasses.dataclass
class Step:
    part: str
    keys: list
    # About so long it takes, for a plan.
    seconds: float
    work: object
    # What it needs compiled, of ours and of PyTorch's.
    ours: list = dataclasses.field(default_factory=list)
    theirs: list = dataclasses.field(default_factory=list)


def everything():
    """What matters most comes first."""
    def measured(part, key, seconds, command, limit, **ahead):
        return Step(part, [key], seconds, lambda: measure(key, command, limit), **ahead)

    def ahead(job, shape, dtype):
        return [commands.bench(job, shape, dtype, repeat=1, ahead=1)]

    first = shown()[0]
    for shape in shapes:
        depth = int(shape.split("x")[1])
        yield Step("train", [("train", shape, training)], 20 + depth, lambda shape=shape: train(shape), ahead("train", shape, training))
        yield measured("torch", ("torch", shape), 35 + 3 * depth, commands.torch_races(shape), 70 + 5 * depth,
                       theirs=[commands.torch_ahead(shape)])
    for count in reversed(COUNTS):
        yield Step("packed", [("packed", "alone", count)], 13, lambda count=count: side_by_side("alone", count),
                   ahead("train", first, training))
    for shape in shapes:
        yield measured("collect", ("collect", shape, "f32"), 12 + depth, commands.bench("collect", shape, "f32", repeat=3), 60,
                       ours=ahead("collect", shape, "f32"))
    yield measured("sums", ("torch sums",), 15, commands.torch_sums(shapes), 40)
    yield measured("measures", ("measures",), 20, commands.bench("measures", first, "f32", *of_measures, repeat=3), 60)
    for shape in shapes:
        yield measured("kernels", ("kernels", shape), 14, commands.bench("kernels", shape, training), 50,
                       ours=ahead("train", shape, training))
    yield Step("mps", [("packed", "mps", count) for count in COUNTS], 40, with_mps, ahead("train", first, training))
    yield measured("endurance", ("endurance",), 15, commands.bench("endurance", first, training, "--steps", steps), 50,
                   ours=ahead("train", first, training))
    for shape in shapes:
        yield measured("tf32", ("collect", shape, "tf32"), 15, commands.bench("collect", shape, "tf32", repeat=3), 50)
    for program in CHECKS:
        if program != "products":
            yield Step("checks", [("check", program)], 30, lambda program=program: note(("check", program), ahead_of_all.check(program, 60)))


def wanted(keys):
    return args.again or not all(found.is_whole(key) for key in keys)


def plan(every):
    """What is to be done, and about when."""
    at = time.monotonic() - started + BEFORE
    run.say(f"plan, of {args.minutes * 60:.0f} s: products and kernels until about {at:.0f} s")
    for part in dict.fromkeys(step.part for step in every):
        if part == "checks":
            run.say("plan: checks, of what did not pass while kernels were compiled")
            continue
        took = sum(step.seconds for step in every if step.part == part)
        at += took
        run.say(f"plan: {part}, about {took:.0f} s, done at about {at:.0f} s")


def attempt(key, step, seconds=20):
    """A step that fails costs its own result, and no other; one that can't be done in time is not begun."""
    try:
        if run.left() < max(10, seconds / 2):
            found.setdefault(key, OVER)
            found.origin.setdefault(key, len(found.calls) - 1)
        else:
            began = time.monotonic()
            step()
            run.say(f"{' '.join(map(str, key))}: {time.monotonic() - began:.0f} s, about {seconds:.0f} s were planned")
    except Exception as error:
        run.keep(traceback.format_exc())
        note(key, f"{type(error).__name__}: {error}"[:160].replace("|", "/"))


def main(folder):
    """All that is to be found out, with programs in `programs` and a folder for what is not kept."""
    if cuda:
        attempt(("machine",), lambda: find_cuda(run, folder))
    code, output = run.call(commands.bench("probe", shapes[0], "f32"), 90)
    if failure(code, output):
        found.note(("machine",), f"Nothing was measured, for no kernel could be run: {failure(code, output)}")
        write()
        sys.exit(1)
    every = [step for step in everything() if step.part in only and wanted(step.keys)]
    plan(every)
    once = lambda jobs: list({str(job): job for job in jobs}.values())
    ours, theirs = once(job for step in every for job in step.ours), once(job for step in every for job in step.theirs)
    checks = [step.keys[0][1] for step in every if step.part == "checks"]
    attempt(("ahead",), lambda: ahead_of_all.compile(ours, theirs, checks), BEFORE)
    write()
    for step in every:
        # What passed while kernels were compiled is not asked again.
        if step.part != "checks" or not found.is_whole(step.keys[0]) or found.origin[step.keys[0]] < len(found.calls) - 1:
            attempt(step.keys[0], step.work, step.seconds)
    write()


if not args.programs:
    found = Found(None, {"date": "", "minutes": 0, "programs": "none", "card": "none", "device": args.device})
    write()
else:
    # Also then, nothing is left on the card.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Runner(args.minutes, args.out.with_suffix(".log"))
    os.environ["CARGO_MANIFEST_DIR"] = str(HERE.parent / "worker")
    with tempfile.TemporaryDirectory() as temporary:
        programs = args.programs.resolve()
        if args.programs.is_file():
            programs = pathlib.Path(temporary) / "programs"
            with tarfile.open(args.programs) as archive:
                archive.extractall(programs, filter="data")
        for program in programs.iterdir():
            program.chmod(0o755)
        call = {"date": str(datetime.date.today()), "minutes": 0, "device": args.device, "card": machine(),
                "programs": name_of(programs / "gpu-bench")}
        found = Found(args.out.with_suffix(".json"), call)
        if args.found:
            found.read(args.found)
        commands = Commands(programs, args.device, args.python, heads, more["vocabulary"], more["window"], repeat)
        cache = (args.cache or pathlib.Path(temporary) / "cache").resolve()
        cache.mkdir(parents=True, exist_ok=True)
        ahead_of_all = Ahead(run, found, commands, cache, call["programs"])
        write()
        main(pathlib.Path(temporary))
