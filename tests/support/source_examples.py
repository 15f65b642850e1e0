"""Examples of the routes of connections and imports; see `examples`."""

from typing import Any

from examples import Call, World, example


def _connection(world: World) -> dict[str, Any]:
    return {
        "name": world.name("connection"),
        "team": world.teams["alpha"],
        "location": "s3://models/alpha/",
        "endpoint": "https://s3.example.com",
        "username": "alpha",
        "credential": "a-secret-of-alpha",
    }


async def _connection_path(world: World) -> str:
    made = await world.api.create("/connections", **_connection(world))
    return f"/connections/{made['id']}"


@example("POST", "/connections")
async def _(world: World) -> Call:
    return Call("/connections", _connection(world))


@example("GET", "/connections")
async def _(world: World) -> Call:
    return Call("/connections")


@example("GET", "/connections/{connection}")
async def _(world: World) -> Call:
    return Call(await _connection_path(world))


@example("PATCH", "/connections/{connection}")
async def _(world: World) -> Call:
    return Call(await _connection_path(world), {"region": "eu-central-1"})


@example("DELETE", "/connections/{connection}")
async def _(world: World) -> Call:
    return Call(await _connection_path(world))


async def _import(world: World) -> Call:
    model = await world.model()
    body = {"uri": f"hf://acme/{world.name('triage')}:main"}
    return Call(f"/models/{model['id']}/imports", body)


async def _import_path(world: World) -> str:
    call = await _import(world)
    made = await world.api.call("POST", call.path, call.body, status=202)
    return f"/imports/{made.json()['id']}"


@example("POST", "/models/{model}/imports")
async def _(world: World) -> Call:
    return await _import(world)


@example("GET", "/imports")
async def _(world: World) -> Call:
    return Call("/imports")


@example("GET", "/imports/{import}")
async def _(world: World) -> Call:
    return Call(await _import_path(world))


@example("DELETE", "/imports/{import}")
async def _(world: World) -> Call:
    return Call(await _import_path(world))
