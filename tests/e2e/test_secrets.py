"""Twenty canaries go in by every way a secret can, and are looked for everywhere they must not be."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx2
from fake_upstream import FakeUpstream
from towpath_up import ADMIN_KEY, Up, eventually

from towpath_server.core.folder import DataFolder

# The one folder that may hold secrets as they are: its files are 0600 and made by the platform itself.
ALLOWED = "secrets"


class Canaries:
    """Secrets that stand out, and everything the platform ever answered."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {"admin key": ADMIN_KEY}
        self.answers: list[str] = []

    def new(self, where: str) -> str:
        """Make a canary for one way in."""
        return self.keep(where, f"canary-{secrets.token_hex(16)}")

    def keep(self, where: str, value: str) -> str:
        """Remember a secret that the platform itself made."""
        self.values[where] = value
        return value

    def heard(self, answer: httpx2.Response, *, secret: str | None = None) -> httpx2.Response:
        """Keep an answer; the one secret it may show, once, is taken out."""
        text = f"{answer.headers}\n{answer.text}"
        self.answers.append(text.replace(secret, "") if secret else text)
        return answer

    def found_in(self, text: bytes) -> set[str]:
        return {where for where, value in self.values.items() if value.encode() in text}


def files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and ALLOWED not in path.relative_to(folder).parts:
            yield path


def put_in(up: Up, upstream: FakeUpstream, canaries: Canaries) -> list[str]:
    """Send secrets by every way there is; return the keys that may call the endpoints."""
    with up.api() as api:
        made = []

        def send(path: str, body: object, **options: object) -> httpx2.Response:
            return canaries.heard(api.post(path, json=body, **options))

        def create(path: str, body: object, field: str, where: str) -> None:
            answer = api.post(path, json=body)
            assert answer.status_code == 201, answer.text
            made.append(canaries.keep(where, answer.json()[field]))
            canaries.heard(answer, secret=made[-1])

        send("/teams", {"name": "care"})
        send("/projects", {"team": "care", "name": "chat"})
        for number in range(3):
            credential = canaries.new(f"credential of provider {number}")
            body = {
                "name": f"vendor-{number}",
                "dialect": "openai",
                "base_url": upstream.base_url,
                "credential": credential,
            }
            repeat = {"idempotency-key": f"once-{number}"}
            send("/providers", body, headers=repeat)
            send("/providers", body, headers=repeat)
            target = {"provider": f"vendor-{number}", "model": f"m{number}"}
            endpoint(send, f"by-vendor-{number}", {**target, "weight": 1})
        replaced = canaries.new("credential that replaced another")
        canaries.heard(api.patch("/providers/vendor-0", json={"credential": replaced}))
        for number in range(2):
            static = {
                "url": upstream.base_url,
                "dialect": "openai",
                "model": f"s{number}",
                "credential": canaries.new(f"credential of static server {number}"),
            }
            endpoint(send, f"static-{number}", {"static": static, "weight": 1})
        key = {"project": "care/chat", "environment": "sandbox", "name": "one"}
        create("/keys", key, "key", "key")
        create("/keys", {**key, "name": "two"}, "key", "key that is rotated")
        listed = api.get("/keys").json()["items"]
        rotated = next(found["id"] for found in listed if found["name"] == "two")
        create(f"/keys/{rotated}/rotate", {"grace": "1h"}, "key", "key by rotation")
        account = {"project": "care/chat", "name": "robot", "scopes": ["invoke", "read"]}
        create("/service-accounts", account, "token", "token of a service account")
        user = send("/users", {"name": "Ada", "email": "ada@example.com"}).json()["id"]
        create(f"/users/{user}/tokens", {"name": "laptop"}, "token", "token of a user")

        # Mistakes: secrets where they do not belong must not come back or be kept either.
        send("/providers", {"name": canaries.new("name that is a secret"), "credential": 1})
        url = f"https://user:{canaries.new('password in a URL')}@example.com/v1"
        send("/providers", {"name": "typo", "dialect": "openai", "base_url": url})
        send("/providers", {"credential": {"key": canaries.new("credential of a wrong type")}})
        api.post("/providers", content=f'{{"credential": "{canaries.new("broken JSON")}')
        for header in ("authorization", "x-api-key"):
            stray = {header: f"Bearer {canaries.new(f'unknown key in {header}')}"}
            for url in (f"{up.address}/v1/models", f"{up.address}/api/v1/teams"):
                canaries.heard(httpx2.get(url, headers=stray))
    return made


def endpoint(send, name: str, target: dict) -> None:
    answer = send(
        "/endpoints",
        {
            "name": name,
            "environment": "sandbox",
            "project": "care/chat",
            "targets": [target],
            "access": {"visibility": "project"},
        },
    )
    assert answer.status_code == 201, answer.text


def test_no_secret_is_found_where_it_must_not_be(up: Up, upstream: FakeUpstream):
    canaries = Canaries()
    for name in ("secret.key", "link.key"):
        canaries.keep(name, (DataFolder.at(up.data).secrets / name).read_text())
    key, *_ = put_in(up, upstream, canaries)
    upstream.script("m1", fault={"status": {"code": 401}})
    upstream.script("m2", fault="html")
    upstream.script("s1", fault="close")
    for name in ("by-vendor-0", "by-vendor-1", "by-vendor-2", "static-0", "static-1"):
        canaries.heard(
            httpx2.post(
                f"{up.address}/v1/chat/completions",
                headers={"authorization": f"Bearer {key}"},
                json={"model": name, "messages": [{"role": "user", "content": "hello"}]},
                timeout=30,
            )
        )
    used = {dict(seen["headers"]).get("authorization") for seen in upstream.requests()}
    for part in ("control", "gateway"):
        former = up.kill(part)
        up.replaced(part, former)
    up.ready()
    with up.api() as api:
        eventually(lambda: api.get("/teams").status_code == 200, "control plane")
        pages = ("requests", "audit", "keys", "providers", "endpoints", "users", "service-accounts")
        for path in (*pages, "nodes", "openapi.json", "usage"):
            canaries.heard(api.get(f"/{path}"))
    for path in ("/metrics", "/readyz", "/.well-known/towpath"):
        canaries.heard(httpx2.get(f"{up.address}{path}"))
    up.stop()

    in_files = {
        (str(path.relative_to(up.data)), where)
        for path in files(up.data)
        for where in canaries.found_in(path.read_bytes())
    }
    run = DataFolder.at(up.data).run
    in_run = {where for path in files(run) for where in canaries.found_in(path.read_bytes())}
    in_answers = {where for text in canaries.answers for where in canaries.found_in(text.encode())}
    in_output = canaries.found_in(up.said().encode())

    assert len(canaries.values) >= 20
    assert f"Bearer {canaries.values['credential that replaced another']}" in used
    assert f"Bearer {canaries.values['credential of static server 0']}" in used
    assert (in_files, in_run, in_output) == (set(), set(), set())
    assert in_answers == set()
