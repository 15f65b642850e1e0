"""The ledger is right to the token: callers of every kind, upstreams that break, gateways that die."""

import secrets
from collections import Counter

import ledger
import pytest
from mixed_load import HARVEST_EVERY, INPUT_NANO, KEPT_TOKENS, OUTPUT_NANO, SCENES, MixedLoad
from towpath_up import eventually

pytestmark = [pytest.mark.storm, pytest.mark.timeout(3_600)]

KILLS = 5


def test_every_call_is_in_the_ledger_once_and_to_the_token(up, upstream, ledger_calls, report):
    """
    Whole answers are recorded as the upstream produced them; of all others no token that was relayed is
    missing, and none is recorded that was not produced. A whole answer without events and without a
    count of the upstream's is estimated, and says so. An answer that was kept costs nothing and says so.
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
        if (fault := judged(call, records[call.id], mixed.produced[call.trace]))
    ]
    ends = ledger.endings(records, mixed.calls)
    caches = Counter(record["cache"] for found in records.values() for record in found)
    report(
        calls=len(mixed.calls),
        kills=KILLS,
        scenes=len(SCENES),
        ended=dict(ends),
        cache=dict(caches),
    )
    assert wrong == []
    assert ends["complete"] > 0
    assert ends["client_gone"] > 0
    assert ends["upstream_cut"] > 0
    assert caches["hit"] > caches["miss"] > 0


def judged(call, records, produced) -> str | None:
    """Say what is wrong with a call's records, if anything is."""
    made = sum(seen["output_tokens"] for seen in produced)
    if len(records) > 1:
        return f"{call.id}: {len(records)} records"
    if not records:
        reached = call.status is not None or produced
        return f"{call.id}: no record, though it reached the gateway" if reached else None
    (record,) = records
    if record["cache"] == "hit":
        return judged_hit(call, record, produced)
    if call.status is not None and record["cache"] != call.cache:
        return f"{call.id}: the answer said {call.cache}, the record {record['cache']}"
    counted = record["output_tokens"] or 0
    if counted and record["cost_nano"] != (
        INPUT_NANO * (record["input_tokens"] or 0) + OUTPUT_NANO * counted
    ):
        return f"{call.id}: {record['cost_nano']} for {record['input_tokens']} and {counted}"
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


def judged_hit(call, record, produced) -> str | None:
    """Say what is wrong with the record of an answer that was kept."""
    if produced or call.scene != "kept" or record["ended"] != "complete":
        return f"{call.id} ({call.scene}, {record['ended']}): kept, yet {len(produced)} asked"
    if record["output_tokens"] or record["input_tokens"] or record["cost_nano"] != 0:
        return f"{call.id}: kept, yet counted or priced"
    if call.status is not None and call.cache != "hit":
        return f"{call.id}: kept, but the answer said {call.cache}"
    if call.whole and call.relayed != KEPT_TOKENS:
        return f"{call.id}: kept, but {call.relayed} of {KEPT_TOKENS} relayed"
    return None
