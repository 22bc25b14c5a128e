"""What bench/gpu.py found, as Markdown. Whatever is missing is said to be."""
import math

from gpu_commands import AHEAD
from gpu_floors import SEEDS, STAGES, Shape, study

CHECKS = {
    "products": "products of matrices, by every kernel that may be chosen",
    "unit-tests": "each kernel against the processor",
    "gptneo-tests": "logits, losses and gradients of `transformers` (f32; bf16 within its rounding)",
    "trainer-tests": "fifteen steps of the `Trainer` at four settings",
    "collection-tests": "statistics of the published tool",
}
# Workers that share a card.
COUNTS = (1, 4, 10)
MISSING = "not measured"


def figure(value, digits=0):
    return MISSING if value is None else f"{value:,.{digits}f}"


def ratio(a, b, digits=2):
    return figure(a / b, digits) if a and b else ""


class Table:
    """`found` maps what was asked for to the objects that came back, or to the reason why none did."""

    def __init__(self, found, card, shapes, training, more):
        """`training` is in which numbers its products are; `more` what else shapes have in common."""
        self.found, self.card, self.shapes, self.training, self.more = found, card, shapes, training, more

    def rows(self, *key):
        found = self.found.get(key)
        return found if isinstance(found, list) else []

    def why(self, *key):
        found = self.found.get(key, MISSING)
        return found if isinstance(found, str) else ""

    def first(self, key, what, name):
        """A number of a kind of row."""
        return next((row.get(name) for row in self.rows(*key) if row["what"] == what), None)

    def rate(self, shape, stage, dtype):
        """Tokens per second of ours, measured."""
        if stage == "train":
            return self.first(("train", shape, dtype), stage, "train_tokens_per_s")
        return self.first(("collect", shape, dtype), stage, "tokens_per_s")

    def torch_rows(self, shape, job, dtype="bf16"):
        return [row for row in self.rows("torch", shape) if row["what"] == f"torch {job}" and row["dtype"] == dtype]

    def torch_best(self, shape, job, dtype="bf16"):
        """PyTorch's best, measured, and a word where it was not compiled as well."""
        rows = self.torch_rows(shape, job, dtype)
        best = max(rows, key=lambda row: row[f"{job}_tokens_per_s"], default=None)
        if not best:
            return None, ""
        word = "compiled" if best["compile"] else "eager"
        return best[f"{job}_tokens_per_s"], word if any(row["compile"] for row in rows) else "eager only"

    def torch_sums(self, shape, stage):
        """PyTorch's published way to take statistics of embeddings, tokens per second."""
        width = int(shape.split("x")[0])
        return next((row["tokens_per_s"] for row in self.rows("torch sums") if row["what"] == stage and row["d"] == width), None)

    def torch(self, shape, stage):
        """PyTorch's best: training in bf16; forward in f32 with the published way to take statistics."""
        if stage == "train":
            return self.torch_best(shape, "train")[0]
        body, taken = self.torch_best(shape, "body", "f32")[0], self.torch_sums(shape, stage)
        return 1 / (1 / body + 1 / taken) if body and taken else None

    def together(self, way, count):
        """Tokens per second of workers that share the card."""
        return sum(row["train_tokens_per_s"] for row in self.rows("packed", way, count)) or None

    def stages(self):
        yield "\n## Stages\n"
        yield "Shapes are width x layers x length x batch. Floor: the most that the card's products or its memory allow."
        yield (f"Both sides take {AHEAD} steps between two waits for the device; medians of several such. PyTorch trains in bf16, the better "
               "of eager and compiled, and collects in f32, eager, with one-hot products in f64 as the published code does.\n")
        yield "| shape | stage | products | MFLOP/token | bytes/token | floor, tokens/s | measured, tokens/s | of the floor | PyTorch | ratio |"
        yield "|---|---|---|---:|---:|---:|---:|---:|---:|---:|"
        for text in self.shapes:
            shape = Shape.of(text, **self.more)
            for stage in STAGES:
                for dtype in [self.training] if stage == "train" else ["f32", "tf32"]:
                    operations, moved = shape.floor(stage)
                    most, ours = shape.tokens_per_s(stage, dtype, self.card), self.rate(text, stage, dtype)
                    theirs = self.torch(text, stage)
                    word = f" ({self.torch_best(text, 'train')[1]})" if stage == "train" and theirs else ""
                    yield (f"| {text} | {stage} | {dtype} | {operations / 1e6:,.1f} | {moved:,.0f} | {most:,.0f} | {figure(ours)} "
                           f"| {ratio(ours and ours * 100, most, 1)}{'%' if ours else ''} | {figure(theirs)}{word} | {ratio(ours, theirs)} |")
        yield "\n`analyze` computes on the processor: [cpu.md](cpu.md)."
        asked = [("train", shape, self.training) for shape in self.shapes]
        asked += [("collect", shape, dtype) for shape in self.shapes for dtype in ("f32", "tf32")]
        asked += [("torch", shape) for shape in self.shapes] + [("torch sums",)]
        yield from (f"\n* {' '.join(key)}: {self.found[key]}" for key in asked if isinstance(self.found.get(key), str))
        # What was measured before time ran out is in the table.
        yield from (f"\n* {' '.join(map(str, key[1:]))}: {why}" for key, why in self.found.items() if key[0] == "stopped")

    def waits(self):
        yield "\n## What waiting costs, and memory\n"
        yield "Training, tokens per second: with a wait for the device after each step, and without."
        yield "Memory, GiB: what the library holds for tensors, in use or not; PyTorch's peak of what is in use, and of what it holds.\n"
        yield "| shape | side | waited for | not | memory |\n|---|---|---:|---:|---:|"
        for shape in self.shapes:
            key = ("train", shape, self.training)
            yield (f"| {shape} | lc-worker | {figure(self.first(key, 'step', 'step_tokens_per_s'))} "
                   f"| {figure(self.rate(shape, 'train', self.training))} | {figure(self.first(key, 'train', 'reserved_gib'), 2)} |")
            for word, compiled in (("eager", False), ("compiled", True)):
                of = {job: next((row for row in self.torch_rows(shape, job) if row["compile"] == compiled), {}) for job in ("train", "step")}
                memory = [figure(of["train"].get(name), 2) for name in ("peak_memory_gb", "peak_reserved_gb")]
                yield (f"| {shape} | PyTorch, {word} | {figure(of['step'].get('step_tokens_per_s'))} "
                       f"| {figure(of['train'].get('train_tokens_per_s'))} | {'; '.join(memory) if of['train'] else MISSING} |")

    def checks(self):
        yield "\n## Are the results right?\n"
        yield "| what | outcome |\n|---|---|"
        yield from (f"| {what} | {self.found.get(('check', program), MISSING)} |" for program, what in CHECKS.items())

    def kernels(self):
        yield "\n## Kernels by themselves\n"
        yield "| kernel | shape | time, us | GB/s | of the card | TFLOP/s | of the card |\n|---|---|---:|---:|---:|---:|---:|"
        for shape in self.shapes:
            for row in self.rows("kernels", shape):
                of = lambda value, most: f"{value:,.1f} | {value / most * 100:.0f}%" if value else " | "
                yield (f"| {row['kernel']} | {shape} | {row['seconds'] * 1e6:,.0f} | {of(row['gb_per_s'], self.card.memory)} "
                       f"| {of(row['tflops'], self.card.bf16)} |")
            if self.why("kernels", shape):
                yield f"| all | {shape} | {self.why('kernels', shape)} | | | | |"

    def packed(self):
        yield "\n## Several workers on one card\n"
        yield f"Training of {self.shapes[0]}, all at the same time; tokens per second of all together.\n"
        yield "| workers | side by side | with MPS |\n|---:|---:|---:|"
        for count in COUNTS:
            cell = lambda way: figure(self.together(way, count)) if self.rows("packed", way, count) else self.why("packed", way, count)
            yield f"| {count} | {cell('alone')} | {cell('mps')} |"

    def endurance(self):
        yield f"\n## Many steps of {self.shapes[0]}\n"
        if self.why("endurance"):
            yield self.why("endurance")
            return
        yield "| step | loss | memory, MiB |\n|---:|---:|---:|"
        for row in self.rows("endurance"):
            yield f"| {row['step']} | {row['loss']:.4f} | {figure(row['memory_mib'])} |"

    def hours(self, shape, tokens, rate, dtypes):
        """Of an architecture: measured shares of the floor, between two measured widths in proportion to their logarithms."""
        total = 0
        for stage, count in tokens.items():
            known = []
            for text in self.shapes:
                one, dtype = Shape.of(text, **self.more), dtypes[stage]
                measured = rate(text, stage)
                if measured:
                    known.append((math.log(one.width), measured / one.tokens_per_s(stage, dtype, self.card)))
            if not known:
                return None
            known.sort()
            at = math.log(shape.width)
            after = next((index for index, (width, _) in enumerate(known) if width >= at), len(known) - 1)
            (a, low), (b, high) = known[max(after - 1, 0)], known[after]
            share = high if a == b or at >= b else low + (high - low) * (at - a) / (b - a)
            total += count / (share * shape.tokens_per_s(stage, dtypes[stage], self.card)) / 3600
        return total

    def published(self):
        dtypes = {stage: self.training if stage == "train" else "f32" for stage in STAGES}
        ours = lambda shape, stage: self.rate(shape, stage, dtypes[stage])
        yield "\n## The published study on this card\n"
        yield f"Hours for training and collecting the 230 rows: five trainings of each architecture, {SEEDS} more seeds of 768x2; one worker."
        yield "From the rates above; of shapes that were not measured, from their floors and the shares of it that were reached.\n"
        yield "| layers x width | 10^9 tokens trained | 10^9 tokens collected | hours | PyTorch, hours |\n|---|---:|---:|---:|---:|"
        totals = [0, 0, 0, 0]
        for shape, tokens in study():
            collected = sum(count for stage, count in tokens.items() if stage != "train")
            row = [tokens["train"] / 1e9, collected / 1e9, self.hours(shape, tokens, ours, dtypes),
                   self.hours(shape, tokens, self.torch, dtypes)]
            totals = [None if a is None or b is None else a + b for a, b in zip(totals, row)]
            yield f"| {shape.depth:02}x{shape.width:04} | {' | '.join(figure(x, 1) for x in row)} |"
        yield f"| all | {' | '.join(figure(x, 1) for x in totals)} |"

    def text(self):
        sections = [self.stages, self.waits, self.checks, self.kernels, self.packed, self.endurance, self.published]
        return "\n".join(line for section in sections for line in section())
