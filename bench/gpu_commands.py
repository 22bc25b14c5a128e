"""The commands of bench/gpu.py."""
import os, pathlib

HERE = pathlib.Path(__file__).resolve().parent
# PyTorch brings libraries of its own.
AS_IT_WAS = ["env", f"LD_LIBRARY_PATH={os.environ.get('LD_LIBRARY_PATH', '')}"]
# Steps between two waits for the device, on both sides.
AHEAD = 16


class Commands:
    def __init__(self, programs, device, python, heads, vocabulary, window, repeat):
        self.programs, self.device, self.python = programs, device, python
        self.heads, self.vocabulary, self.window, self.repeat = heads, vocabulary, window, repeat
        self.cuda = device.startswith("cuda")
        self.torch_device = "cuda" if self.cuda else "cpu"

    def bench(self, job, shape, dtype, *words, repeat=None, ahead=AHEAD):
        return [self.programs / "gpu-bench", "--device", self.device, "--repeat", min(repeat or self.repeat, self.repeat),
                "--ahead", ahead, "--shape", shape, "--dtype", dtype, "--heads", self.heads, "--vocab", self.vocabulary, "--window", self.window, job, *words]

    def torch(self, shape, *words):
        return [*AS_IT_WAS, self.python, HERE / "torch_train.py", "--device", self.torch_device, "--heads", self.heads,
                "--shape", shape, "--vocab", self.vocabulary, "--window", self.window, "--dtype", "bf16", *words]

    def torch_races(self, shape):
        """Everything of a shape, in the order of what matters."""
        return self.torch(shape, "--modes", "eager", "compile", "--jobs", "train", "body", "step", "--f32-body",
                          "--ahead", AHEAD, "--steps", min(3, self.repeat))

    def torch_ahead(self, shape):
        """What has to be compiled for that."""
        return self.torch(shape, "--modes", "compile", "--jobs", "train", "body", "--steps", 1, "--warmup", 1)

    def torch_sums(self, shapes):
        widths = dict.fromkeys(shape.split("x")[0] for shape in shapes)
        return [*AS_IT_WAS, self.python, HERE / "torch_collect.py", "--device", self.torch_device, "--k", self.vocabulary,
                "--d", *widths, "--grid-k", 0, "--repeat", min(5, self.repeat)]

    def tests(self, program, *words):
        """A program with tests: all that are for this device, or those that are named."""
        others = "on_vulkan" if self.cuda else "on_cuda"
        ours = ["kernels::gpu", "--skip", others] if program == "unit-tests" else []
        return [self.programs / program, "--test-threads=1", *(words or ours)]
