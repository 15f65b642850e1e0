"""
One example per route of the API: what the tests over all routes send.

`EXAMPLES` maps a method and a route to a function that prepares what the route needs in a `World` and
returns the call. Everything an example makes belongs to the project `alpha/one`, unless its noun is the
organisation's own. A new route needs an example here; a test says so.
"""

import hashlib
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import artifacts
from platform_api import Api

from towpath_server.core.db import Database

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Call:
    """What to send."""

    path: str
    body: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class World:
    """Two teams, three projects and everybody who may call."""

    api: Api
    """The platform's admin."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Tokens by actor; see `ACTORS` in the test of access."""
    users: dict[str, str] = field(default_factory=dict)
    project: str = ""
    """Id of `alpha/one`."""
    teams: dict[str, str] = field(default_factory=dict)
    """Ids of the teams by name."""
    db: Database | None = None
    """For what only loops and gateways write."""

    def name(self, stem: str = "thing") -> str:
        """Return a name that is used once."""
        return f"{stem}-{next(_numbers)}"

    async def key(self, **more: Any) -> Any:
        """Create a key in `alpha/one`."""
        body = {"project": self.project, "environment": "sandbox", "name": self.name("key"), **more}
        return await self.api.create("/keys", **body)

    async def user(self, **more: Any) -> Any:
        """Create a user."""
        name = self.name("user")
        return await self.api.create("/users", name=name, email=f"{name}@example.org", **more)

    async def blob(self) -> dict[str, Any]:
        """Upload a file for the team `alpha`, and return how a version names it."""
        content = artifacts.texts_to_labels(self.name("weights"))
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        uploader = self.api.as_(self.tokens["alpha developer"])
        await uploader.call("PUT", f"/blobs/{digest}", content=content, status=201)
        return {"path": "model.onnx", "digest": digest, "size": len(content)}

    async def model(self) -> Any:
        """Create a model in `alpha/one`."""
        return await self.api.create("/models", name=self.name("model"), project=self.project)

    def static(self) -> dict[str, Any]:
        """Return a static target."""
        return {
            "weight": 100,
            "static": {
                "url": "http://gpu-9.internal:9/v1",
                "model": "tiny",
                "name": self.name("static"),
            },
        }

    def endpoint_body(self) -> dict[str, Any]:
        """Return the body of a new endpoint of `alpha/one`."""
        return {
            "name": self.name("endpoint"),
            "environment": "sandbox",
            "project": self.project,
            "targets": [self.static()],
            "access": {"visibility": "project"},
        }


Make = Callable[[World], Awaitable[Call]]
EXAMPLES: dict[tuple[str, str], Make] = {}


def example(method: str, route: str) -> Callable[[Make], Make]:
    """Register the example of a route, written as in its router and without `/api/v1`."""

    def register(make: Make) -> Make:
        EXAMPLES[method, route] = make
        return make

    return register


async def build(api: Api, db: Database | None = None) -> World:
    """Make the world, through the API."""
    world = World(api, db=db)
    for team in ("alpha", "beta"):
        world.teams[team] = (await api.create("/teams", name=team))["id"]
    world.project = (await api.create("/projects", team="alpha", name="one"))["id"]
    await api.create("/projects", team="alpha", name="two")
    await api.create("/projects", team="beta", name="one")
    for role in ("viewer", "developer", "admin"):
        for team in ("alpha", "beta"):
            await _person(world, f"{team} {role}", team=team, role=role)
    await _person(world, "newcomer")
    await _person(world, "auditor", platform_role="auditor")
    await _person(world, "platform", platform_role="platform")
    for actor, project, scopes in (
        ("alpha/one key", "alpha/one", ["invoke", "read"]),
        ("alpha/one invoke key", "alpha/one", ["invoke"]),
        ("alpha/two key", "alpha/two", ["invoke", "read"]),
        ("beta/one key", "beta/one", ["invoke", "read"]),
    ):
        key = await world.key(project=project, scopes=scopes)
        world.tokens[actor] = key["key"]
    for project in ("alpha/one", "beta/one"):
        account = await api.create(
            "/service-accounts",
            project=project,
            name=world.name("robot"),
            scopes=["invoke", "read", "deploy"],
        )
        world.tokens[f"{project} account"] = account["token"]
    return world


async def _person(world: World, actor: str, *, team: str = "", role: str = "", **more: Any) -> None:
    user = await world.user(**more)
    world.users[actor] = user["id"]
    token = await world.api.create(f"/users/{user['id']}/tokens", name="laptop")
    world.tokens[actor] = token["token"]
    if team:
        await world.api.create("/members", team=team, user=user["id"], role=role)


@example("POST", "/teams")
async def _(world: World) -> Call:
    return Call("/teams", {"name": world.name("team")})


@example("GET", "/teams")
async def _(world: World) -> Call:
    return Call("/teams")


@example("GET", "/teams/{team}")
async def _(world: World) -> Call:
    return Call(f"/teams/{world.teams['alpha']}")


@example("PATCH", "/teams/{team}")
async def _(world: World) -> Call:
    return Call(f"/teams/{world.teams['alpha']}", {"name": world.name("alpha")})


@example("DELETE", "/teams/{team}")
async def _(world: World) -> Call:
    team = await world.api.create("/teams", name=world.name("team"))
    return Call(f"/teams/{team['id']}")


@example("POST", "/users")
async def _(world: World) -> Call:
    name = world.name("user")
    return Call("/users", {"name": name, "email": f"{name}@example.org"})


@example("GET", "/users")
async def _(world: World) -> Call:
    return Call("/users")


@example("GET", "/users/{user}")
async def _(world: World) -> Call:
    return Call(f"/users/{(await world.user())['id']}")


@example("PATCH", "/users/{user}")
async def _(world: World) -> Call:
    return Call(f"/users/{(await world.user())['id']}", {"name": world.name("Ada")})


@example("DELETE", "/users/{user}")
async def _(world: World) -> Call:
    return Call(f"/users/{(await world.user())['id']}")


@example("POST", "/users/{user}/tokens")
async def _(world: World) -> Call:
    return Call(f"/users/{(await world.user())['id']}/tokens", {"name": "laptop"})


@example("GET", "/users/{user}/tokens")
async def _(world: World) -> Call:
    return Call(f"/users/{(await world.user())['id']}/tokens")


async def _token(world: World) -> str:
    user = await world.user()
    token = await world.api.create(f"/users/{user['id']}/tokens", name="laptop")
    return f"/users/{user['id']}/tokens/{token['id']}"


@example("GET", "/users/{user}/tokens/{token}")
async def _(world: World) -> Call:
    return Call(await _token(world))


@example("DELETE", "/users/{user}/tokens/{token}")
async def _(world: World) -> Call:
    return Call(await _token(world))


async def _member(world: World) -> str:
    user = await world.user()
    member = await world.api.create(
        "/members", team=world.teams["alpha"], user=user["id"], role="viewer"
    )
    return f"/members/{member['id']}"


@example("POST", "/members")
async def _(world: World) -> Call:
    user = await world.user()
    return Call("/members", {"team": world.teams["alpha"], "user": user["id"], "role": "viewer"})


@example("GET", "/members")
async def _(world: World) -> Call:
    return Call("/members")


@example("GET", "/members/{member}")
async def _(world: World) -> Call:
    return Call(await _member(world))


@example("PATCH", "/members/{member}")
async def _(world: World) -> Call:
    return Call(await _member(world), {"role": "developer"})


@example("DELETE", "/members/{member}")
async def _(world: World) -> Call:
    return Call(await _member(world))


@example("POST", "/projects")
async def _(world: World) -> Call:
    return Call("/projects", {"team": world.teams["alpha"], "name": world.name("project")})


@example("GET", "/projects")
async def _(world: World) -> Call:
    return Call("/projects")


@example("GET", "/projects/{project:path}")
async def _(world: World) -> Call:
    return Call(f"/projects/{world.project}")


@example("PATCH", "/projects/{project:path}")
async def _(world: World) -> Call:
    project = await world.api.create(
        "/projects", team=world.teams["alpha"], name=world.name("project")
    )
    return Call(f"/projects/{project['id']}", {"name": world.name("project")})


@example("DELETE", "/projects/{project:path}")
async def _(world: World) -> Call:
    project = await world.api.create(
        "/projects", team=world.teams["alpha"], name=world.name("project")
    )
    return Call(f"/projects/{project['id']}")


async def _application(world: World) -> str:
    made = await world.api.create(
        "/applications", project=world.project, name=world.name("application")
    )
    return f"/applications/{made['id']}"


@example("POST", "/applications")
async def _(world: World) -> Call:
    return Call(
        "/applications",
        {
            "project": world.project,
            "name": world.name("application"),
            "owner": "care",
            "contact": "#care",
            "use_case": "triage",
        },
    )


@example("GET", "/applications")
async def _(world: World) -> Call:
    return Call("/applications")


@example("GET", "/applications/{application}")
async def _(world: World) -> Call:
    return Call(await _application(world))


@example("PATCH", "/applications/{application}")
async def _(world: World) -> Call:
    return Call(await _application(world), {"contact": "#triage"})


@example("DELETE", "/applications/{application}")
async def _(world: World) -> Call:
    return Call(await _application(world))


@example("POST", "/keys")
async def _(world: World) -> Call:
    return Call(
        "/keys", {"project": world.project, "environment": "sandbox", "name": world.name("key")}
    )


@example("GET", "/keys")
async def _(world: World) -> Call:
    return Call("/keys")


@example("GET", "/keys/{key}")
async def _(world: World) -> Call:
    return Call(f"/keys/{(await world.key())['id']}")


@example("PATCH", "/keys/{key}")
async def _(world: World) -> Call:
    return Call(f"/keys/{(await world.key())['id']}", {"operations": ["chat"]})


@example("POST", "/keys/{key}/rotate")
async def _(world: World) -> Call:
    return Call(f"/keys/{(await world.key())['id']}/rotate", {"grace": "1h"})


@example("DELETE", "/keys/{key}")
async def _(world: World) -> Call:
    return Call(f"/keys/{(await world.key())['id']}")


async def _account(world: World) -> str:
    made = await world.api.create(
        "/service-accounts", project=world.project, name=world.name("robot"), scopes=["read"]
    )
    return f"/service-accounts/{made['id']}"


@example("POST", "/service-accounts")
async def _(world: World) -> Call:
    return Call(
        "/service-accounts",
        {"project": world.project, "name": world.name("robot"), "scopes": ["deploy"]},
    )


@example("GET", "/service-accounts")
async def _(world: World) -> Call:
    return Call("/service-accounts")


@example("GET", "/service-accounts/{account}")
async def _(world: World) -> Call:
    return Call(await _account(world))


@example("PATCH", "/service-accounts/{account}")
async def _(world: World) -> Call:
    return Call(await _account(world), {"scopes": ["read", "invoke"]})


@example("DELETE", "/service-accounts/{account}")
async def _(world: World) -> Call:
    return Call(await _account(world))


@example("GET", "/audit")
async def _(world: World) -> Call:
    return Call("/audit")
