"""Cold starts under load and faults: no call is lost but on the sockets of a gateway that was killed."""

import time
from pathlib import Path

import ledger
import pytest
import registering
import sleepers
import towpath_up
from fake_upstream import FakeUpstream
from load import Call, Caller
from sleepers import Storm
from towpath_up import Up

pytestmark = [pytest.mark.storm, pytest.mark.timeout(3_600)]

AWAKE, PAUSE_S = 4, 0.1
"""Callers of an endpoint that never sleeps, and how long each waits between two calls."""


def awake(up: Up, upstream: FakeUpstream) -> Caller:
    """Make an endpoint on the scripted upstream that does not sleep, and a key that may call it."""
    target = {
        "static": {"url": upstream.base_url, "dialect": "openai", "model": "quick"},
        "weight": 1,
    }
    body = {
        "name": "awake",
        "environment": "sandbox",
        "project": "care/churn",
        "targets": [target],
        "access": {"visibility": "project"},
    }
    with up.api() as api:
        registering.made(api, "POST", "/endpoints", json=body)
        return Caller(up.address, registering.key(api, "awake", project="care/churn"))


def test_no_call_is_lost_whatever_goes_wrong_while_models_wake(
    tmp_path: Path, upstream: FakeUpstream, activations: int, report
) -> None:
    """Models load slowly, crash, find their place taken; both planes are killed in turns meanwhile."""
    sleepers.describe(tmp_path / "runtimes")
    environment = {
        "TOWPATH_RUNTIMES_DIR": str(tmp_path / "runtimes"),
        "TOWPATH_QUOTAS__SANDBOX__REPLICAS": "100",
    }
    killed: list[tuple[float, float]] = []
    controls = 0
    with towpath_up.running(tmp_path, environment=environment) as up:
        key, made = sleepers.deploy(up, 8)
        storm = Storm(up, key, made, activations)
        beside = awake(up, upstream)
        with beside.load("awake", callers=AWAKE, pause_s=PAUSE_S), storm.blowing():
            every = max(10, activations // 20)
            for number, at in enumerate(range(every, activations, every)):
                storm.until(at)
                part = ("control", "gateway")[number % 2]
                before = time.monotonic()
                former = up.kill(part)
                up.replaced(part, former)
                # Until then its sockets may still be there, and break.
                if part == "gateway":
                    killed.append((before, time.monotonic()))
                else:
                    controls += 1
            storm.until(activations)
        up.ready()
        calls = [call for one in made for call in one.calls]
        with up.api() as api:
            records = ledger.of_calls(api, calls)

    def broke(call: Call) -> bool:
        return any(call.began <= after and before <= call.ended for before, after in killed)

    found = sleepers.outcomes(made, broke)
    failed = [call for call in beside.calls if not call.whole]
    report(
        activations=storm.activations,
        control_planes_killed=controls,
        gateways_killed=len(killed),
        awake={"calls": len(beside.calls), "on_a_killed_gateway": len(failed)},
        outcomes=found,
    )
    assert storm.activations >= activations
    assert [row["lost"] for row in found] == [0, 0, 0, 0], [c.error for c in calls if c.error]
    assert [call for call in failed if call.status is not None or not broke(call)] == []
    assert all(row["activations"] for row in found)
    whole = [call for call in calls if call.whole]
    assert [len(records[call.id]) for call in whole] == [1] * len(whole)
    assert all(len(records[call.id]) <= 1 for call in calls)
