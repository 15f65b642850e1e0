"""The gateway's scripted upstream as a process of its own, and its control routes."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parents[2]
_NAME = "towpath-fake-upstream"


class FakeUpstream:
    """Talks to the control routes of one scripted upstream."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx2.Client(base_url=address, timeout=30)

    @property
    def base_url(self) -> str:
        """What an endpoint's target names."""
        return f"{self.address}/v1"

    def script(self, model: str, **script: Any) -> None:
        """Say how a model answers from now on."""
        answer = self._http.post("/__script", json={"model": model, "script": script})
        assert answer.status_code < 300, answer.text

    def release(self, gate: str) -> None:
        """Open a gate."""
        self._http.post(f"/__release/{gate}").raise_for_status()

    def wait(self, **wanted: Any) -> None:
        """Wait until so many requests came, ended, or wait at a gate."""
        self._http.get("/__wait", params=wanted).raise_for_status()

    def requests(self, model: str | None = None) -> list[dict[str, Any]]:
        """List what was asked."""
        answer = self._http.get("/__requests", params={"model": model} if model else {})
        found = answer.json()
        return found["requests"] if isinstance(found, dict) else found

    def running(self) -> int:
        """How many answers are not over."""
        return sum(seen["ended"] == "running" for seen in self.requests())

    def forget_ended(self) -> list[dict[str, Any]]:
        """List what was asked and is over, which the upstream then forgets."""
        answer = self._http.delete("/__requests")
        assert answer.status_code == 200, answer.text
        return answer.json()["requests"]

    def close(self) -> None:
        """Close the control connection."""
        self._http.close()


def program() -> Path:
    """Find the program."""
    for profile in ("ci", "debug"):
        if (place := ROOT / "target" / profile / _NAME).is_file():
            return place
    raise FileNotFoundError(f"no {_NAME}: `make test` builds it")


@contextmanager
def running() -> Iterator[FakeUpstream]:
    """Run one for the length of a block; it ends with its input, whatever becomes of the test."""
    with subprocess.Popen(
        [program(), "--until-stdin-ends"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        upstream = FakeUpstream(json.loads(process.stdout.readline())["address"])
        try:
            yield upstream
        finally:
            upstream.close()
            process.stdin.close()
            process.wait(10)
