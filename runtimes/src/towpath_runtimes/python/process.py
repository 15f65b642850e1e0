"""A process with a model, as the server sees it: started, asked, and started anew when it ends."""

import argparse
import contextlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from towpath_runtimes.kserve.engine import Done, Job
from towpath_runtimes.kserve.errors import Refused
from towpath_runtimes.kserve.tensors import TensorSpec
from towpath_runtimes.listening import StartRefused
from towpath_runtimes.python import frames

_PASSED_ON = ("model", "name", "model_version", "max_batch", "batch_rows")
_END_S = 5.0  # a process that is told to end and computes still gets no longer


@dataclass(frozen=True)
class Signature:
    """What the model said of itself."""

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    platform: str = "python"


class ModelProcess:
    """One process. One thread asks it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._child: subprocess.Popen[bytes] | None = None
        self._wire: frames.Wire | None = None

    def start(self) -> Signature:
        """
        Start it, and wait until it has loaded.

        Raises:
            StartRefused: The model cannot be loaded.
        """
        ours, theirs = socket.socketpair()
        told = self._arguments
        command = [sys.executable, "-m", "towpath_runtimes.python.child", f"--fd={theirs.fileno()}"]
        command += [f"--{name.replace('_', '-')}={getattr(told, name)}" for name in _PASSED_ON]
        with theirs, ours:  # `ours` stays open as long as what is made of it
            self._wire = ours.makefile("rwb")
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
            theirs.close()
            ours.settimeout(told.load_timeout)
            word = self._loaded(self._wire)
            ours.settimeout(told.timeout)
        inputs, outputs = (
            [TensorSpec(name, datatype, tuple(shape)) for name, datatype, shape in word[part]]
            for part in ("inputs", "outputs")
        )
        return Signature(inputs, outputs)

    def _loaded(self, wire: frames.Wire) -> dict[str, Any]:
        """Wait for its first word."""
        try:
            word = frames.read_word(wire)
        except frames.Ended as error:
            what = "the process with the model ended as it loaded"
            raise self._failed(what, "see its log above") from error
        except TimeoutError as error:
            what = (
                f"the process with the model did not load within {self._arguments.load_timeout} s"
            )
            raise self._failed(what, "give it longer: `load-timeout`") from error
        if "refused" in word:
            raise self._failed(word["refused"], word["fix"])
        return word

    def _failed(self, what: str, fix: str) -> StartRefused:
        self.close(patience_s=0)
        return StartRefused(what, fix=fix)

    def run(self, jobs: Sequence[Job]) -> Sequence[Done]:
        """Have jobs answered; if the process ends over them, they are refused and it is anew."""
        try:
            if self._wire is None:
                self.start()
            assert self._wire is not None  # noqa: S101 - `start` has set it
            frames.send_jobs(self._wire, jobs)
            return frames.read_done(self._wire)
        except TimeoutError:
            self.close(patience_s=0)
            why = f"did not answer within {self._arguments.timeout} s and was ended"
        except frames.Ended:
            why = "ended while it computed"
        except StartRefused as refusal:
            why = f"cannot be started: {refusal}"
        self.close()
        sys.stderr.write(f"model.process_ended why={why!r}\n")
        return [Refused(f"the process with the model {why}", status=500)] * len(jobs)

    def close(self, *, patience_s: float = _END_S) -> None:
        """End it, after so many seconds by force."""
        if self._wire is not None:
            with contextlib.suppress(OSError):
                self._wire.close()
            self._wire = None
        if self._child is not None:
            try:
                self._child.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None
