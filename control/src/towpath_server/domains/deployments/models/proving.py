"""What a revision is asked before it takes traffic, and what came of it."""

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from towpath_server.domains.evaluations.models import Gate, Outcome


@dataclass(frozen=True)
class Expectation:
    """What an answer must be like; what is none is not looked at."""

    status: int = 200
    values: Mapping[str, Any] = field(default_factory=dict)
    """JSON path → a value, or a rule such as `{"in": […]}`; `adapters.answers.paths` has them."""
    schema: Mapping[str, Any] | None = None
    """JSON schema (2020-12) of the whole answer."""
    max_latency_ms: int | None = None
    first_chunk_ms: int | None = None


@dataclass(frozen=True)
class SmokeTest:
    """One request that new replicas answer before they take traffic."""

    name: str
    request: Mapping[str, Any]
    operation: str | None = None
    stream: bool = False
    expect: Expectation = field(default_factory=Expectation)


@dataclass(frozen=True)
class Proving:
    """All that a revision is asked before it takes traffic."""

    tests: tuple[SmokeTest, ...] = ()
    gates: tuple[Gate, ...] = ()

    def document(self) -> dict[str, Any]:
        """Write it, as it is stored."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Proving":
        """Read what `document` wrote."""
        given: list[dict[str, Any]] = [dict(test) for test in stored.get("tests", ())]
        for test in given:
            test["expect"] = Expectation(**test["expect"])
        tests = (SmokeTest(**test) for test in given)
        return cls(tuple(tests), tuple(Gate(**gate) for gate in stored.get("gates", ())))

    def digest(self, workload: str) -> str:
        """Digest over it and what is asked: equal ones have been proved by one another."""
        text = json.dumps([workload, self.document()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Result:
    """What became of one smoke test or gate."""

    name: str
    outcome: Outcome
    message: str
    fix: str | None = None
    ms: int | None = None
    """How long the slowest answer took."""
    first_ms: int | None = None
    """How long the first event of the slowest stream took."""


class TrialState(enum.StrEnum):
    """Where the smoke tests of a revision stand."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    """Another revision was declared, or the deployment is on its way out."""


OPEN = (TrialState.WAITING, TrialState.RUNNING)


@dataclass(frozen=True)
class Trial:
    """
    One run of a revision's smoke tests.

    While it runs, the routing table has its replicas under names that one key alone may call.
    """

    id: str
    deployment_id: str
    number: int
    """The revision under test."""
    state: TrialState
    created_at_ms: int
    replicas: int
    """How many are tested."""
    results: tuple[Result, ...] = ()
    note: str | None = None
    """What it waits for."""
    hash: str | None = None
    """SHA-256 of the key that may call, while it runs."""
    sources: tuple[str, ...] | None = None
    """Networks that the key may call from; none: any."""
    expires_at_ms: int | None = None
    ended_at_ms: int | None = None

    @property
    def passed(self) -> bool:
        """Whether every test was answered as expected."""
        return self.state is TrialState.PASSED


@dataclass(frozen=True)
class Event:
    """One change of a condition, or of the phase: what a deployment went through."""

    id: str
    deployment_id: str
    name: str
    environment: str
    team_id: str
    project_id: str
    number: int
    """The newest revision when it happened."""
    at_ms: int
    type: str
    """A condition, or `Phase`."""
    status: str
    reason: str
    message: str
