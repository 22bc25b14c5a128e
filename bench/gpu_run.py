"""Runs commands for bench/gpu.py: none beyond the time that is left, each with all of its output in one log file."""
import contextlib, json, os, pathlib, signal, subprocess, tempfile, time

# Of one command's output, and of all, so that the log can be carried anywhere.
FIRST, LAST, LOG = 60_000, 140_000, 12_000_000
OVER = "no time was left"


def objects(output):
    """The JSON objects among the lines of an output."""
    found = []
    for line in output.splitlines():
        with contextlib.suppress(ValueError):
            one = json.loads(line)
            found += [one] if isinstance(one, dict) else []
    return found


def failure(code, output):
    """What went wrong, in a few words; nothing where all went well. A panic counts even where the program went on."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    panics = [at for at, line in enumerate(lines) if "panicked at" in line]
    if panics:
        words = " ".join(lines[panics[0]:panics[0] + 2])
    elif code != 0:
        words = lines[-1] if lines else "no output"
        words = f"exit code {code}: {words}" if code is not None else words
    else:
        return None
    return words[:160].replace("|", "/")


def ends(file):
    """What is in a file, of a large one the beginning and the end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size <= FIRST + LAST:
        return file.read().decode(errors="replace")
    first = file.read(FIRST)
    file.seek(size - LAST)
    return f"{first.decode(errors='replace')}\n... {size - FIRST - LAST} bytes left out ...\n{file.read().decode(errors='replace')}"


def changed(folder):
    """When something was last written below a folder, in seconds since then; None for an empty one."""
    times = []
    for path in pathlib.Path(folder).rglob("*"):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return time.time() - max(times) if times else None


class Runner:
    def __init__(self, minutes, log):
        self.until, self.began, self.log = time.monotonic() + minutes * 60, time.monotonic(), log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def left(self):
        return self.until - time.monotonic()

    def say(self, text):
        """To the log and to whoever waits."""
        print(f"[{time.monotonic() - self.began:.0f} s] {text}", flush=True)
        self.keep(text)

    def keep(self, text):
        text = f"[{time.monotonic() - self.began:.0f} s] {text}\n"
        if self.log.stat().st_size + len(text) > LOG:
            text = text[:200] + "... (the log is full)\n"
        with self.log.open("a", errors="replace") as log:
            log.write(text)

    def start(self, command, output, environment={}, **pipes):
        """In a session of its own, so that what it starts ends with it; see `stop`."""
        command = [str(word) for word in command]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT} | pipes
        return subprocess.Popen(command, env=os.environ | environment, text=True, start_new_session=True, **pipes)

    @staticmethod
    def stop(worker):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        # One that the driver holds may never end.
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(20)

    @staticmethod
    def unlock(environment={}):
        """Who was killed may have left locks where kernels are kept, for which others would wait half a minute. To be called
        when nobody else compiles there."""
        cache = (os.environ | environment).get("LC_GPU_CACHE")
        for lock in pathlib.Path(cache).rglob("*.lock") if cache else []:
            lock.unlink(missing_ok=True)

    def call(self, command, limit, environment={}, quiet=None):
        """Exit code (None where time ran out) and output, also what came before time ran out. `quiet` is a folder and for how
        many seconds nothing may be written there: then the command hangs."""
        return self.together([command], limit, environment, quiet)[0]

    def together(self, commands, limit, environment={}, quiet=None):
        """The same of commands that run side by side."""
        with self.running(commands, environment) as wait:
            return wait(limit, quiet)

    @contextlib.contextmanager
    def running(self, commands, environment={}):
        """Commands that run while something else is done: gives a function that waits for them, and for no longer than it is
        told, and gives what `together` gives."""
        with contextlib.ExitStack() as stack:
            workers, codes = [], []
            if self.left() < 5:
                yield lambda limit, quiet=None: [(None, OVER)] * len(commands)
                return
            for command in commands:
                output = stack.enter_context(tempfile.TemporaryFile("w+b"))
                try:
                    worker = self.start(command, output, environment)
                except OSError as error:
                    output.write(str(error).encode())
                    worker = None
                workers.append((command, output, worker))
            started = time.monotonic()

            def wait(limit, quiet=None):
                limit = max(0.1, min(limit, self.left()))
                until = time.monotonic() + limit
                codes.extend(self.wait(worker, until, started, quiet) if worker else 1 for _, _, worker in workers)
                took = time.monotonic() - started
                return [self.finish(command, output, code, took) for (command, output, _), code in zip(workers, codes)]

            try:
                yield wait
            finally:
                # None is left on the card, whatever happens here.
                for worker in (worker for _, _, worker in workers if worker):
                    self.stop(worker)
                if len(codes) < len(workers) or any(codes) or None in codes:
                    self.unlock(environment)

    @staticmethod
    def wait(worker, until, started, quiet):
        """Exit code, None where time ran out or nothing was written for too long."""
        while (left := until - time.monotonic()) > 0 or worker.poll() is not None:
            try:
                return worker.wait(max(0.1, min(left, 1 if quiet else left)))
            except subprocess.TimeoutExpired:
                if quiet:
                    since = time.monotonic() - started
                    ago = changed(quiet[0])
                    if min(since, since if ago is None else ago) > quiet[1]:
                        return None
        return None

    def finish(self, command, output, code, took):
        text = ends(output)
        if code is None:
            text += f"\nstopped after {took:.0f} s"
        self.keep(f"$ {' '.join(map(str, command))}\n{text}\nexit code {code}\n")
        return code, text
