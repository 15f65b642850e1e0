"""
The program that judges answers: cases in as JSON, what is wrong with each out.

It is started for one trial, limits its own processor time and memory, and ends.
"""

import json
import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema.validators import Draft202012Validator
from referencing import Registry

from towpath_server.adapters.answers import paths

CPU_S = 5
MEMORY_BYTES = 1 << 30


def judge(case: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return, for each thing that is wrong: where, what is expected, and what is found."""
    document = case["document"]
    wrong = [
        (path, *unmet)
        for path, expected in case["values"].items()
        if (unmet := paths.unmet(document, path, expected)) is not None
    ]
    if case["schema"] is not None:
        # An empty registry: a reference to elsewhere is an error and never a request.
        validator = Draft202012Validator(case["schema"], registry=Registry())
        for error in validator.iter_errors(document):
            wrong.append((error.json_path, f"`schema`: {error.validator}", error.message[:300]))
            break
    return wrong


def main() -> None:
    """Judge what stands on the standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    cases: Sequence[Mapping[str, Any]] = json.load(sys.stdin)
    json.dump([judge(case) for case in cases], sys.stdout)


if __name__ == "__main__":
    main()
