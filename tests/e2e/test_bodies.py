"""Bodies of a project that logs them: whole in the API for its team, in the clear nowhere on disk."""

import secrets
from pathlib import Path

import httpx2
import openai
from fake_upstream import FakeUpstream
from towpath_up import ADMIN_KEY, Up, eventually

CREDENTIAL = f"canary-{secrets.token_hex(16)}"
QUESTION = f"canary-{secrets.token_hex(16)}"
CARD = "4111111111111111"


def prepare(up: Up, upstream: FakeUpstream) -> str:
    """Make a project that logs bodies and calls a provider; return its key."""
    with up.api() as api:

        def create(path: str, body: object) -> dict:
            answer = api.post(path, json=body)
            assert answer.status_code == 201, answer.text
            return answer.json()

        create("/teams", {"name": "care"})
        project = create("/projects", {"team": "care", "name": "chat"})
        redact = [{"name": "card", "pattern": "[0-9]{16}"}]
        changed = api.patch(
            f"/projects/{project['id']}", json={"body_log": {"mode": "full", "redact": redact}}
        )
        assert changed.status_code == 200, changed.text
        provider = {"name": "vendor", "dialect": "openai", "base_url": upstream.base_url}
        create("/providers", {**provider, "credential": CREDENTIAL})
        hears = {**provider, "name": "ears", "operations": ["transcriptions", "rerank"]}
        create("/providers", {**hears, "credential": CREDENTIAL})
        for name, vendor in (("big", "vendor"), ("whisper", "ears")):
            create(
                "/endpoints",
                {
                    "name": name,
                    "environment": "sandbox",
                    "project": "care/chat",
                    "targets": [{"provider": vendor, "model": f"up-{name}", "weight": 1}],
                    "access": {"visibility": "project"},
                },
            )
        key = {"project": "care/chat", "environment": "sandbox", "name": "program"}
        return create("/keys", key)["key"]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "secrets" not in path.parts]


def test_what_was_asked_is_shown_to_its_team_and_no_secret_is_anywhere(
    up: Up, upstream: FakeUpstream
) -> None:
    key = prepare(up, upstream)
    body = {
        "model": "big",
        "messages": [{"role": "user", "content": f"{QUESTION} {CARD} {key}"}],
    }
    answer = httpx2.post(
        f"{up.address}/v1/chat/completions",
        json=body,
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    path = f"/requests/{answer.headers['x-request-id']}/bodies"
    with up.api() as api:
        eventually(lambda: api.get(path).status_code == 200, "the bodies")
        shown = api.get(path)
    with up.api(key) as api:
        refused = api.get(path)

    assert refused.status_code == 404
    assert f"{QUESTION} [redacted:card] [redacted:towpath_key]" in shown.json()["request"]["text"]
    assert shown.json()["response"]["text"] == answer.text
    for canary in (CREDENTIAL, key, ADMIN_KEY, CARD):
        assert canary not in shown.text
    openais_client_transcribes(up, key)
    for file in files(up.data):
        found = file.read_bytes()
        for canary in (CREDENTIAL, key, QUESTION, CARD):
            assert canary.encode() not in found, (file, canary)


def openais_client_transcribes(up: Up, key: str) -> None:
    """Plain and streamed; the log keeps the form's fields, and of the sound its size."""
    sound = ("call.wav", f"RIFF{QUESTION}".encode() * 20)
    with openai.OpenAI(base_url=f"{up.address}/v1", api_key=key, max_retries=0) as client:
        raw = client.audio.transcriptions.with_raw_response.create(
            model="whisper", file=sound, prompt=f"card {CARD}"
        )
        streamed = list(
            client.audio.transcriptions.create(model="whisper", file=sound, stream=True)
        )
        ranked = client.post(
            "/rerank",
            cast_to=object,
            body={"model": "whisper", "query": "a fox", "documents": ["a house", "a fox"]},
        )
    plain = raw.parse()
    path = f"/requests/{raw.headers['x-request-id']}"
    with up.api() as api:
        # They travel apart from each other.
        eventually(lambda: api.get(f"{path}/bodies").status_code == 200, "the bodies")
        eventually(lambda: api.get(path).status_code == 200, "the record")
        record = api.get(path).json()
        shown = api.get(f"{path}/bodies").json()["request"]

    assert plain.text == "t0 t1 t2 t3 t4 t5 t6 t7 "
    assert (record["operation"], record["counted_by"]) == ("transcriptions", "upstream")
    assert (record["input_tokens"], record["output_tokens"]) == (
        plain.usage.input_tokens,
        plain.usage.output_tokens,
    )
    assert [event.type for event in streamed[-2:]] == [
        "transcript.text.delta",
        "transcript.text.done",
    ]
    assert streamed[-1].text == plain.text
    assert ranked["results"][0]["index"] == 1
    assert f"[{len(sound[1])} bytes]" in shown["text"]
    assert "card [redacted:card]" in shown["text"]
    assert QUESTION not in shown["text"]


def test_a_pattern_that_no_gateway_would_take_is_refused_by_name(up: Up) -> None:
    with up.api() as api:
        api.post("/teams", json={"name": "care"})
        project = api.post("/projects", json={"team": "care", "name": "chat"}).json()
        redact = [{"name": "back", "pattern": r"(x)\1"}]
        refused = api.patch(
            f"/projects/{project['id']}", json={"body_log": {"mode": "full", "redact": redact}}
        )

    assert refused.status_code == 422
    assert "`back`" in refused.json()["detail"]
