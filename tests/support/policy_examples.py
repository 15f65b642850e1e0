"""Examples of the routes of policies; see `examples`."""

from typing import Any

from examples import Call, World, example


def document(name: str, team: str | None = "alpha", **spec: Any) -> dict[str, Any]:
    """Return a policy that refuses what has more than four replicas."""
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "Policy",
        "metadata": {"name": name, "team": team} if team else {"name": name},
        "spec": {
            "mode": "enforce",
            "validations": [
                {
                    "expression": "resources.replicas <= 4",
                    "message": "Four replicas are enough",
                    "fix": "Ask for at most four.",
                    "path": "#/spec/scaling/maxReplicas",
                }
            ],
            **spec,
        },
    }


async def _policy(world: World) -> str:
    name = world.name("policy")
    made: Any = await world.api.create("/policies", **document(name, world.teams["alpha"]))
    return f"/policies/{made['id']}"


@example("POST", "/policies")
async def _(world: World) -> Call:
    return Call("/policies", document(world.name("policy"), world.teams["alpha"]))


@example("POST", "/policies/evaluate")
async def _(world: World) -> Call:
    case = {"environment": "production", "manifest": {"spec": {}}}
    return Call("/policies/evaluate", {"team": world.teams["alpha"], "cases": [case]})


@example("GET", "/policies")
async def _(world: World) -> Call:
    return Call("/policies")


@example("GET", "/policies/{policy}")
async def _(world: World) -> Call:
    return Call(await _policy(world))


@example("GET", "/policies/{policy}/versions")
async def _(world: World) -> Call:
    return Call(f"{await _policy(world)}/versions")


@example("DELETE", "/policies/{policy}")
async def _(world: World) -> Call:
    return Call(await _policy(world))


@example("GET", "/policy-defaults")
async def _(world: World) -> Call:
    return Call("/policy-defaults")


@example("GET", "/policy-defaults/{default}")
async def _(world: World) -> Call:
    return Call("/policy-defaults/approved-runtimes")
