"""What bench/gpu.py needs of a machine with an NVIDIA card: CUDA's compiler, headers and products, and MPS."""
import contextlib, os, pathlib, shutil, subprocess, sysconfig, tempfile

LIBRARIES = ("lib64", "targets/x86_64-linux/lib", "lib")
# Where containers have the driver's libraries.
DRIVER = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib")


def find_cuda(run, folder):
    """Sets CUDA_PATH, and LD_LIBRARY_PATH to where the compiler and cuBLASLt are, and says so; `folder` is for a link."""
    nvcc = shutil.which("nvcc")
    places = [os.environ.get("CUDA_PATH"), nvcc and pathlib.Path(nvcc).resolve().parent.parent, "/usr/local/cuda", "/opt/cuda"]
    # As Python's packages, PyTorch brings both, too.
    packages = sorted(pathlib.Path(sysconfig.get_paths()["purelib"]).glob("nvidia/*"))
    headers = lambda place: (place / "include/cuda_fp16.h").exists()
    toolkit = next((place for place in [*map(pathlib.Path, filter(None, places)), *packages] if headers(place)), None)
    if not toolkit:
        return run.say("CUDA's headers were found neither by CUDA_PATH nor by nvcc, nor in /usr/local/cuda or Python's packages")
    os.environ["CUDA_PATH"] = str(toolkit)
    paths = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path]
    folders = [place / name for place in (toolkit, *packages) for name in LIBRARIES]
    for name in ("libnvrtc.so", "libcublasLt.so"):
        libraries = [one for place in folders for one in sorted(place.glob(f"{name}*"))]
        if libraries:
            # By its plain name it is looked for first; not every installation has that.
            link = folder / "lib" / name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(libraries[0].resolve())
            paths += [str(libraries[0].parent), str(link.parent)]
        else:
            run.say(f"{name} was not found")
    paths += [path for path in DRIVER if pathlib.Path(path, "libcuda.so.1").exists()]
    os.environ["LD_LIBRARY_PATH"] = ":".join(dict.fromkeys(paths))
    run.say(f"CUDA_PATH={os.environ['CUDA_PATH']} LD_LIBRARY_PATH={os.environ['LD_LIBRARY_PATH']}")


@contextlib.contextmanager
def mps(run):
    """A daemon of the multi-process service for what is called inside: its environment, or why there is none."""
    control = shutil.which("nvidia-cuda-mps-control")
    if not control:
        yield {}, "this machine has no MPS"
        return
    with tempfile.TemporaryDirectory() as folder, run.log.open("a") as log:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        whole = {"env": os.environ | environment, "text": True, "timeout": 20, "stdout": log, "stderr": log}

        def went_well(*words, **given):
            try:
                return subprocess.run([control, *words], **given, **whole).returncode == 0
            except (OSError, subprocess.TimeoutExpired):
                return False

        # It keeps what it is given for its output, so that is no pipe.
        daemon = lambda: went_well("-d", stdin=subprocess.DEVNULL)
        ask = lambda words: went_well(input=f"{words}\n")

        try:
            begun = daemon() and ask("get_server_list")
            yield environment, None if begun else "MPS did not start"
        finally:
            ask("quit")
