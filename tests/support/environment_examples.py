"""Examples of the routes from one environment to the next; see `examples`."""

from typing import Any

from examples import Call, World, example
from serving_examples import deployment

from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.models import Phase


async def ready(world: World, environment: str) -> str:
    """Deploy, and let it be as the loop leaves it; return its id."""
    made = await deployment(world, environment)
    assert world.db is not None
    async with world.db.write() as tx:
        view = await deployments.load(tx, made)
        assert view is not None
        await deployments.expose(tx, view)
        view = await deployments.load(tx, made)
        assert view is not None
        await deployments.conclude(tx, view, Phase.READY, view.deployment.conditions, None)
    return made


async def _wish(world: World) -> dict[str, Any]:
    payload = {"deployment": await ready(world, "staging"), "to": "production"}
    return {"kind": "promotion", "payload": payload, "reason": "it is better"}


async def _approval(world: World) -> str:
    """Return the path of a request that the platform's admin may decide."""
    developer = world.api.as_(world.tokens["alpha developer"])
    return f"/approvals/{(await developer.create('/approvals', **await _wish(world)))['id']}"


@example("POST", "/deployments/{deployment}/promote")
async def _(world: World) -> Call:
    return Call(f"/deployments/{await ready(world, 'sandbox')}/promote", {"to": "staging"})


@example("POST", "/deployments/{deployment}/renew")
async def _(world: World) -> Call:
    return Call(f"/deployments/{await deployment(world, 'sandbox')}/renew")


async def _rolling(world: World) -> str:
    """Return the path of a rollout that is under way."""
    made = await ready(world, "sandbox")
    manifest = (await world.api.get(f"/deployments/{made}"))["manifest"]
    rollout = {"steps": [{"weight": 10, "hold": "5m"}]}
    spec = {**manifest["spec"], "runtime": {"name": "onnx", "args": ["--max-batch=2"]}}
    body = {**manifest, "spec": {**spec, "rollout": rollout}}
    await world.api.call("POST", "/deployments?environment=sandbox", body, status=200)
    return f"/deployments/{made}/rollout"


@example("GET", "/deployments/{deployment}/rollout")
async def _(world: World) -> Call:
    return Call(await _rolling(world))


@example("POST", "/deployments/{deployment}/rollout/pause")
async def _(world: World) -> Call:
    return Call(f"{await _rolling(world)}/pause")


@example("POST", "/deployments/{deployment}/rollout/resume")
async def _(world: World) -> Call:
    path = await _rolling(world)
    await world.api.call("POST", f"{path}/pause", status=200)
    return Call(f"{path}/resume")


@example("POST", "/deployments/{deployment}/rollout/finish")
async def _(world: World) -> Call:
    return Call(f"{await _rolling(world)}/finish")


@example("POST", "/deployments/{deployment}/rollout/abort")
async def _(world: World) -> Call:
    return Call(f"{await _rolling(world)}/abort")


@example("POST", "/approvals")
async def _(world: World) -> Call:
    return Call("/approvals", await _wish(world))


@example("GET", "/approvals")
async def _(world: World) -> Call:
    return Call("/approvals")


@example("GET", "/approvals/{approval}")
async def _(world: World) -> Call:
    return Call(await _approval(world))


@example("POST", "/approvals/{approval}/approve")
async def _(world: World) -> Call:
    return Call(f"{await _approval(world)}/approve", {"comment": "well done"})


@example("POST", "/approvals/{approval}/reject")
async def _(world: World) -> Call:
    return Call(f"{await _approval(world)}/reject", {"comment": "too early"})


@example("GET", "/models/{model}/served")
async def _(world: World) -> Call:
    return Call(f"/models/{(await world.model())['id']}/served")


@example("GET", "/adoption/self-service")
async def _(world: World) -> Call:
    return Call("/adoption/self-service")
