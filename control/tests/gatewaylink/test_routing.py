"""What a gateway is told leads it to the table that is committed, by whichever way."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from towpath_server.core import revision
from towpath_server.core.access import SYSTEM
from towpath_server.core.errors import TowpathError
from towpath_server.domains.keys import service as keys
from towpath_server.domains.keys.models import Environment
from towpath_server.domains.keys.tables import keys as keys_table
from towpath_server.domains.projects import service as projects
from towpath_server.domains.teams import service as teams
from towpath_server.gatewaylink import platform


async def make_team(db, name="care"):
    async with db.write() as tx:
        team = await teams.create(tx, SYSTEM, name=name)
        project = await projects.create(tx, SYSTEM, team=name, name="chat")
        return team, project


async def make_key(db, name="first", project="care/chat"):
    async with db.write() as tx:
        key, _ = await keys.create(
            tx, SYSTEM, project=project, environment=Environment.SANDBOX, name=name
        )
        return key


async def test_a_fresh_gateway_gets_the_whole_table(db, connect):
    team, project = await make_team(db)
    key = await make_key(db)
    gateway = connect()

    await gateway.poll()

    assert gateway.of("team") == {team.id: {"name": "care", "weight": 1}}
    assert gateway.of("project") == {project.id: {"name": "chat", "team": team.id}}
    assert gateway.of("key") == {
        key.id: {
            "hash": key.hash,
            "project": project.id,
            "environment": "sandbox",
            "scopes": ["invoke", "read"],
        }
    }


async def test_a_change_comes_as_a_batch_with_that_change_alone(db, connect):
    await make_team(db)
    gateway = connect()
    await gateway.poll()

    key = await make_key(db)
    reply = await gateway.poll()

    assert [(e["kind"], e["id"]) for e in reply["batch"]["upserts"]] == [("key", key.id)]
    assert reply["batch"]["deletes"] == []
    assert "snapshot" not in reply


async def test_what_was_deleted_comes_as_a_deletion(db, connect):
    await make_team(db)
    key = await make_key(db)
    gateway = connect()
    await gateway.poll()

    async with db.write() as tx:
        await keys.delete(tx, SYSTEM, key.id, if_match=None)
    reply = await gateway.poll()

    assert reply["batch"]["deletes"] == [{"kind": "key", "id": key.id}]
    assert reply["revocations"] == [{"key_id": key.id, "hash": key.hash}]
    assert gateway.of("key") == {}


async def test_a_gateway_that_has_everything_waits_and_is_woken_by_a_commit(db, connect):
    await make_team(db)
    gateway = connect()
    await gateway.poll()

    async with asyncio.TaskGroup() as group:
        polling = group.create_task(gateway.poll(wait_ms=25_000))
        key = await make_key(db)

    assert polling.result()["batch"]["to"] == gateway.after
    assert key.id in gateway.of("key")


async def test_a_commit_of_another_control_plane_is_seen(db, connect, watching, watch):
    """Nothing is told in-process here: the change is found by looking at the database."""
    await make_team(db)
    gateway = connect()
    await gateway.poll()
    db.after_commit.remove(watch.notify)

    async with asyncio.TaskGroup() as group:
        polling = group.create_task(gateway.poll(wait_ms=25_000))
        await make_key(db)

    assert len(polling.result()["batch"]["upserts"]) == 1


async def test_a_poll_without_news_ends_empty_when_its_time_is_over(db, connect):
    await make_team(db)
    gateway = connect()
    await gateway.poll()

    reply = await gateway.poll(wait_ms=10)

    assert reply == {"revocations_to": 0}


async def test_polls_are_answered_when_the_link_is_closed(db, connect, watch):
    await make_team(db)
    gateway = connect()
    await gateway.poll()

    async with asyncio.TaskGroup() as group:
        polling = group.create_task(gateway.poll(wait_ms=25_000))
        group.create_task(asyncio.to_thread(lambda: None)).add_done_callback(
            lambda _: watch.close()
        )

    assert polling.result() == {"revocations_to": 0}


async def test_a_gateway_of_another_database_starts_over(db, connect):
    """Its revision is not one of ours: a batch on top of a foreign table would mix two platforms."""
    await make_team(db)
    older, newer = connect("gw_1"), connect("gw_2")
    older.after = 5
    newer.after, newer.revocations_after = 2**50, 9

    for gateway in (older, newer):
        reply = await gateway.poll()
        assert "snapshot" in reply
        assert gateway.revocations_after == 0


async def test_a_gateway_that_is_too_far_behind_gets_a_snapshot(db, connect, recent):
    db.after_commit.remove(recent.committed)  # what another control plane committed
    await make_team(db)
    gateway = connect()
    await gateway.poll()
    await make_key(db, "first")
    await make_key(db, "second")
    async with db.write() as tx:
        await revision.forget(tx, before=await revision.current(tx))

    reply = await gateway.poll()

    assert "snapshot" in reply
    assert len(gateway.of("key")) == 2


async def test_the_platform_is_declared_once_and_again_when_it_changes(db, connect):
    gateway = connect()
    async with db.write() as tx:
        await platform.declare(tx, platform.Declared("Canal & Co", "EUR"))
    await gateway.poll()
    async with db.write() as tx:
        await platform.declare(tx, platform.Declared("Canal & Co", "EUR"))
    same = await gateway.poll()
    async with db.write() as tx:
        await platform.declare(tx, platform.Declared("Canal & Co", "CHF"))
    await gateway.poll()

    assert same == {"revocations_to": 0}
    assert gateway.of("platform") == {"platform": {"name": "Canal & Co", "currency": "CHF"}}


async def test_networks_that_may_be_called_reach_the_gateways_when_they_change(db, connect):
    gateway = connect()
    known = {"name": "Canal & Co", "currency": "EUR"}
    async with db.write() as tx:
        await platform.declare(tx, platform.Declared(**known))
    await gateway.poll()
    async with db.write() as tx:
        await platform.declare(
            tx, platform.Declared(**known, egress_allow=("127.0.0.0/8", "10.0.0.0/8"))
        )
    await gateway.poll()
    listed = gateway.of("platform")
    async with db.write() as tx:
        await platform.declare(
            tx, platform.Declared(**known, egress_allow=("10.0.0.0/8", "127.0.0.0/8"))
        )
    same = await gateway.poll()
    async with db.write() as tx:
        await platform.declare(tx, platform.Declared(**known))
    await gateway.poll()

    assert listed == {"platform": known | {"egress_allow": ["10.0.0.0/8", "127.0.0.0/8"]}}
    assert same == {"revocations_to": 0}
    assert gateway.of("platform") == {"platform": known}


async def test_how_old_the_table_may_be_reaches_the_gateways_when_it_changes(db, connect):
    gateway = connect()
    known = {"name": "Canal & Co", "currency": "EUR"}
    ages = {"confidential": 600_000, "restricted": 60_000}
    async with db.write() as tx:
        await platform.declare(tx, platform.Declared(**known))
    await gateway.poll()
    never = gateway.of("platform")
    async with db.write() as tx:
        await platform.declare(tx, platform.Declared(**known, max_table_age_ms=ages))
    await gateway.poll()
    set_ = gateway.of("platform")
    async with db.write() as tx:
        await platform.declare(tx, platform.Declared(**known, max_table_age_ms=ages))
    same = await gateway.poll()
    async with db.write() as tx:
        await platform.declare(tx, platform.Declared(**known))
    await gateway.poll()

    assert never == gateway.of("platform") == {"platform": known}
    assert set_ == {"platform": known | {"max_table_age_ms": ages}}
    assert same == {"revocations_to": 0}


operations = st.lists(
    st.sampled_from(["team", "project", "key", "rename", "revoke", "poll"]), max_size=25
)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "read again"])
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=operations)
async def test_snapshot_and_batches_lead_to_the_fresh_snapshot(db, connect, recent, kept, plan):
    """Property: however changes and polls are interleaved, both ways end in the same table."""
    if not kept and recent.committed in db.after_commit:
        db.after_commit.remove(recent.committed)
    follower, number = connect("gw_follower"), 0
    made: dict[str, list[str]] = {"team": [], "key": []}
    prefix = f"t{id(plan) % 10**9}"
    for step in plan:
        number += 1
        name = f"{prefix}-{number}"
        if step == "poll":
            await follower.poll()
            continue
        async with db.write() as tx:
            try:
                await change(tx, step, name, made)
            except TowpathError:
                continue
    await follower.poll()
    fresh = connect("gw_fresh")

    await fresh.poll()

    assert follower.table == fresh.table


async def change(tx, step, name, made):
    """Make one change, if there is something to change."""
    if step == "team":
        await teams.create(tx, SYSTEM, name=name)
        made["team"].append(name)
        await projects.create(tx, SYSTEM, team=name, name="chat")
    elif step == "project" and made["team"]:
        await projects.create(tx, SYSTEM, team=made["team"][-1], name=name)
    elif step == "key" and made["team"]:
        key, _ = await keys.create(
            tx,
            SYSTEM,
            project=f"{made['team'][-1]}/chat",
            environment=Environment.PRODUCTION,
            name=name,
        )
        made["key"].append(key.id)
    elif step == "rename" and made["team"]:
        old = made["team"].pop()
        await teams.update(tx, SYSTEM, old, name=name, if_match=None)
        made["team"].append(name)
    elif step == "revoke" and made["key"]:
        await keys.delete(tx, SYSTEM, made["key"].pop(), if_match=None)


@pytest.mark.timeout(180)
async def test_with_100_000_keys_a_keys_change_costs_bytes_for_that_key_alone(db, connect):
    await make_team(db)
    sample = await make_key(db)
    async with db.write() as tx:
        row = (await tx.execute(keys_table.select())).one()._mapping
        for start in range(0, 100_000, 1_000):
            await tx.execute(
                insert(keys_table),
                [
                    dict(row) | {"id": f"key_{n:026d}", "hash": f"{n:064x}", "name": f"k{n}"}
                    for n in range(start, start + 1_000)
                ],
            )
    gateway = connect()
    await gateway.poll()
    held = len(gateway.of("key"))

    async with db.write() as tx:
        await keys.update(tx, SYSTEM, sample.id, changes={"name": "renamed"}, if_match=None)
        await revision.bump(tx, "key", f"key_{7:026d}")
    reply = await gateway.poll()

    assert held == 100_001
    assert len(reply["batch"]["upserts"]) <= 2
    assert len(str(reply)) < 1_000
