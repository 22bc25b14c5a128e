"""Runs commands for bench/gpu.py: none beyond the time that is left, each with all of its output in one log file."""
import contextlib, json, os, signal, subprocess, tempfile, time

# Of one command's output, so that the log can be carried anywhere.
FIRST, LAST = 100_000, 300_000
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


class Runner:
    def __init__(self, minutes, log):
        self.until, self.began, self.log = time.monotonic() + minutes * 60, time.monotonic(), log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def left(self):
        return self.until - time.monotonic()

    def say(self, text):
        """To the log and to whoever waits."""
        print(text, flush=True)
        self.keep(text)

    def keep(self, text):
        with self.log.open("a", errors="replace") as log:
            log.write(f"[{time.monotonic() - self.began:.0f} s] {text}\n")

    def start(self, command, output, environment={}, **pipes):
        """In a session of its own, so that what it starts ends with it; see `stop`."""
        command = [str(word) for word in command]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT} | pipes
        return subprocess.Popen(command, env=os.environ | environment, text=True, start_new_session=True, **pipes)

    @staticmethod
    def stop(worker):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def call(self, command, limit, **environment):
        """Exit code (None where time ran out) and output, also what came before time ran out."""
        return self.together([command], limit, environment)[0]

    def together(self, commands, limit, environment={}):
        """The same of commands that run side by side."""
        limit = min(limit, self.left())
        if limit < 5:
            return [(None, OVER)] * len(commands)
        until = time.monotonic() + limit
        with contextlib.ExitStack() as stack:
            running = []
            for command in commands:
                output = stack.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
                try:
                    running.append((command, output, self.start(command, output, environment)))
                    # None is left on the card, whatever happens here.
                    stack.callback(self.stop, running[-1][2])
                except OSError as error:
                    output.write(str(error))
                    running.append((command, output, None))
            return [self.finish(*one, until, limit) for one in running]

    def finish(self, command, output, worker, until, limit):
        code = 1
        if worker:
            try:
                code = worker.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                code = None
        output.seek(0)
        text = output.read()
        if code is None:
            text += f"\nstopped after {limit:.0f} s"
        kept = text if len(text) <= FIRST + LAST else f"{text[:FIRST]}\n...\n{text[-LAST:]}"
        self.keep(f"$ {' '.join(map(str, command))}\n{kept}\nexit code {code}\n")
        return code, text
