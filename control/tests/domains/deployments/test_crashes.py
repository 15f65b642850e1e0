"""
The control plane is killed before and after each action of the path, and the end is the same.

An action is what the loops do to the world: a write, a process, a call. The list is explicit, and a
test reads the loops' code and says when it is not all of them.
"""

import ast
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from machines import alive
from worlds import World

from towpath_server.adapters.localhost.replicas import LocalReplicas
from towpath_server.core.db import Database, Tx
from towpath_server.domains.deployments import reconcile
from towpath_server.domains.deployments import service as deployments

WRITES = (
    "replica_changed",
    "grow",
    "open_trial",
    "begin_trial",
    "end_trial",
    "roll",
    "expose",
    "retire",
    "conclude",
    "forget_replica",
    "forget",
)
PROCESSES = ("place", "remove")
CALLS = ("post",)
READS = {
    "counted",
    "due",
    "holders",
    "known_replicas",
    "judged",
    "load",
    "loads",
    "moving",
    "open_trials",
    "pending",
    "secret_of",
    "trial",
}
NOT_HERE = {"hold_trial"}  # only where no gateway answers; `test_proving.py` has it
OTHER = {"forget_events", "expire"}  # a sweep; and one that is a single transaction, as `delete` is
TEST = {"name": "answers", "request": {"inputs": ["a"]}}
TIMES = ("before", "after", "committed")


class Killed(BaseException):
    """The process died here."""


@dataclass
class Deaths:
    """Where the control plane dies: each place once."""

    armed: set[tuple[str, str]]
    died: list[tuple[str, str]] = field(default_factory=list)
    _written: str = ""

    def at(self, action: str, time: str) -> None:
        """Die here, if it is time."""
        if (action, time) in self.armed:
            self.armed.remove((action, time))
            self.died.append((action, time))
            raise Killed

    def around(
        self, action: str, original: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        """Return the action with a death before and after it."""

        async def acted(*arguments: Any, **named: Any) -> Any:
            self.at(action, "before")
            result = await original(*arguments, **named)
            self._written = action
            self.at(action, "after")
            return result

        return acted

    def write(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return a transaction with a death right behind its commit."""

        @asynccontextmanager
        async def written(db: Database) -> AsyncIterator[Tx]:
            self._written = ""
            async with original(db) as tx:
                yield tx
            self.at(self._written, "committed")

        return written


def acted_on() -> set[str]:
    """Name what the code of the loops awaits of the world."""
    found = set()
    for path in Path(reconcile.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Await) or not isinstance(node.value, ast.Call):
                continue
            called = node.value.func
            if not isinstance(called, ast.Attribute):
                continue
            of = called.value
            owner = of.id if isinstance(of, ast.Name) else getattr(of, "attr", "")
            if owner in {"deployments", "_compute", "_gateway"}:
                found.add(called.attr)
    return found


def test_every_action_of_the_loops_is_one_that_is_died_around() -> None:
    known = {*WRITES, *PROCESSES, *CALLS, *READS, *NOT_HERE, *OTHER}

    assert acted_on() - {"capacity"} <= known
    assert {*WRITES, *PROCESSES, *CALLS} <= acted_on()


@pytest.mark.parametrize("action", [*WRITES, *PROCESSES, *CALLS])
async def test_a_death_around_an_action_changes_nothing_of_the_end(
    world: World, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = TIMES if action in WRITES else TIMES[:2]
    deaths = Deaths({(action, time) for time in times})
    # Patched, since a death is between two lines and no protocol has a place for it.
    for name in WRITES:
        original = getattr(deployments, name)
        monkeypatch.setattr(deployments, name, deaths.around(name, original))
    for name in PROCESSES:
        original = getattr(LocalReplicas, name)
        monkeypatch.setattr(LocalReplicas, name, deaths.around(name, original))
    monkeypatch.setattr(world.gateway, "post", deaths.around("post", world.gateway.post))
    write = deaths.write(Database.write)

    with monkeypatch.context() as patched:
        made = await world.deploy(smokeTests=[TEST])
        patched.setattr(Database, "write", write)
        first = await surviving(world, lambda: world.until(made["id"], _serves(1)))
    await world.version("weights of the second version")
    steps = {"steps": [{"weight": 50, "hold": "0s"}]}
    await world.deploy(model={"uri": "models:/triage/2"}, smokeTests=[TEST], rollout=steps)
    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", write)
        await surviving(world, lambda: world.until(made["id"], _serves(2)))
        world.clock.advance(seconds=5)
        await surviving(world, lambda: world.settle(made["id"]))
        second = await world.get()
    seen = [world.machine.replicas.observe(one) for one in world.machine.replicas.ids()]
    target = await world.target(made["id"])

    assert [_state(one) for one in (first, second)] == [_ready(1), _ready(2)]
    assert target is not None
    assert [one.id for one in target.replicas] == [second["replicas"][0]["id"]]
    assert world.machine.replicas.ids() == {second["replicas"][0]["id"]}
    await world.api.call("DELETE", f"/deployments/{made['id']}", status=204)
    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", write)
        await surviving(world, lambda: world.until_gone(made["id"]))
    assert deaths.armed == set(), deaths.died
    await _nothing_is_left(world, [one.pid or 0 for one in seen if one])


async def surviving(world: World, work: Callable[[], Awaitable[Any]]) -> Any:
    """Do something, with a new control plane after each death."""
    while True:
        try:
            return await work()
        except Killed:
            await world.restart()


def _serves(revision: int) -> Callable[[Any], bool]:
    return lambda one: one["phase"] == "Ready" and one["serving_revision"] == revision


def _state(one: Any) -> Any:
    return (
        one["phase"],
        one["serving_revision"],
        [(c["type"], c["status"], c["reason"]) for c in one["conditions"]],
        [(r["ordinal"], r["revision"], r["state"]) for r in one["replicas"] if not r["retiring"]],
    )


def _ready(revision: int) -> Any:
    conditions = [
        ("Checked", "Accepted"),
        ("Fetched", "Verified"),
        ("Provisioned", "Started"),
        ("Loaded", "Healthy"),
        ("SmokeTested", "Passed"),
        ("Evaluated", "NotAskedFor"),
        ("Exposed", "Serving"),
    ]
    return (
        "Ready",
        revision,
        [(kind, "True", reason) for kind, reason in conditions],
        [(0, revision, "ready")],
    )


async def _nothing_is_left(world: World, pids: list[int]) -> None:
    assert world.machine.replicas.ids() == set()
    assert not any(alive(pid) for pid in pids)
    assert list(world.machine.folder.replicas.iterdir()) == []
    assert list(world.machine.folder.sockets.glob("*")) == []
    async with world.db.read() as tx:
        assert await deployments.known_replicas(tx) == set()
        assert await deployments.open_trials(tx) == []
        assert await deployments.routed_targets(tx) == []
        assert await deployments.routed_candidates(tx) == []
        assert await deployments.routed_keys(tx) == []
        assert await deployments.routed_credentials(tx) == []
        assert await deployments.routed_trial_endpoints(tx) == []
