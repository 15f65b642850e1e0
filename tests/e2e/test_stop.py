"""Ctrl-C drains: what is in flight ends well, unless the person presses it again."""

import secrets
import signal

import httpx2
import ledger
import pytest
from fake_upstream import FakeUpstream
from load import Caller
from towpath_up import Up, eventually


@pytest.fixture
def held(up: Up, upstream: FakeUpstream):
    """Start a streamed and a plain call that wait at a gate; return the gate and both calls."""
    model, gate = f"stop-{secrets.token_hex(4)}", f"gate-{secrets.token_hex(4)}"
    upstream.script(model, tokens=6, gates={"token:2": gate, "end": gate})
    with up.api() as api:
        api.post("/teams", json={"name": "care"}).raise_for_status()
        api.post("/projects", json={"team": "care", "name": "chat"}).raise_for_status()
        target = {"url": upstream.base_url, "dialect": "openai", "model": model}
        endpoint = {
            "name": "held",
            "environment": "sandbox",
            "project": "care/chat",
            "targets": [{"static": target, "weight": 1}],
            "access": {"visibility": "project"},
        }
        api.post("/endpoints", json=endpoint).raise_for_status()
        key = {"project": "care/chat", "environment": "sandbox", "name": "one"}
        caller = Caller(up.address, api.post("/keys", json=key).json()["key"])
    threads = [caller.in_background("held", stream=stream) for stream in (True, False)]
    eventually(
        lambda: sum(seen["waiting_at"] == gate for seen in upstream.requests(model)) == 2,
        "two held calls",
    )
    yield gate, caller, threads
    upstream.release(gate)
    for thread in threads:
        thread.join(60)


def refuses(address: str) -> bool:
    try:
        httpx2.get(f"{address}/healthz", timeout=5)
    except httpx2.ConnectError:
        return True
    except httpx2.HTTPError:
        return False
    return False


def test_a_stop_lets_requests_in_flight_end_and_takes_no_new_ones(up, upstream, held):
    gate, caller, threads = held
    up.process.send_signal(signal.SIGINT)
    eventually(lambda: refuses(up.address), "closed door")

    upstream.release(gate)
    for thread in threads:
        thread.join(60)
    status = up.stop(signal.SIGCONT)  # nothing more is asked of it
    up.start()
    with up.api() as api:
        records = ledger.of_calls(api, caller.calls)

    assert [call.whole for call in caller.calls] == [True, True]
    assert status == 0
    assert ledger.endings(records, caller.calls) == {"complete": 2}


def test_a_second_ctrl_c_stops_at_once(up, held):
    _, caller, threads = held
    up.process.send_signal(signal.SIGINT)
    eventually(lambda: refuses(up.address), "closed door")

    status = up.stop(signal.SIGINT)
    for thread in threads:
        thread.join(60)

    assert status == 0
    assert [call.whole for call in caller.calls] == [False, False]
    assert up.own_processes() == []
