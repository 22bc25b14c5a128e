"""What bench/gpu.py does before it measures: are products right, and are all kernels compiled?"""
import os, pathlib, re, shutil

from gpu_run import changed, failure
from gpu_table import CHECKS

PRODUCTS = "LC_GPU_PRODUCTS"
# Kernels for products that need no unit for memory, and NVIDIA's library.
PLAIN, OF_MEMORY, LIBRARY = ["Cyclic", "DoubleCyclic", "Ordered"], ["Tma", "SpecializedTma"], "CublasRounded"
OF_PRODUCTS = "products_are_right_whichever_kernel_is_the_fastest"
# One kernel after the other is compiled, a second each, some hundred: for so long it may take, and be silent.
WHOLE, SILENT = 150, 20
# Unit tests compile more than twice as many: so many processes share them.
SHARES = 12


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


class Ahead:
    def __init__(self, run, found, commands, cache, programs):
        """`cache` is the folder for what is compiled, `programs` what tells these programs from others."""
        self.run, self.found, self.commands, self.cache, self.programs = run, found, commands, cache, programs
        self.of_tests = {"LC_GPU_CACHE": str(cache / "kernels-of-tests")}
        # A folder of its own, for its silence tells something.
        self.of_products = {"LC_GPU_CACHE": str(cache / "kernels-of-products")}
        self.listed = None
        os.environ |= {"LC_GPU_CACHE": str(cache / "kernels"), "CUDA_CACHE_PATH": str(cache / "driver"),
                       "TORCHINDUCTOR_CACHE_DIR": str(cache / "torch"), "TRITON_CACHE_DIR": str(cache / "triton"), "TORCHINDUCTOR_COMPILE_THREADS": "4"}

    def names(self):
        """Of the unit tests for this device."""
        if self.listed is None:
            output = self.run.call([*self.commands.tests("unit-tests"), "--list"], 30)[1]
            self.listed = [line.removesuffix(": test") for line in output.splitlines() if line.endswith(": test")]
        return self.listed

    def check_products(self):
        """Before a kernel is chosen for being fast."""
        name = next((name for name in self.names() if name.endswith(OF_PRODUCTS)), None)
        if not name:
            return "there is no such test"
        test = self.commands.tests("unit-tests", "--exact", "--nocapture", name)
        folder = self.of_products["LC_GPU_CACHE"]
        code, output = self.run.call(test, WHOLE, self.of_products, (folder, SILENT))
        good, words = passed([(code, output)])
        if good:
            unable = sorted(set(re.findall(r"(\S+), \d+ x \d+ x \d+, \w+: not taken", output)))
            return words + (f"; some products are not taken by {', '.join(unable)}" if unable else "")
        # Who still compiles does not hang.
        if code is None and (ago := changed(folder)) is not None and ago < SILENT:
            return f"right as far as it came in {WHOLE} s"
        wrong = re.search(r"\S+, \d+ x \d+ x \d+, \w+: entry .*$", output, re.MULTILINE)
        # The last that was begun is the one that hangs.
        begun = re.findall(r"trying \w+", output) if code is None else []
        why = wrong[0] if wrong else ", ".join([failure(code, output), *begun[-1:]])
        return f"FAILED: {why[:160].replace('|', '/')}"

    def choose_products(self):
        """Where one is wrong or hangs, only some are left from here on."""
        key = ("check", "products")
        # What hung may have been slow.
        if not re.search("^ok|: entry", self.found.get(key, "")):
            self.found.put(key, self.check_products())
        words = self.found[key]
        self.run.say(f"products: {words}")
        if words.startswith("FAILED") and PRODUCTS not in os.environ:
            bad = (re.findall(r"(\w+), \d+ x|trying (\w+)", words) or [("", "")])[0]
            bad = bad[0] or bad[1]
            left = [name for name in PLAIN if name != bad] + ([LIBRARY] if bad in OF_MEMORY else [])
            os.environ[PRODUCTS] = ",".join(left)
            self.found.note(("products",), f"Not all products of matrices are right on this card, so all was measured "
                                           f"with {PRODUCTS}={os.environ[PRODUCTS]}: {words}")

    def tests(self, program):
        """In several processes, each with its share of the tests, for each compiles kernels one after the other."""
        if program != "unit-tests":
            return [self.commands.tests(program)]
        # It was run alone already, and if it hangs, it does so again.
        names = [name for name in self.names() if not name.endswith(OF_PRODUCTS)]
        return [self.commands.tests(program, "--exact", *names[part::SHARES]) for part in range(min(SHARES, len(names)))]

    def check(self, program, limit):
        """What a program with tests says."""
        return passed(self.run.together(self.tests(program), limit, self.of_tests))[1]

    def compile(self, jobs, torch_jobs, checks):
        """Runs everything once, side by side, so that what is measured later finds its kernels compiled: the compiler takes a
        second for each of some seventy per shape. Which are the fastest is not learnt while others run; that is left out.
        The tests begin first, and give way to what is waited for: they have all of this time."""
        run = self.run
        jobs, torch_jobs = self.missing(jobs), self.missing(torch_jobs)
        tests = {program: self.tests(program) for program in CHECKS if program in checks}
        tests = {program: parts for program, parts in tests.items() if (self.commands.programs / program).exists()}
        together = [["nice", *part] for parts in tests.values() for part in parts]
        with run.running(torch_jobs) as torch, run.running(together, self.of_tests) as wait:
            self.choose_products()
            ended = run.together(jobs, min(130, run.left() / 3))
            outputs = wait(20)
            for program, parts in tests.items():
                good, words = passed(outputs[:len(parts)])
                outputs = outputs[len(parts):]
                # What failed while all ran is asked once more, at the end, if there is time.
                self.found.put(("check", program), words)
                if not good:
                    run.say(f"{program}, while kernels are compiled: {words}")
            whole = torch(40)
        run.unlock()
        run.unlock(self.of_tests)
        if jobs:
            for autotune in pathlib.Path(os.environ["LC_GPU_CACHE"]).glob("*/autotune"):
                shutil.rmtree(autotune, ignore_errors=True)
        for command, (code, _) in zip([*jobs, *torch_jobs], [*ended, *whole]):
            if code == 0:
                self.remember(command)
            else:
                run.say(f"not compiled to the end: {self.words(command)[:120]}")

    def words(self, command):
        return " ".join([self.programs, pathlib.Path(command[0]).name, *map(str, command[1:])])

    def missing(self, commands):
        """Those that were not run to their end with the same cache."""
        record = self.cache / "compiled"
        known = record.read_text().splitlines() if record.exists() else []
        return [command for command in commands if self.words(command) not in known]

    def remember(self, command):
        with (self.cache / "compiled").open("a") as record:
            record.write(self.words(command) + "\n")
