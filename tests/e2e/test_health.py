"""What a gateway meets is what the API tells: an upstream that is away is ejected, with its reason."""

import ports
from fake_upstream import FakeUpstream
from towpath_up import Up, eventually


def test_an_upstream_that_is_away_is_shown_as_ejected(up: Up, upstream: FakeUpstream) -> None:
    """A fallback answers all the while; the state, the reason and the end are there for the owner."""
    (closed,) = ports.free(1)
    away = {"url": f"http://127.0.0.1:{closed}/v1", "model": "m", "name": "away"}
    spare = {"url": f"{upstream.address}/v1", "model": "m", "name": "spare"}
    with up.api() as api:
        for path, body in (
            ("/teams", {"name": "care"}),
            ("/projects", {"team": "care", "name": "chat"}),
            (
                "/endpoints",
                {
                    "name": "chat",
                    "environment": "sandbox",
                    "project": "care/chat",
                    "targets": [{"static": away}],
                    "fallback": [{"static": spare}],
                },
            ),
        ):
            answer = api.post(path, json=body)
            assert answer.status_code == 201, answer.text
        made = api.post(
            "/keys", json={"project": "care/chat", "environment": "sandbox", "name": "k"}
        )

        def ejected() -> bool:
            with up.api(made.json()["key"]) as caller:
                answer = caller.post(
                    f"{up.address}/v1/chat/completions",
                    json={"model": "chat", "messages": [{"role": "user", "content": "Hi"}]},
                )
                assert answer.status_code == 200, answer.text
            return api.get("/endpoints/chat").json()["status"]["ejected"] == ["away"]

        eventually(ejected, "the gateway has ejected the target and said so")
        health = api.get("/endpoints/chat/health").json()

    sick, well = health["targets"]
    assert (health["state"], sick["state"], well["state"]) == ("degraded", "ejected", "ok")
    assert sick["replicas"][0]["last_error"]
    assert sick["ejected_until"] is not None
    assert len(health["gateways"]) == 1
