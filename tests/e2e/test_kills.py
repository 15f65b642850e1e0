"""Parts die without warning: no answer is lost, no record is lost or double, the address comes back."""

import secrets
from collections.abc import Iterator

import httpx2
import ledger
import postgres
import pytest
import towpath_up
from fake_upstream import FakeUpstream
from load import Caller
from towpath_up import Up, eventually

pytestmark = [pytest.mark.storm, pytest.mark.timeout(1_800)]


def caller(up: Up, upstream: FakeUpstream, suffix: str = "") -> Caller:
    """Create two endpoints on the scripted upstream, and a key that may call them."""
    with up.api() as api:

        def create(path: str, body: object) -> dict:
            answer = api.post(path, json=body)
            assert answer.status_code == 201, answer.text
            assert answer.headers.get("x-towpath-applied", "true") == "true", answer.text
            return answer.json()

        create("/teams", {"name": "care"})
        create("/projects", {"team": "care", "name": "chat"})
        for name in ("quick", "held"):
            create(
                "/endpoints",
                {
                    "name": name,
                    "environment": "sandbox",
                    "project": "care/chat",
                    "targets": [
                        {
                            "static": {
                                "url": upstream.base_url,
                                "dialect": "openai",
                                "model": name + suffix,
                            },
                            "weight": 1,
                        }
                    ],
                    "access": {"visibility": "project"},
                },
            )
        key = create("/keys", {"project": "care/chat", "environment": "sandbox", "name": "storm"})[
            "key"
        ]
    return Caller(up.address, key)


def hold(upstream: FakeUpstream, model: str, gate: str) -> None:
    """Let this model's streams wait before their third token, and its plain answers before their end."""
    upstream.script(model, tokens=6, gates={"token:2": gate, "end": gate})


def waiting(upstream: FakeUpstream, model: str, gate: str) -> int:
    return sum(seen["waiting_at"] == gate for seen in upstream.requests(model))


def test_a_killed_gateway_loses_no_record_and_doubles_none(up, upstream, kills, report):
    """What a caller saw complete has one record; what was cut has one that says so."""
    model = f"held-{secrets.token_hex(4)}"
    calls = caller(up, upstream, model.removeprefix("held"))
    cut = Caller(up.address, calls.key)
    with calls.load("quick"):
        for kill in range(kills):
            gate = f"gate-{secrets.token_hex(4)}-{kill}"
            hold(upstream, model, gate)
            held = [cut.in_background("held", stream=stream) for stream in (True, True, False)]
            eventually(lambda gate=gate: waiting(upstream, model, gate) == 3, "three held calls")
            before = calls.whole()
            calls.until(lambda before=before: calls.whole() >= before + 5)

            former = up.kill("gateway")

            up.replaced("gateway", former)
            up.ready()
            for thread in held:
                thread.join(60)
        before = calls.whole()
        calls.until(lambda: calls.whole() >= before + 5)

    with up.api() as api:
        records = ledger.of_calls(api, calls.calls)
        of_cut = ledger.of_calls(api, cut.calls)
        everything = ledger.everything(api)
    whole = [call for call in calls.calls if call.whole]
    broken = [call for call in calls.calls if not call.whole]
    lost = ledger.endings(records, broken)["gateway_lost"]
    report(kills=kills, whole=len(whole), broken=len(broken), lost=lost, held=len(cut.calls))
    ids = [record["id"] for record in everything]
    assert len(ids) == len(set(ids))
    assert [len(records[call.id]) for call in whole] == [1] * len(whole)
    assert ledger.endings(records, whole) == {"complete": len(whole)}
    assert all(len(records[call.id]) <= 1 for call in broken)
    assert not any(call.whole for call in cut.calls)
    assert [len(of_cut[call.id]) for call in cut.calls] == [1] * len(cut.calls)
    assert ledger.endings(of_cut, cut.calls) == {"gateway_lost": 3 * kills}
    seen = {call.request_id for call in cut.calls if call.request_id}
    assert seen <= set(ids)


def test_a_killed_control_plane_fails_no_request(up, upstream, kills, report):
    """The gateway serves from its table; records wait in its journal and arrive later."""
    calls = caller(up, upstream)
    gateway = up.pid("gateway")
    with calls.load("quick"):
        for _ in range(kills):
            before = calls.whole()
            calls.until(lambda before=before: calls.whole() >= before + 5)
            former = up.kill("control")
            up.replaced("control", former)
            before = calls.whole()
            calls.until(lambda before=before: calls.whole() >= before + 5)

    with up.api() as api:
        eventually(lambda: api.get("/teams").status_code == 200, "control plane")
        records = ledger.of_calls(api, calls.calls)
    report(kills=kills, calls=len(calls.calls))
    assert [call for call in calls.calls if not call.whole] == []
    assert [len(records[call.id]) for call in calls.calls] == [1] * len(calls.calls)
    assert up.pid("gateway") == gateway


@pytest.fixture
def database() -> Iterator[postgres.Postgres]:
    with postgres.server() as server:
        yield server


def test_without_its_database_the_platform_serves_and_records_later(tmp_path, upstream, database):
    """The database is gone until an event ends it; calls go on, and readiness says the truth."""
    with towpath_up.running(tmp_path, "--database-url", database.url()) as up:
        calls = caller(up, upstream)
        with calls.load("quick"):
            database.stop()
            before = calls.whole()
            calls.until(lambda: calls.whole() >= before + 50)
            with up.api() as api:
                refused = api.get("/teams")
            database.start()
        with up.api() as api:
            eventually(lambda: api.get("/teams").status_code == 200, "the API with its database")
            records = ledger.of_calls(api, calls.calls)

    assert refused.status_code == 503
    assert float(refused.headers["retry-after"]) <= 120
    assert [call for call in calls.calls if not call.whole] == []
    assert [len(records[call.id]) for call in calls.calls] == [1] * len(calls.calls)


def test_a_platform_that_starts_without_its_database_serves_from_its_table(
    tmp_path, upstream, database
):
    with towpath_up.running(tmp_path, "--database-url", database.url()) as up:
        calls = caller(up, upstream)
        database.stop()
        former = up.kill("control")
        up.replaced("control", former)
        gateway = up.kill("gateway")
        up.replaced("gateway", gateway)
        up.ready()
        with httpx2.Client() as http:
            answered = [calls.call(http, "quick", stream=stream) for stream in (False, True)]
        database.start()
        with up.api() as api:
            eventually(lambda: api.get("/teams").status_code == 200, "the API with its database")
            records = ledger.of_calls(api, answered)

    assert all(call.whole for call in answered)
    assert [len(records[call.id]) for call in answered] == [1, 1]


def test_with_both_killed_the_address_answers_again_by_itself(up, upstream, kills):
    calls = caller(up, upstream)
    for _ in range(kills):
        control, gateway = up.kill("control"), up.kill("gateway")
        up.replaced("gateway", gateway)
        up.replaced("control", control)
        up.ready()
        with httpx2.Client() as http:
            assert calls.call(http, "quick", stream=True).whole
    with up.api() as api:
        eventually(lambda: api.get("/teams").status_code == 200, "control plane")
        records = ledger.of_calls(api, calls.calls)
    assert [len(records[call.id]) for call in calls.calls] == [1] * kills
