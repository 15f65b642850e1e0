"""Limits, budgets and blocks on the whole platform: in force with the answer that sets them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import ledger
import pytest
from fake_upstream import FakeUpstream
from towpath_up import Up, eventually


class World:
    """A project with an endpoint on the scripted upstream, and a key that calls it."""

    def __init__(self, up: Up, upstream: FakeUpstream) -> None:
        self.up = up
        self.create("/teams", name="care")
        self.create("/projects", team="care", name="chat")
        target = {"url": upstream.base_url, "dialect": "openai", "model": "admitted"}
        self.create(
            "/endpoints",
            name="admitted",
            environment="sandbox",
            project="care/chat",
            targets=[{"static": target, "weight": 1}],
        )
        made = self.create("/keys", project="care/chat", environment="sandbox", name="caller")
        self.key_id, self.key = made["id"], made["key"]

    def api(self, method: str, path: str, status: int, body: Any = None) -> httpx2.Response:
        """Change something, and see that the gateway has it in force."""
        with self.up.api() as api:
            answer = api.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        if method != "GET":
            assert answer.headers["x-towpath-applied"] == "true"
        return answer

    def create(self, path: str, **body: Any) -> dict[str, Any]:
        return self.api("POST", path, 201, body).json()

    def call(self, **more: Any) -> httpx2.Response:
        body = {"model": "admitted", "messages": [{"role": "user", "content": "hello"}], **more}
        headers = {"authorization": f"Bearer {self.key}"}
        url = f"{self.up.address}/v1/chat/completions"
        return httpx2.post(url, json=body, headers=headers, timeout=30)


@pytest.fixture
def world(up: Up, upstream: FakeUpstream) -> World:
    upstream.script("admitted", tokens=6)
    return World(up, upstream)


def test_a_key_over_its_rate_is_told_when_there_is_room_again(world):
    limit = world.create("/limits", key=world.key_id, requests_per_minute={"limit": 1, "burst": 2})

    answers = [world.call() for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert "key caller of care/chat" in refused.headers["x-towpath-limit"]
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert refused.headers["x-ratelimit-limit-requests"] == "1"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"

    def said() -> bool:
        return world.api("GET", f"/limits/{limit['id']}/state", 200).json()["refused"] == 1

    eventually(said, "refusal in the limit's state")


def test_a_changed_limit_is_in_force_with_the_answer(world):
    limit = world.create("/limits", project="care/chat", requests_per_minute={"limit": 1})
    first, second = world.call(), world.call()

    world.api("DELETE", f"/limits/{limit['id']}", 204)
    third = world.call()
    world.create("/limits", team="care", endpoint="admitted", requests_per_minute={"limit": 1})
    fourth, fifth = world.call(), world.call()

    answers = [first, second, third, fourth, fifth]
    assert [answer.status_code for answer in answers] == [200, 429, 200, 200, 429]


def test_what_is_blocked_is_refused_with_the_answer_and_let_go_with_the_next(world):
    block = world.create("/blocks", endpoint="admitted", reason="it leaks its prompt")
    blocked = world.call()

    world.api("DELETE", f"/blocks/{block['id']}", 204)
    free = world.call()

    assert blocked.status_code == 403
    assert "it leaks its prompt" in blocked.text
    assert free.status_code == 200


def used(world: World, budget: str) -> int:
    """Return what the ledger says of a budget once it has all records of the gateway."""
    state: dict[str, Any] = {}

    def shipped() -> bool:
        nonlocal state
        with world.up.api() as api:
            answer = api.get(f"/budgets/{budget}/state")
        if answer.status_code == 503:
            return False  # the control plane comes back
        assert answer.status_code == 200, answer.text
        state = answer.json()
        return state["used"] > 0 and state["unshipped"] == state["reserved"] == 0

    eventually(shipped, "ledger with every record")
    return state["used"]


def spent(world: World) -> int:
    """Return the tokens of all records."""
    with world.up.api() as api:
        records = ledger.everything(api)
    return sum((one["input_tokens"] or 0) + (one["output_tokens"] or 0) for one in records)


def exhaust(world: World) -> tuple[str, list[httpx2.Response]]:
    """Set a hard budget and call from many threads until nobody gets through."""
    budget = world.create("/budgets", project="care/chat", tokens=400, period="month", mode="hard")
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: world.call(max_tokens=6), range(120)))
    return budget["id"], answers


def test_a_hard_budget_is_never_over_however_many_call(world):
    budget, answers = exhaust(world)

    assert {answer.status_code for answer in answers} == {200, 429}
    refused = [answer for answer in answers if answer.status_code == 429][-1]
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    assert "x-towpath-retry-at" in refused.headers
    assert 0 < used(world, budget) <= 400
    assert used(world, budget) == spent(world)


def test_a_hard_budget_outlives_both_of_its_keepers(world):
    """Neither the gateway's sudden end nor the control plane's renews it or counts twice."""
    budget, _ = exhaust(world)
    before = used(world, budget)

    for part in ("gateway", "control"):
        former = world.up.kill(part)
        world.up.replaced(part, former)
        world.up.ready()
        again = [world.call(max_tokens=400).status_code for _ in range(3)]
        assert again == [429, 429, 429], part

    assert used(world, budget) == before == spent(world) <= 400
