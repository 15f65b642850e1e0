"""
Judge answers in a process of its own.

Paths, patterns and schemas are people's, and each of them can be made to take for ever: in the
control plane that would stop everybody's work, here it ends the judging process.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 20.0  # a process starts in a tenth of a second; a busy machine takes its time


class CannotJudge(Exception):
    """The judging process ended without a word: out of time or memory, or on a broken rule."""


@dataclass(frozen=True)
class Case:
    """An answer, and what it must be like."""

    document: Any
    values: Mapping[str, Any]
    schema: Mapping[str, Any] | None


@dataclass(frozen=True)
class Flaw:
    """One thing that is not as it must be."""

    where: str
    expected: str
    found: str


async def judge(cases: Sequence[Case], *, timeout_s: float = TIMEOUT_S) -> list[list[Flaw]]:
    """
    Say of each answer what is wrong with it.

    Raises:
        CannotJudge: No answer within the time and memory that judging may take.
    """
    if all(not case.values and case.schema is None for case in cases):
        return [[] for _ in cases]
    asked = json.dumps([vars(case) for case in cases]).encode("utf-8", "surrogatepass")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "towpath_server.adapters.answers.program",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(timeout_s):
            said, _ = await process.communicate(asked)
    except TimeoutError as error:
        raise CannotJudge(f"it took more than {timeout_s:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise CannotJudge(f"the judging process ended with {process.returncode}")
    return [[Flaw(*flaw) for flaw in flaws] for flaws in json.loads(said)]
