"""
Models that sleep, callers who wake them and come again when their connection breaks, and what each of
their calls came to.
"""

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faulty_server
import httpx2
import load
import registering
import yaml
from load import Call
from registering import register
from towpath_up import ROOT, Up, eventually

CHURN = ROOT / ".build" / "artifacts-test" / "churn"
ONNX = ROOT / "runtimes" / "src" / "towpath_runtimes" / "descriptions" / "onnx.yaml"
ONE = {"inputs": [{"age": 19, "balance": 120.5, "plan": "basic"}]}
FAULTS = ("none", "slow", "crash", "taken")
TOGETHER = 3
"""Calls that come at once."""
_PAUSE_S = (0.8, 2.6)  # around the second after which they sleep: some find it just falling asleep
_WITHIN_S = 90.0  # the longest start, a crash and its backoff, and a control plane that comes back


def describe(folder: Path) -> None:
    """Write a runtime for each fault: the real ONNX server, started by one that has trouble."""
    folder.mkdir()
    for fault in FAULTS[1:]:
        described = yaml.safe_load(ONNX.read_text(encoding="utf-8"))
        described["metadata"]["name"] = f"onnx-{fault}"
        command = described["spec"]["command"]
        described["spec"]["command"] = [command[0], faulty_server.__file__, fault, *command]
        (folder / f"{fault}.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")


@dataclass
class Sleeper:
    """One deployment that sleeps after a second, and the calls it got."""

    name: str
    fault: str
    calls: list[Call] = field(default_factory=list)
    waits_ms: list[float] = field(default_factory=list)
    """Of the calls that woke it or waited for that, as the gateway told them."""
    activations: int = 0


@dataclass
class Storm:
    """Callers of several sleepers, until they were woken so many times."""

    up: Up
    key: str
    sleepers: Sequence[Sleeper]
    wanted: int
    stopped: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def activations(self) -> int:
        """How often any of them was woken."""
        return sum(one.activations for one in self.sleepers)

    @contextmanager
    def blowing(self) -> Iterator[None]:
        """Call all of them from threads of their own."""
        threads = [
            threading.Thread(target=self._wake_again, args=(one, random.Random(number)))
            for number, one in enumerate(self.sleepers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            for thread in threads:
                thread.join(2 * _WITHIN_S)

    def until(self, activations: int) -> None:
        """Wait until they were woken so often, as long as they come on."""
        while (former := self.activations) < min(activations, self.wanted):
            with self.changed:
                came = self.changed.wait_for(lambda: self.activations > former, _WITHIN_S)
            assert came, f"nobody was woken in {_WITHIN_S} s, after {former} times"

    def _wake_again(self, sleeper: Sleeper, chance: random.Random) -> None:
        while not self.stopped.wait(chance.uniform(*_PAUSE_S)) and self.activations < self.wanted:
            together = [
                threading.Thread(target=self._ask, args=(sleeper,)) for _ in range(TOGETHER)
            ]
            before = len(sleeper.waits_ms)
            for one in together:
                one.start()
            for one in together:
                one.join()
            with self.changed:
                sleeper.activations += len(sleeper.waits_ms) > before
                self.changed.notify_all()

    def _ask(self, sleeper: Sleeper) -> None:
        """Ask once, with a new connection as often as one breaks."""
        while True:
            call = Call(f"wake-{id(self):x}-{next(self._numbers)}", stream=False)
            call.began = time.monotonic()
            with load.client() as http:
                try:
                    answer = http.post(
                        f"{self.up.address}/v1/models/{sleeper.name}/predict",
                        json=ONE,
                        headers={"authorization": f"Bearer {self.key}", "x-request-id": call.id},
                        timeout=_WITHIN_S,
                    )
                except httpx2.HTTPError as error:
                    call.error = repr(error)
                else:
                    call.status, call.whole = answer.status_code, answer.status_code == 200
                    call.request_id = answer.headers.get("x-request-id")
                    if not call.whole:
                        call.error = answer.text
                    if waited := answer.headers.get("x-towpath-cold-start-ms"):
                        sleeper.waits_ms.append(float(waited))
            call.ended = time.monotonic()
            sleeper.calls.append(call)
            if call.status is not None:
                return
            self.stopped.wait(0.05)  # as a client's own retry; the door may be closed


def deploy(up: Up, count: int) -> tuple[str, list[Sleeper]]:
    """Deploy so many sleepers, of every fault in turn; return a key that may call them, and them."""
    signature = json.loads((CHURN / "signature.json").read_text(encoding="utf-8"))
    with up.api() as api:
        register(api, "churn", CHURN / "model", project="care/churn", signature=signature)
        made = []
        for number in range(count):
            fault = FAULTS[number % len(FAULTS)]
            made.append(Sleeper(f"sleeper-{number}", fault))
            runtime = "onnx" if fault == "none" else f"onnx-{fault}"
            manifest = _manifest(made[-1].name, runtime)
            registering.made(api, "POST", "/deployments?environment=sandbox", json=manifest)
        eventually(
            lambda: all(
                one["phase"] in {"Ready", "Idle"}
                for one in api.get("/deployments", params={"limit": 100}).json()["items"]
            ),
            "deployments that are ready",
            within_s=_WITHIN_S,
        )
        return registering.key(api, "storm", project="care/churn"), made


def _manifest(name: str, runtime: str) -> dict[str, Any]:
    scaling = {
        "minReplicas": 0,
        "maxReplicas": 1,
        "idleTimeout": "1s",
        "coldStart": {"maxWait": f"{_WITHIN_S:.0f}s", "maxQueued": 50},
    }
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "project": "care/churn"},
        "spec": {
            "model": {"uri": "models:/churn/1"},
            "runtime": {"name": runtime},
            "scaling": scaling,
        },
    }


def outcomes(sleepers: Sequence[Sleeper], broke: Callable[[Call], bool]) -> list[dict[str, Any]]:
    """
    Say for each fault what became of the calls.

    Args:
        broke: Whether a call was under way on a gateway that was killed.
    """
    rows = []
    for fault in FAULTS:
        its = [one for one in sleepers if one.fault == fault]
        calls = [call for one in its for call in one.calls]
        waits = sorted(wait for one in its for wait in one.waits_ms)
        broken = [call for call in calls if call.status is None and broke(call)]
        rows.append(
            {
                "fault": fault,
                "activations": sum(one.activations for one in its),
                "calls": len(calls),
                "answered": sum(call.whole for call in calls),
                "on_a_killed_gateway": len(broken),
                "lost": len(calls) - sum(call.whole for call in calls) - len(broken),
                "waited_p50_ms": round(waits[len(waits) // 2]) if waits else None,
                "waited_p95_ms": round(waits[len(waits) * 95 // 100]) if waits else None,
            }
        )
    return rows
