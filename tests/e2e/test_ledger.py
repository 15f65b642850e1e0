"""The ledger is right to the token: callers of every kind, upstreams that break, gateways that die."""

import secrets

import ledger
import pytest
from mixed_load import HARVEST_EVERY, SCENES, MixedLoad
from towpath_up import eventually

pytestmark = [pytest.mark.storm, pytest.mark.timeout(3_600)]

KILLS = 5


def test_every_call_is_in_the_ledger_once_and_to_the_token(up, upstream, ledger_calls, report):
    """
    Whole answers are recorded as the upstream produced them; of all others no token that was relayed is
    missing, and none is recorded that was not produced. A whole answer without events and without a
    count of the upstream's is estimated, and says so.
    """
    with up.api() as api:

        def create(path: str, body: object) -> dict:
            answer = api.post(path, json=body)
            assert answer.status_code == 201, answer.text
            return answer.json()

        create("/teams", {"name": "care"})
        create("/projects", {"team": "care", "name": "chat"})
        owner = {"project": "care/chat", "environment": "sandbox", "name": "ledger"}
        key = create("/keys", owner)["key"]
        mixed = MixedLoad(up.address, key, upstream, f"-{secrets.token_hex(4)}")
        mixed.script()
        for endpoint in mixed.endpoints():
            create("/endpoints", endpoint)

    kill_at = [ledger_calls * number // (KILLS + 1) for number in range(1, KILLS + 1)]
    harvest_at = list(range(HARVEST_EVERY, ledger_calls, HARVEST_EVERY))
    with mixed.running():
        for reached in sorted({*kill_at, *harvest_at, ledger_calls}):
            eventually(
                lambda reached=reached: len(mixed.calls) >= reached,
                f"{reached} calls",
                within_s=1_800,
            )
            if reached in kill_at:
                former = up.kill("gateway")
                up.replaced("gateway", former)
                up.ready()
            mixed.harvest()
    eventually(lambda: upstream.running() == 0, "end of every answer")
    mixed.harvest()

    with up.api() as api:
        records = ledger.of_calls(api, mixed.calls)
    wrong = [
        fault
        for call in mixed.calls
        if (fault := judged(call, records[call.id], mixed.produced[call.id]))
    ]
    ends = ledger.endings(records, mixed.calls)
    report(calls=len(mixed.calls), kills=KILLS, scenes=len(SCENES), ended=dict(ends))
    assert wrong == []
    assert ends["complete"] > 0
    assert ends["client_gone"] > 0
    assert ends["upstream_cut"] > 0


def judged(call, records, produced) -> str | None:
    """Say what is wrong with a call's records, if anything is."""
    made = sum(seen["output_tokens"] for seen in produced)
    if len(records) > 1:
        return f"{call.id}: {len(records)} records"
    if not records:
        reached = call.status is not None or produced
        return f"{call.id}: no record, though it reached the gateway" if reached else None
    (record,) = records
    counted = record["output_tokens"] or 0
    if record["ended"] == "complete":
        served = next((seen for seen in reversed(produced) if seen["output_tokens"]), None)
        estimated = record["counted_by"] == "gateway" and not call.stream
        # Who leaves may do so when all of it has left the gateway already.
        given = call.relayed == made or not call.whole
        exact = given and (counted > 0 if estimated else counted == made)
        if served is None or not exact:
            return (
                f"{call.id} ({call.scene}): {call.relayed} relayed, {counted} counted, {made} made"
            )
        if record["counted_by"] == "upstream" and record["input_tokens"] != served["input_tokens"]:
            return (
                f"{call.id}: {record['input_tokens']} in, the prompt has {served['input_tokens']}"
            )
        return None
    if not call.relayed <= counted <= made:
        return (
            f"{call.id} ({record['ended']}): {call.relayed} relayed, {counted} counted, {made} made"
        )
    return None
