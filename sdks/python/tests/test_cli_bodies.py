"""What is printed of bodies, and how a project is told to log them."""

import json

from inline_snapshot import snapshot

from towpath.testing import Answer

ID = "req_01jd0000000000000000000000"
BODIES = {
    "request_id": ID,
    "time": "2026-11-23T12:00:00Z",
    "project": "prj_1",
    "status": 200,
    "request": {
        "content_type": "application/json",
        "text": '{"model": "m"}',
        "bytes": 90_000,
        "truncated": True,
    },
    "response": {
        "content_type": "text/event-stream",
        "text": "data: [DONE]\n\n\u001b[31m",
        "bytes": 14,
        "truncated": False,
    },
}


def test_bodies_are_printed_one_after_the_other(cli, fake):
    fake.answer("GET", f"/api/v1/requests/{ID}/bodies", Answer(body=BODIES))

    ran = cli("requests", "show", ID, "--bodies")

    assert ran.code == 0
    assert ran.out == snapshot("""\
{"model": "m"}
data: [DONE]

 [31m
""")
    assert ran.err == snapshot("""\
request: 90000 bytes, cut off
response: status 200, 14 bytes
""")


def test_bodies_as_json_are_the_apis_own_shape(cli, fake):
    fake.answer("GET", f"/api/v1/requests/{ID}/bodies", Answer(body=BODIES))

    ran = cli("requests", "show", ID, "--bodies", "--json")

    assert json.loads(ran.out) == BODIES


def test_a_project_is_told_what_to_keep(cli, fake):
    setting = {
        "mode": "full",
        "redact": [{"name": "card", "pattern": "[0-9]{16}"}],
        "retention_days": 30,
    }
    project = {"id": "prj_1", "revision": 2, "path": "care/triage", "body_log": setting}
    fake.answer("PATCH", "/api/v1/projects/care/triage", Answer(body=project))

    ran = cli(
        *("projects", "body-log", "care/triage", "full"),
        *("--redact", "card=[0-9]{16}", "--days", "30"),
    )
    wrong = cli("projects", "body-log", "care/triage", "full", "--redact", "card")

    assert fake.calls[0].body == {"body_log": setting}
    assert (ran.code, ran.out, ran.err) == snapshot(
        (
            0,
            """\
path      care/triage
body_log  mode: full, redact: name: card, pattern: [0-9]{16}, retention_days: 30
""",
            """\

One request's bodies: `towpath requests show ID --bodies`
""",
        )
    )
    assert (wrong.code, wrong.err) == snapshot(
        (
            2,
            """\
error: `card` is not `NAME=PATTERN`

fix: `--redact 'card=[0-9]{16}'`
""",
        )
    )
