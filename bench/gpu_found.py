"""What bench/gpu.py found, kept as JSON, so that several calls make one table.

A key says what was asked for; what belongs to it are the objects that came back, or the words why none did. A key that begins
with "stopped" says why something was not found to its end.
"""
import contextlib, hashlib, json


def identity(row):
    return frozenset((name, value) for name, value in row.items() if isinstance(value, (str, bool)))


class Found(dict):
    def __init__(self, path, call):
        """`call` tells about this call: date, device, card, programs."""
        super().__init__()
        self.path, self.calls, self.origin = path, [call], {}

    def read(self, file):
        """Takes what earlier calls found. Whether results are right is asked of other programs and another card anew."""
        kept = json.loads(file.read_text())
        now = self.calls[-1]
        self.calls = [*kept["calls"], now]
        for key, outcome, call in kept["found"]:
            key = tuple(key)
            # What is not among these is found out by every call.
            others = any(kept["calls"][call][name] != now[name] for name in ("programs", "card"))
            if key[0] == "check" and others or key[0] in ("machine", "products"):
                continue
            self[key], self.origin[key] = outcome, call

    def write(self):
        kept = {"calls": self.calls, "found": [[list(key), outcome, self.origin[key]] for key, outcome in self.items()]}
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(kept, indent=1))
        partial.replace(self.path)

    def put(self, key, outcome, stopped=None):
        """Keeps what was found; of what was found before, what is not there now."""
        before = self.get(key)
        if isinstance(before, list):
            if isinstance(outcome, str):
                self.pop(("stopped", *key), None)
                return self.note(("stopped", *key), f"another time: {outcome}")
            new = {identity(row) for row in outcome}
            outcome = [row for row in before if identity(row) not in new] + outcome
        self.note(key, outcome)
        self.pop(("stopped", *key), None)
        if stopped:
            self.note(("stopped", *key), stopped)

    def note(self, key, outcome):
        self[key], self.origin[key] = outcome, len(self.calls) - 1

    def is_whole(self, key):
        """Whether nothing is left to find."""
        outcome = self.get(key)
        good = isinstance(outcome, list) or key[0] == "check" and str(outcome).startswith("ok")
        return good and ("stopped", *key) not in self

    def earlier(self):
        """For each earlier call of which something is left: what tells about it, and what is from it."""
        for at, call in enumerate(self.calls[:-1]):
            keys = [" ".join(map(str, key))
                    for key, origin in self.origin.items() if origin == at and key in self and key[0] != "stopped"]
            if keys:
                yield call, keys


def name_of(program):
    """Tells a program from another one."""
    with contextlib.suppress(OSError), program.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    return "none"
