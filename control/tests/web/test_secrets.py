"""Secrets go in through the API; none is found anywhere it must not be."""

import base64
import io
from pathlib import Path

import pytest
from platform_api import ADMIN_KEY, Api
from sqlalchemy import MetaData, text

from towpath_server.core import tokens
from towpath_server.core.db import Database, ledger_metadata, metadata


class Recorder(Api):
    """Keeps every answer, but for those that show a secret this once."""

    def __init__(self, api: Api, heard: list[str]) -> None:
        super().__init__(api.client, api.token)
        self.heard = heard

    def as_(self, token: str | None) -> "Recorder":
        return Recorder(super().as_(token), self.heard)

    async def call(self, *args, **kw):
        answer = await super().call(*args, **kw)
        self.heard.append(answer.text + str(dict(answer.headers)))
        return answer

    async def shown_once(self, path: str, field: str, **body) -> str:
        """Create something, and return the secret that only this answer has."""
        answer = await Api.call(
            self,
            "POST",
            path,
            body,
            status=201,
            headers={"idempotency-key": f"shown {path} {body}"},
        )
        return answer.json()[field]


@pytest.fixture
def recorder(api: Api) -> Recorder:
    return Recorder(api, [])


async def put_in(api: Recorder) -> list[str]:
    """Give and receive secrets, in all the ways there are; return them."""
    given = [f"canary-{number:02}-{'c4n4ry' * 5}" for number in range(16)]
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="triage")
    user = await api.create("/users", name="Ada")
    key_body = {"project": "care/triage", "environment": "sandbox", "name": "k"}
    shown = [
        await api.shown_once("/keys", "key", **key_body),
        await api.shown_once("/keys", "key", **key_body | {"environment": "production"}),
        await api.shown_once(f"/users/{user['id']}/tokens", "token", name="laptop"),
        await api.shown_once(
            "/service-accounts", "token", project="care/triage", name="ci", scopes=["deploy"]
        ),
    ]
    keys = await api.get("/keys")
    shown.append(await api.shown_once(f"/keys/{keys['items'][0]['id']}/rotate", "key", grace="1h"))
    provider = {"dialect": "openai", "base_url": "https://vendor.example/v1"}
    made = await api.create("/providers", name="one", credential=given[0], **provider)
    await api.create("/providers", name="two", credential=given[1], header="api-key", **provider)
    change = {"credential": given[2]}
    await api.call("PATCH", f"/providers/{made['id']}", change, status=200)
    await api.call(
        "PATCH", "/providers/two", {"credential": given[3]}, headers={"idempotency-key": "c"}
    )
    await api.call("POST", "/providers", {"name": "one", "credential": given[4], **provider})
    await api.call("POST", "/providers", {"name": "x", "credential": given[5], "base_url": "ftp:x"})
    await api.call("POST", "/providers", {"name": "x", "credential": [given[6]], **provider})
    await api.call("POST", "/providers", {"nmae": "x", "credential": given[7] + "\n", **provider})
    static = {"url": "http://gpu-9.internal:9/v1", "model": "tiny", "credential": given[8]}
    endpoint = {
        "name": "tiny",
        "environment": "sandbox",
        "project": "care/triage",
        "targets": [{"static": static, "weight": 1}],
        "access": {"visibility": "project"},
    }
    await api.create("/endpoints", **endpoint)
    static["credential"] = given[9]
    await api.call("POST", "/endpoints", endpoint, status=409)
    connection = {"location": "hf://acme/", "credential": given[13]}
    await api.create("/connections", name="hub", **connection)
    await api.call("PATCH", "/connections/hub", {"credential": given[14]}, status=200)
    await api.call("POST", "/connections", {"name": "Hub!", **connection, "credential": given[15]})
    await api.get("/connections")
    stranger = tokens.mint("sandbox").reveal()
    for token in (stranger, given[10], "tp_user_" + given[11]):
        await api.as_(token).call("GET", "/teams", status=401)
    await api.call("POST", f"/{given[12]}", status=404)
    return [
        *given[:12],
        *given[13:],
        *shown,
        stranger,
        ADMIN_KEY,
        "a-secret-key-for-tests-of-43-characters----",
    ]


async def rows(db: Database, tables: MetaData, *, ledger: bool) -> str:
    parts = []
    async with db.ledger_read() if ledger else db.read() as tx:
        for table in tables.sorted_tables:
            parts += [str(tuple(row)) for row in await tx.execute(text(f'SELECT * FROM "{table}"'))]
    return "\n".join(parts)


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_bytes().decode("latin-1")
        for path in folder.rglob("*")
        if path.is_file()
    }


async def test_what_was_given_in_secret_is_found_nowhere(
    recorder: Recorder, db: Database, tmp_path: Path, logged: io.StringIO
) -> None:
    secrets = await put_in(recorder)
    assert len(secrets) == 23

    places = {
        "answers": "\n".join(recorder.heard),
        "log": logged.getvalue(),
        "tables": await rows(db, metadata, ledger=False),
        "ledger": await rows(db, ledger_metadata, ledger=True),
    }
    places |= files(tmp_path)
    found = [
        (place, number)
        for place, content in places.items()
        for number, secret in enumerate(secrets)
        for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("="))
        if form in content
    ]

    assert found == []
    assert "refused" in places["tables"]  # the refused attempts are there, without what they held
    if db.dialect == "sqlite":
        assert any("towpath.db" in place for place in places)


async def test_a_repeated_request_shows_the_secret_again_from_its_seal(
    api: Api, db: Database
) -> None:
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="triage")
    body = {"project": "care/triage", "environment": "sandbox", "name": "k"}
    headers = {"idempotency-key": "one"}

    first = await api.call("POST", "/keys", body, headers=headers)
    second = await api.call("POST", "/keys", body, headers=headers)

    assert first.json()["key"] == second.json()["key"]
    assert first.json()["key"] not in await rows(db, metadata, ledger=False)
