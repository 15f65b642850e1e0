"""Budgets over the link: registered before they are declared, told to every gateway."""

import asyncio

import pytest
from records import batch, record

from towpath_server.core.access import SYSTEM
from towpath_server.domains.budgets import service as budgets
from towpath_server.domains.budgets.models import BudgetDraft, Level, Mode, Period, Unit
from towpath_server.domains.budgets.service import books
from towpath_server.domains.limits.models import SubjectDraft
from towpath_server.domains.teams import service as teams
from towpath_server.gatewaylink.budgets import BudgetRegistry

MONTH = BudgetDraft(Unit.TOKENS, 1_000, Period.MONTH, Mode.HARD, 80)


@pytest.fixture
def registry(db) -> BudgetRegistry:
    found = BudgetRegistry(db)
    db.before_commit.append(found.before_commit)
    return found


async def declare(db, name: str = "care") -> tuple[str, str]:
    """Make a team with a budget; return the ids of both."""
    async with db.write() as tx:
        team = await teams.create(tx, SYSTEM, name=name)
        made = await budgets.create(tx, SYSTEM, SubjectDraft(team=name), MONTH)
    return team.id, made.id


def sent(sequence: int, team: str, tokens: int, clock) -> dict:
    time_ms = int(clock.now().timestamp() * 1_000)
    return record(sequence, team=team, time_ms=time_ms, input_tokens=tokens, output_tokens=0)


async def test_the_reply_that_brings_a_budget_says_what_was_used_of_it(
    link, db, clock, connect, registry
):
    async with db.write() as tx:
        team = await teams.create(tx, SYSTEM, name="care")
    await link.post("/link/v1/usage", json=batch(sent(1, team.id, 30, clock)))
    async with db.write() as tx:
        made = await budgets.create(tx, SYSTEM, SubjectDraft(team="care"), MONTH)

    reply = await connect().poll()

    (state,) = reply["budgets"]
    assert (state["budget"], state["used"], state["as_of"]) == (made.id, 30, {"gw_1": 1})
    assert reply["budgets_to"] > 0


async def test_a_batch_is_acknowledged_with_its_budgets(link, db, clock, registry):
    team, budget = await declare(db)

    ack = (await link.post("/link/v1/usage", json=batch(sent(1, team, 12, clock)))).json()

    assert ack["acknowledged"] == 1
    (state,) = ack["budgets"]
    assert (state["budget"], state["used"], state["as_of"]) == (budget, 12, {"gw_1": 1})


async def test_another_gateways_use_ends_the_wait(
    link, db, clock, connect, registry, watching, gateways
):
    gateways.settle_s = 0
    team, budget = await declare(db)
    other = connect("gw_2")
    await other.poll()
    await other.poll()  # takes the number of gateways

    waiting = asyncio.create_task(other.poll(wait_ms=30_000))
    await link.post("/link/v1/usage", json=batch(sent(1, team, 12, clock)))
    reply = await waiting
    while "budgets" not in reply:  # another number of gateways may come first
        reply = await other.poll(wait_ms=30_000)

    assert [(state["budget"], state["used"]) for state in reply["budgets"]] == [(budget, 12)]


async def test_a_budget_that_was_refused_is_swept_up(db, clock, registry):
    async def refuse(tx):
        if any(noun == "budget" for noun, _ in tx.changes):
            raise RuntimeError("refused")

    db.before_commit.append(refuse)
    with pytest.raises(RuntimeError):
        await declare(db)
    async with db.ledger_read() as ledger:
        before = await books.known(ledger)

    clock.advance(seconds=601)
    await registry.settle()

    async with db.ledger_read() as ledger:
        assert (len(before), await books.known(ledger)) == (1, set())


async def test_what_is_declared_and_not_counted_is_registered_at_the_start(db):
    """A ledger that was restored from before the budget was made."""
    _, budget = await declare(db)

    await BudgetRegistry(db).settle()

    async with db.ledger_read() as ledger:
        assert await books.known(ledger) == {budget}


async def test_gateways_share_limits_with_those_that_are_there(connect, gateways):
    gateways.settle_s = 0

    first = await connect("gw_1").poll()
    second = await connect("gw_2").poll()

    assert (first["gateways"], second["gateways"]) == (1, 2)
    assert gateways.connected(["gw_3"]) == 3


async def test_gateways_of_one_folder_are_one_while_they_overlap(connect, gateways):
    gateways.settle_s = 0

    await connect("gw_1").poll()
    second = await connect("gw_1-2").poll()

    assert second["gateways"] == 1
    assert gateways.connected(["gw_1-3", "gw_2"]) == 2


async def test_a_gateway_is_not_told_that_it_is_alone_before_others_could_come_back(connect):
    assert "gateways" not in await connect().poll()


async def test_people_are_told_of_each_level_once_per_period(link, db, clock, registry, api):
    team, budget = await declare(db)
    await link.post("/link/v1/usage", json=batch(sent(1, team, 850, clock)))
    await registry.tell()
    await link.post("/link/v1/usage", json=batch(sent(2, team, 300, clock)))
    await registry.tell()
    await registry.tell()

    listed = (await api.get(f"/audit?noun=budget&id={budget}"))["items"]

    told = [(event["action"], event["changes"]["used"]) for event in listed[:-1]]
    assert told == [("budget.exhausted", 1_150), ("budget.warned", 850)]


async def test_a_crash_between_both_databases_tells_nobody_twice(db, clock, registry, link, api):
    team, _ = await declare(db)
    await link.post("/link/v1/usage", json=batch(sent(1, team, 1_000, clock)))
    async with db.ledger_read() as ledger:
        ((use, level, _),) = await books.untold(ledger, 10)
    async with db.write() as tx:  # what `tell` did before it was killed
        for one in (Level.WARNED, Level.EXHAUSTED):
            await budgets.note_level(tx, use, one)

    await registry.tell()

    listed = (await api.get("/audit?noun=budget"))["items"]
    assert [event["action"] for event in listed] == [
        "budget.exhausted",
        "budget.warned",
        "budget.created",
    ]
    assert level is Level.EXHAUSTED
