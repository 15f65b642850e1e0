"""
The child that reads foreign bytes: `python -m towpath_server.adapters.modelfiles`.

Takes a JSON object `{"path", "name"}` a line, answers with one a line, in order. It has little
memory and time, writes no files, and knows nothing of the platform.
"""

import gc
import json
import resource
import sys
from pathlib import Path

from towpath_server.adapters.modelfiles.examine import examine, failed

_MEMORY_BYTES = 2 << 30  # a tokenizer of 35 MB as Python objects, three times over
_CPU_S = 60  # of one file
_FILES = 64


def main() -> int:
    """Read until there is no more."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    for line in sys.stdin:
        task = json.loads(line)
        _give_time()
        try:
            with Path(task["path"]).open("rb") as file:
                found = examine(file, task["name"])
        except MemoryError:
            gc.collect()
            found = failed("It needs more memory than a model's headers do.")
        except RecursionError:
            found = failed("It is nested deeper than a model is.")
        sys.stdout.write(json.dumps(found.as_json()) + "\n")
        sys.stdout.flush()
    return 0


def _give_time() -> None:
    """Let the next file have its own share; what takes longer is ended by the system."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    until = int(spent.ru_utime + spent.ru_stime) + _CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main())
