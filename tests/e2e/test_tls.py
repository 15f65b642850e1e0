"""The platform behind TLS, with certificates of a private authority on both of its sides."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import certificates
import httpx2
import openai
import pytest
import trustme
from fake_upstream import FakeUpstream
from towpath_up import ADMIN_KEY, Up, eventually

import towpath

MODEL = "behind-tls"
QUESTION = [{"role": "user", "content": "hello"}]


class Caller:
    """A project with endpoints of its own, and a key that calls them."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.create("/teams", name="tls")
        self.create("/projects", team="tls", name="tls")
        self.key = self.create("/keys", project="tls/tls", environment="sandbox", name="caller")[
            "key"
        ]

    def create(self, path: str, **body: Any) -> dict[str, Any]:
        with self.up.api() as api:
            answer = api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def endpoint(self, name: str, target: dict[str, Any]) -> None:
        self.create(
            "/endpoints",
            name=name,
            environment="sandbox",
            project="tls/tls",
            targets=[{**target, "weight": 1}],
        )

    def chat(self, model: str) -> httpx2.Response:
        return httpx2.post(
            f"{self.up.address}/v1/chat/completions",
            json={"model": model, "messages": QUESTION},
            headers={"authorization": f"Bearer {self.key}"},
            timeout=30,
            verify=self.up.trust(),
        )


@pytest.fixture(scope="module")
def caller(secure: Up, upstream: FakeUpstream) -> Caller:
    upstream.script(MODEL, tokens=4)
    found = Caller(secure)
    target = {"url": upstream.base_url, "dialect": "openai", "model": MODEL}
    found.endpoint(MODEL, {"static": target})
    return found


@pytest.fixture(scope="module")
def client(caller: Caller):
    with openai.OpenAI(
        base_url=f"{caller.up.address}/v1",
        api_key=caller.key,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(verify=caller.up.trust()),
    ) as found:
        yield found


def test_openais_client_and_the_sdk_call_with_the_authority_alone(caller, client):
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION)
    trust = caller.up.trust()
    with towpath.Towpath(address=caller.up.address, api_key=caller.key, ssl_context=trust) as ours:
        names = [model.id for model in ours.models.list()]
    with (
        towpath.Towpath(address=caller.up.address, api_key=caller.key) as untrusting,
        pytest.raises(towpath.APIConnectionError, match="no trusted connection") as refused,
    ):
        untrusting.models.list()

    assert caller.up.address.startswith("https://127.0.0.1:")
    assert answer.choices[0].message.content
    assert MODEL in names
    assert "SSL_CERT_FILE" in refused.value.fix


def test_the_command_line_logs_in_and_asks_for_health(secure, tmp_path):
    def run(*arguments: str, trusts: Path | None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "TOWPATH_CONFIG": str(tmp_path / "config.toml")}  # noqa: TID251
        if trusts:
            environment["SSL_CERT_FILE"] = str(trusts)
        return subprocess.run(
            [Path(sys.executable).with_name("towpath"), *arguments],
            input=ADMIN_KEY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    login = ("login", "--address", secure.address, "--key-stdin")
    untrusting = run(*login, trusts=None)
    saved = run(*login, trusts=secure.authority)
    health = run("health", "--json", trusts=secure.authority)

    assert untrusting.returncode == 1
    assert "no trusted connection" in untrusting.stderr
    assert saved.returncode == 0, saved.stderr
    assert health.returncode == 0, health.stderr
    assert json.loads(health.stdout)


def test_batches_need_no_setting_behind_the_platforms_own_certificate(client):
    lines = [
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": MODEL, "messages": QUESTION},
        }
        for number in range(2)
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    eventually(
        lambda: client.batches.retrieve(batch.id).status == "completed", "the end", within_s=60
    )

    assert client.batches.retrieve(batch.id).request_counts.completed == 2


def test_a_provider_behind_a_private_authority_is_called_where_it_is_named(caller, upstream):
    ours, other = trustme.CA(), trustme.CA()
    upstream.script("private", tokens=4)
    with certificates.before(upstream.base_url, ours) as url:
        for name, authority in (("private", ours), ("mistaken", other)):
            caller.create(
                "/providers",
                name=name,
                dialect="openai",
                base_url=url,
                credential="a-vendor-key",
                models=[{"name": "private"}],
                ca_pem=authority.cert_pem.bytes().decode(),
            )
            caller.endpoint(name, {"provider": name, "model": "private"})
        good, bad = caller.chat("private"), caller.chat("mistaken")
        with caller.up.api() as api:
            path, environment = "/endpoints/mistaken/health", {"environment": "sandbox"}
            eventually(
                lambda: "UnknownIssuer" in api.get(path, params=environment).text, "the reason"
            )

    assert good.status_code == 200, good.text
    assert bad.status_code == 503, bad.text
    assert "no trusted connection to the model's server" in bad.json()["error"]["message"]
