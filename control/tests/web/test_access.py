"""The table of access, over every route: own team, foreign team, lists, and what errors say."""

import json
import re

import pytest
from examples import World
from routes import ROUTES, Route

from towpath_server.core.access import TABLE, Role, Verb

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What each actor holds where the thing belongs to `alpha/one`. Written down by hand: the test must not
# ask the code under test.
HELD: dict[str, set[Role]] = {
    "platform": {Role.PLATFORM},
    "auditor": {Role.AUDITOR},
    "alpha admin": {Role.ADMIN},
    "alpha developer": {Role.DEVELOPER},
    "alpha viewer": {Role.VIEWER},
    "alpha/one key": {Role.SCOPE_READ, Role.SCOPE_INVOKE},
    "alpha/one invoke key": {Role.SCOPE_INVOKE},
    "alpha/one account": {Role.SCOPE_READ, Role.SCOPE_INVOKE, Role.SCOPE_DEPLOY},
    "beta admin": set(),
    "beta/one key": set(),
    "beta/one account": set(),
    "newcomer": set(),
}
# An upload belongs to whoever sent it: roles in any team count.
HELD_ANYWHERE = {
    "beta admin": {Role.ADMIN},
    "beta/one account": {Role.SCOPE_READ, Role.SCOPE_INVOKE, Role.SCOPE_DEPLOY},
    "beta/one key": {Role.SCOPE_READ, Role.SCOPE_INVOKE},
}
UPLOADS = {("artifact", "PUT"), ("file", "POST"), ("upload", "POST")}
ORGANISATION = {"block", "user", "user_token", "provider", "runtime", "node"}
# What belongs to teams alone is hidden from others; what everybody may see is not.
TEAM_LISTS = [r for r in ROUTES if r.is_list and r.noun not in ORGANISATION]
HIDDEN = [
    r
    for r in ROUTES
    if r.has_example
    and "{" in r.path
    and not r.streaming
    and Role.ANYONE not in TABLE[r.noun][Verb.READ]
]


@pytest.fixture(scope="module")
def shared_engine() -> str:
    """Rules do not depend on the engine; the other suites run on both."""
    return "sqlite"


@pytest.mark.parametrize("route", [r for r in ROUTES if r.has_example], ids=str)
async def test_the_table_decides(route: Route, world: World) -> None:
    allowed = TABLE[route.noun].get(route.verb, frozenset())
    wrong = []
    for actor, held in HELD.items():
        call = await route.make(world)
        answer = await world.api.as_(world.tokens[actor]).call(
            route.method, call.path, call.body, content=call.content, headers=call.headers
        )
        upload = (route.noun, route.method) in UPLOADS and "{upload}" not in route.path
        counted = HELD_ANYWHERE.get(actor, held) if upload else held
        may = bool(counted & allowed) or Role.ANYONE in allowed
        if not _as_expected(route, answer.status_code, may=may, known=bool(held)):
            wrong.append((actor, answer.status_code, answer.text[:200]))
        elif answer.status_code >= 400 and route.method != "HEAD":
            sent = call.path + json.dumps(call.body)
            leaked = [i for i in _ids(answer.json()) if i not in sent]
            assert not leaked, (actor, answer.text)

    assert wrong == []


@pytest.mark.parametrize("route", [r for r in ROUTES if r.has_example], ids=str)
async def test_without_a_valid_key_the_answer_is_401(route: Route, world: World) -> None:
    call = await route.make(world)

    for token in (None, "tp_sandbox_" + "x" * 38, "nonsense", world.tokens["newcomer"] + "x"):
        answer = await world.api.as_(token).call(
            route.method, call.path, call.body, content=call.content, headers=call.headers
        )
        assert answer.status_code == 401


@pytest.mark.parametrize("route", TEAM_LISTS, ids=str)
async def test_a_list_shows_nothing_of_a_foreign_team(route: Route, world: World) -> None:
    for other in [r for r in ROUTES if r.noun == route.noun and r.method == "POST"]:
        call = await other.make(world)
        await world.api.call("POST", call.path, call.body)
    for actor in ("beta admin", "beta/one key", "beta/one account", "newcomer"):
        caller = world.api.as_(world.tokens[actor])
        answer = await caller.call("GET", (await route.make(world)).path)
        items = answer.json().get("items") or answer.json().get("data") or ()
        # a refused attempt of the caller's own names what the caller sent
        shown = json.dumps([item for item in items if item.get("outcome") != "refused"])

        assert world.teams["alpha"] not in shown
        assert world.project not in shown


@pytest.mark.parametrize("route", HIDDEN, ids=str)
async def test_foreign_and_absent_things_answer_alike(route: Route, world: World) -> None:
    call = await route.make(world)
    parts = call.path.split("/")
    absent = [re.sub(r"[0-9a-z]{26}", "0" * 26, part) for part in parts]
    beta = world.api.as_(world.tokens["beta admin"])

    foreign = await beta.call(route.method, call.path, call.body)
    nothing = await beta.call(route.method, "/".join(absent), call.body)

    assert _masked(foreign.text) == _masked(nothing.text)
    assert foreign.status_code == nothing.status_code == 404


def _as_expected(route: Route, status: int, *, may: bool, known: bool) -> bool:
    if may:
        return status < 300
    if route.is_list:
        return status in {200, 403}  # an empty list, or not for this kind of caller
    if route.noun in ORGANISATION or (route.noun, route.method) == ("team", "POST"):
        return status in {403, 404}
    if route.noun in {"artifact", "upload"} or (route.noun, route.method) in UPLOADS:
        return status in {403, 404}
    return status == 404 if not known else status in {403, 404}


def _ids(problem: dict[str, object]) -> list[str]:
    inner = problem.get("error", problem)
    assert isinstance(inner, dict)
    problem = {name: value for name, value in inner.items() if name != "request_id"}
    return re.findall(r"[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}", json.dumps(problem))


def _masked(text: str) -> str:
    return re.sub(r"[0-9a-z]{26}", "*", text)
