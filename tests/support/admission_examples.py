"""Examples of the routes about how much: limits, budgets, blocks; see `examples`."""

from typing import Any

from examples import Call, World, example


async def _limit(world: World) -> str:
    """Set a limit as the team does: what the platform set, a team cannot change."""
    admin = world.api.as_(world.tokens["alpha admin"])
    made: Any = await admin.create("/limits", project=world.project, requests_per_minute=600)
    return f"/limits/{made['id']}"


@example("POST", "/limits")
async def _(world: World) -> Call:
    key = await world.key()
    return Call("/limits", {"key": key["id"], "requests_per_minute": {"limit": 600, "burst": 20}})


@example("GET", "/limits")
async def _(world: World) -> Call:
    return Call("/limits")


@example("GET", "/limits/{limit}")
async def _(world: World) -> Call:
    return Call(await _limit(world))


@example("GET", "/limits/{limit}/state")
async def _(world: World) -> Call:
    return Call(f"{await _limit(world)}/state")


@example("PATCH", "/limits/{limit}")
async def _(world: World) -> Call:
    return Call(await _limit(world), {"tokens_per_minute": 60_000, "requests_per_minute": None})


@example("DELETE", "/limits/{limit}")
async def _(world: World) -> Call:
    return Call(await _limit(world))


async def _budget(world: World) -> str:
    admin = world.api.as_(world.tokens["alpha admin"])
    made: Any = await admin.create(
        "/budgets", project=world.project, tokens=1_000_000, period="day", mode="hard"
    )
    return f"/budgets/{made['id']}"


@example("POST", "/budgets")
async def _(world: World) -> Call:
    key = await world.key()
    return Call("/budgets", {"key": key["id"], "cost": "250.00", "period": "month", "mode": "soft"})


@example("GET", "/budgets")
async def _(world: World) -> Call:
    return Call("/budgets")


@example("GET", "/budgets/{budget}")
async def _(world: World) -> Call:
    return Call(await _budget(world))


@example("GET", "/budgets/{budget}/state")
async def _(world: World) -> Call:
    return Call(f"{await _budget(world)}/state")


@example("PATCH", "/budgets/{budget}")
async def _(world: World) -> Call:
    return Call(await _budget(world), {"tokens": 2_000_000, "mode": "soft"})


@example("DELETE", "/budgets/{budget}")
async def _(world: World) -> Call:
    return Call(await _budget(world))


async def _block(world: World) -> str:
    made: Any = await world.api.create("/blocks", model=world.name("model"))
    return f"/blocks/{made['id']}"


@example("POST", "/blocks")
async def _(world: World) -> Call:
    return Call("/blocks", {"model": world.name("model"), "reason": "it leaks its prompt"})


@example("GET", "/blocks")
async def _(world: World) -> Call:
    return Call("/blocks")


@example("GET", "/blocks/{block}")
async def _(world: World) -> Call:
    return Call(await _block(world))


@example("DELETE", "/blocks/{block}")
async def _(world: World) -> Call:
    return Call(await _block(world))


ROOM = 10_000  # what other examples deploy to staging is never ended


async def _quotas(world: World) -> list[Any]:
    """A team has one per environment."""
    found: Any = await world.api.get(f"/quotas?team={world.teams['alpha']}&environment=staging")
    return found["items"]


async def _quota(world: World) -> str:
    found = await _quotas(world)
    made: Any = found[0] if found else None
    if made is None:
        body = {"team": world.teams["alpha"], "environment": "staging", "replicas": ROOM}
        made = await world.api.create("/quotas", **body)
    return f"/quotas/{made['id']}"


@example("POST", "/quotas")
async def _(world: World) -> Call:
    for one in await _quotas(world):
        await world.api.call("DELETE", f"/quotas/{one['id']}", status=204)
    cpu = world.name("cpu").removeprefix("cpu-")
    body = {"team": world.teams["alpha"], "environment": "staging", "cpu": cpu, "memory": "64Gi"}
    return Call("/quotas", {**body, "replicas": ROOM, "gpus": {"h100-80gb": 8}})


@example("GET", "/quotas")
async def _(world: World) -> Call:
    return Call("/quotas")


@example("GET", "/quotas/{quota}")
async def _(world: World) -> Call:
    return Call(await _quota(world))


@example("GET", "/quotas/{quota}/state")
async def _(world: World) -> Call:
    return Call(f"{await _quota(world)}/state")


@example("PATCH", "/quotas/{quota}")
async def _(world: World) -> Call:
    return Call(await _quota(world), {"replicas": ROOM + 1, "gpus": None})


@example("DELETE", "/quotas/{quota}")
async def _(world: World) -> Call:
    return Call(await _quota(world))
