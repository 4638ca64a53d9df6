"""Which heavy packages an import brings along, seen from a fresh interpreter."""

import subprocess
import sys

HEAVY = ("diffusers", "numpy", "torch", "torchvision", "transformers")
"""What neither the command line nor a plugin's entry module may import before it is needed."""

_SEEN = f"print(*(name for name in {HEAVY!r} if name in sys.modules))"


def heavy_imports(origin: str) -> list[str]:
    """The heavy packages that importing a module (or a `.py` file) brings along.

    `origin` may be an entry point's value, `module:attribute`. Raises CalledProcessError when the import fails.
    """
    if origin.endswith(".py"):
        load = f"import runpy; runpy.run_path({origin!r})"
    else:
        load = f"import {origin.partition(':')[0]}"
    return heavy_after(load)


def heavy_after(code: str) -> list[str]:
    """The heavy packages that a fresh interpreter has loaded after running `code`, which may print too."""
    run = [sys.executable, "-c", f"import sys\n{code}\nprint()\n{_SEEN}"]
    return subprocess.run(run, check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()[-1].split()
