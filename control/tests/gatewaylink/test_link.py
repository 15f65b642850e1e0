"""The link itself: its credential, its messages, and which gateways have what in force."""

import asyncio

import pytest
from records import batch, record
from sqlalchemy import func, select

from towpath_server.core.access import SYSTEM
from towpath_server.core.signals import ShadowReport
from towpath_server.domains.keys import service as keys
from towpath_server.domains.keys.models import Environment
from towpath_server.domains.projects import service as projects
from towpath_server.domains.teams import service as teams
from towpath_server.domains.usage import tables

PATHS = ["/link/v1/routing", "/link/v1/usage", "/link/v1/signals"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", [None, "Bearer wrong", "Basic x", "Bearer "])
async def test_without_the_credential_nothing_is_answered(link, path, given):
    headers = {"authorization": given} if given is not None else {}
    del link.headers["authorization"]

    answer = await link.post(path, json={}, headers=headers)

    assert answer.status_code == 401
    assert answer.json()["code"] == "link_refused"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"gateway_id": 1}', b"\xff\xfe"])
async def test_a_message_that_is_none_is_refused_with_its_place(link, path, body):
    answer = await link.post(path, content=body)

    assert answer.status_code == 422
    assert answer.json()["code"] == "link_message_invalid"


async def test_a_message_beyond_the_bound_is_refused(link):
    answer = await link.post("/link/v1/usage", content=b" " * (16 * 2**20 + 1))

    assert answer.status_code == 413


async def test_usage_is_acknowledged_and_stored_once(link, db):
    sent = batch(record(1), record(2))

    first = await link.post("/link/v1/usage", json=sent)
    second = await link.post("/link/v1/usage", json=sent)

    assert first.json() == second.json() == {"acknowledged": 2}
    async with db.ledger_read() as tx:
        count = await tx.execute(select(func.count()).select_from(tables.records))
        assert count.scalar_one() == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"schema": 2},
        {"ended": "somehow"},
        {"sequence": -1},
        {"cost_nano": 1.5},
        {"labels": {f"l{n}": "x" for n in range(9)}},
        {"status": "200"},
    ],
)
async def test_a_record_that_is_not_of_the_contract_is_refused_and_nothing_stored(link, db, broken):
    answer = await link.post("/link/v1/usage", json=batch(record(1), record(2) | broken))

    assert answer.status_code == 422
    async with db.ledger_read() as tx:
        count = await tx.execute(select(func.count()).select_from(tables.records))
        assert count.scalar_one() == 0


async def test_more_records_than_one_transaction_takes_are_refused(link):
    answer = await link.post("/link/v1/usage", json=batch(*(record(n) for n in range(1, 1_002))))

    assert answer.status_code == 422


async def test_a_keys_last_use_is_noted_and_not_more_than_once_a_minute(link, db):
    async with db.write() as tx:
        await teams.create(tx, SYSTEM, name="care")
        await projects.create(tx, SYSTEM, team="care", name="chat")
        key, _ = await keys.create(
            tx, SYSTEM, project="care/chat", environment=Environment.SANDBOX, name="k"
        )
    start = 1_795_000_000_000

    async def last_used(sequence: int, time_ms: int) -> int | None:
        sent = batch(record(sequence, key_id=key.id, time_ms=time_ms))
        assert (await link.post("/link/v1/usage", json=sent)).status_code == 200
        async with db.read() as tx:
            return (await keys.get(tx, SYSTEM, key.id)).last_used_at_ms

    assert await last_used(1, start) == start
    assert await last_used(2, start + 1_000) == start
    assert await last_used(3, start + 60_000) == start + 60_000


async def test_signals_are_kept_as_the_gateways_last_word(link, gateways):
    signals = {
        "gateway_id": "gw_1",
        "time_ms": 1,
        "endpoints": {"end_1": {"in_flight": 2, "queued": 1, "ended": 7}},
    }

    answer = await link.post("/link/v1/signals", json=signals)

    assert answer.status_code == 204
    (gateway,) = gateways
    assert gateway.signals is not None
    assert gateway.signals.endpoints["end_1"].in_flight == 2


async def test_signals_count_attempts_by_duration_and_tell_of_copies(link, gateways):
    shadow = {"calls": 3, "failed": 1, "compared": 2, "different": 1, "skipped": 4}
    target = {"in_flight": 0, "queued": 0, "failed": 5, "refused": 6, "took": {"160": 7}}
    copies = shadow | {"took": {"96": 2}, "paths": {"$.outputs[0].label": 1}}
    signals = {
        "gateway_id": "gw_1",
        "time_ms": 1,
        "endpoints": {},
        "targets": {"dep_1.2": target | {"shadow": copies}},
    }

    answer = await link.post("/link/v1/signals", json=signals)

    assert answer.status_code == 204
    (said,) = gateways.board.target("dep_1.2")
    assert (said.failed, said.refused, said.took) == (5, 6, {160: 7})
    assert said.shadow == ShadowReport(**shadow, took={96: 2}, paths={"$.outputs[0].label": 1})


async def commit(db, name="care"):
    async with db.write() as tx:
        await teams.create(tx, SYSTEM, name=name)
        assert tx.revision is not None
        return tx.revision


async def test_a_change_is_applied_once_the_gateway_has_acknowledged_it(db, connect, gateways):
    gateway = connect()
    await commit(db, "before")
    await gateway.poll()

    async def follow():
        while True:
            await gateway.poll(wait_ms=25_000)

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        applied = await gateways.applied(await commit(db), within_s=25)
        following.cancel()

    assert applied


async def test_a_change_waits_for_every_connected_gateway(db, connect, gateways):
    quick, slow = connect("gw_quick"), connect("gw_slow")
    await commit(db, "before")
    await quick.poll()
    await slow.poll()
    revision = await commit(db)
    await quick.poll()
    await quick.poll()

    before = await gateways.applied(revision, within_s=0.01)
    await slow.poll()
    await slow.poll()
    after = await gateways.applied(revision, within_s=5)

    assert (before, after) == (False, True)


async def test_without_a_gateway_a_change_is_pending(db, gateways):
    assert not await gateways.applied(await commit(db), within_s=0.01)


async def test_a_refused_table_is_known_and_nobody_waits_for_it(db, connect, gateways):
    gateway = connect()
    revision = await commit(db)
    gateway.refused = {"revision": revision, "reason": "team `x` has the field `y`"}
    await gateway.poll()
    gateway.after = revision - 1
    await gateway.poll()

    assert not await gateways.applied(revision, within_s=25)
    (known,) = gateways
    assert known.refused is not None
    assert known.refused.reason == "team `x` has the field `y`"
