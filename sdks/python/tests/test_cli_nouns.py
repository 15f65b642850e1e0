"""What the commands of the control plane's nouns print, to the letter."""

import json
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from towpath.testing import Answer

RESOURCE = {
    "revision": 1,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
}
KEY = {
    **RESOURCE,
    "id": "key_01jd0000000000000000000000",
    "team": "team_1",
    "project": "prj_1",
    "environment": "sandbox",
    "name": "laptop",
    "hint": "9vJq",
    "application": None,
    "scopes": ["invoke", "read"],
    "endpoints": None,
    "last_used_at": None,
}
RECORD = {
    "id": "req_01jd0000000000000000000000",
    "time": "2026-11-22T18:04:11.213Z",
    "schema_version": 1,
    "gateway_id": "gw_1",
    "sequence": 1,
    "team": "team_1",
    "team_name": "demo",
    "project": "prj_1",
    "project_name": "demo/quickstart",
    "environment": "sandbox",
    "operation": "chat",
    "dialect": "openai",
    "stream": True,
    "endpoint": "smollm2",
    "target_kind": "deployment",
    "target": "dep_1",
    "model": "smollm2",
    "model_version": 1,
    "replica": "rep_1",
    "status": 200,
    "attempts": 1,
    "input_tokens": 38,
    "output_tokens": 8,
    "counted_by": "upstream",
    "cost_nano": 1_400,
    "currency": "EUR",
    "latency_ms": 312,
    "first_byte_ms": 55,
    "overhead_us": 41,
    "ended": "complete",
    "error_code": None,
    "count": 1,
}
REFUSED = {
    **RECORD,
    "id": "req_01jd0000000000000000000001",
    "input_tokens": None,
    "output_tokens": None,
    "counted_by": "none",
    "cost_nano": None,
    "latency_ms": 1,
    "status": 404,
    "ended": "refused",
    "error_code": "model_not_found",
    "count": 12,
}
DEPLOYMENT = {
    **RESOURCE,
    "id": "dep_01jd0000000000000000000000",
    "name": "triage",
    "environment": "sandbox",
    "project": "care/triage",
    "phase": "Progressing",
    "operations": ["predict"],
    "replicas_wanted": 1,
    "replicas_ready": 0,
    "conditions": [
        {"type": "Checked", "status": "True", "reason": "Fits", "message": "fits in 0.4 of 2 GiB"},
        {
            "type": "Loaded",
            "status": "False",
            "reason": "Crashed",
            "message": "the model server ended 4 times: no input `text`",
            "fix": "add a tokenizer to the model folder",
        },
        {"type": "Exposed", "status": "Unknown", "reason": "Waiting", "message": ""},
    ],
}


ANSWERS = {"operations": ["chat"], "ready": True, "note": None}


def listed(*items: Any, after: str | None = None) -> Answer:
    return Answer(body={"items": list(items), "next": after})


LISTS = {
    "teams": [{**RESOURCE, "id": "team_1", "name": "demo"}],
    "projects": [{**RESOURCE, "id": "prj_1", "team": "team_1", "name": "q", "path": "demo/q"}],
    "applications": [{**RESOURCE, "id": "app_1", "project": "prj_1", "name": "first-steps"}],
    "users": [{**RESOURCE, "id": "usr_1", "name": "Ada", "email": "ada@example.org"}],
    "members": [{**RESOURCE, "id": "mem_1", "team": "team_1", "user": "usr_1", "role": "admin"}],
    "keys": [KEY],
    "service-accounts": [
        {**RESOURCE, "id": "sa_1", "name": "ci", "scopes": ["deploy"], "last_used_at": None}
    ],
    "providers": [
        {
            **RESOURCE,
            "id": "prv_1",
            "name": "vendor",
            "dialect": "openai",
            "base_url": "https://api.example.com/v1",
            "has_credential": True,
        }
    ],
    "endpoints": [
        {
            **RESOURCE,
            "id": "end_1",
            "name": "smollm2",
            "environment": "sandbox",
            "access": {"visibility": "organization", "allow": [], "callers": ["sandbox"]},
            "status": {"ready": True},
            "targets": [
                {
                    **ANSWERS,
                    "id": "dep_1",
                    "kind": "deployment",
                    "name": "smollm2",
                    "weight": 100,
                }
            ],
            "fallback": [
                {
                    **ANSWERS,
                    "id": "tgt_1",
                    "kind": "provider",
                    "name": "vendor/large",
                    "model": "large",
                }
            ],
        }
    ],
    "deployments": [DEPLOYMENT],
    "nodes": [
        {
            **RESOURCE,
            "id": "nod_1",
            "name": "here",
            "cores": 2,
            "memory_bytes": 25_769_803_776,
            "threads": 1,
            "disk_bytes": 68_719_476_736,
            "disk_free_bytes": 34_359_738_368,
            "artifact_bytes": 1_073_741_824,
            "artifact_max_bytes": 10_737_418_240,
            "gpus": [
                {
                    "uuid": "GPU-1",
                    "name": "NVIDIA H100",
                    "memory_bytes": 1,
                    "gpu_class": "h100-80gb",
                }
            ],
            "isolation": {"mode": "best_effort", "measures": {}, "missing": {"cgroup": "no"}},
            "seen_at": "2026-01-05T10:00:00Z",
            "alive": True,
        }
    ],
    "requests": [RECORD, REFUSED],
    "audit": [
        {
            "id": "evt_1",
            "time": "2026-01-05T10:00:00Z",
            "principal": {"kind": "user", "id": "usr_1", "name": "Ada"},
            "action": "key.created",
            "noun": "key",
            "resource_id": "key_1",
            "outcome": "done",
            "code": None,
        }
    ],
}


def test_every_noun_lists(cli: Any) -> None:
    shown = {}
    for noun, items in LISTS.items():
        cli.fake.answer("GET", f"/api/v1/{noun}", listed(*items))
        done = cli(noun)
        shown[noun] = (done.code, done.out, done.err)

    assert shown == snapshot(
        {
            "teams": (
                0,
                """\
team  created     id
demo  2026-01-05  team_1
""",
                """\

Projects of a team: `towpath projects --team NAME`
""",
            ),
            "projects": (
                0,
                """\
project  created     id
demo/q   2026-01-05  prj_1
""",
                """\

A key for one: `towpath keys create --project TEAM/NAME --name NAME`
""",
            ),
            "applications": (
                0,
                """\
application  owner  id
first-steps  –      app_1
""",
                """\

A key for one: `towpath keys create --application NAME …`
""",
            ),
            "users": (
                0,
                """\
name  e-mail           id
Ada   ada@example.org  usr_1
""",
                """\

A role in a team: `towpath members add TEAM E-MAIL ROLE`
""",
            ),
            "members": (
                0,
                """\
role   user   id
admin  usr_1  mem_1
""",
                """\

Take a role away: `towpath members remove ID`
""",
            ),
            "keys": (
                0,
                """\
key     begins            used  id
laptop  tp_sandbox_9vJq…  –     key_01jd0000000000000000000000
""",
                """\

Another text: `towpath keys rotate ID`; away with one: `towpath keys revoke ID`
""",
            ),
            "service-accounts": (
                0,
                """\
account  scopes  used  id
ci       deploy  –     sa_1
""",
                """\

Away with one: `towpath service-accounts delete ID`
""",
            ),
            "providers": (
                0,
                """\
provider  dialect  at                          credential
vendor    openai   https://api.example.com/v1  sealed
""",
                """\

Offer one's model: `towpath endpoints create NAME --provider PROVIDER --model MODEL`
""",
            ),
            "endpoints": (
                0,
                """\
endpoint  environment  answers  visible to    targets
smollm2   sandbox      yes      organization  deployment smollm2
""",
                """\

Call one: `towpath chat NAME "…"`, `towpath predict NAME "…"`
""",
            ),
            "deployments": (
                0,
                """\
deployment  environment  phase        replicas  id
triage      sandbox      Progressing       0/1  dep_01jd0000000000000000000000
""",
                """\

Why one is not ready: `towpath deployments show ID`; its log: `towpath logs NAME`
""",
            ),
            "nodes": (
                0,
                """\
node  cores    memory  gpus free         disk free  isolation       seen
here      2  24.0 GiB  1 of 1 h100-80gb   32.0 GiB  without cgroup  2026-01-05
""",
                """\

What runs on them: `towpath deployments`
""",
            ),
            "requests": (
                0,
                """\
time      endpoint  ended        in  out    took  id
18:04:11  smollm2   complete     38    8  312 ms  req_01jd0000000000000000000000
18:04:11  smollm2   model_not_…   –    –    1 ms  req_01jd0000000000000000000001
""",
                """\

One of them: `towpath requests show ID`; as they come: `towpath requests -f`
""",
            ),
            "audit": (
                0,
                """\
when        who  did          to     outcome
2026-01-05  Ada  key.created  key_1  done
""",
                """\

What changed in each: `towpath audit --json`
""",
            ),
        }
    )


@pytest.mark.parametrize("noun", LISTS)
def test_every_list_fits_80_columns(noun: str, cli: Any) -> None:
    cli.fake.answer("GET", f"/api/v1/{noun}", listed(*LISTS[noun]))

    done = cli(noun)

    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize("noun", LISTS)
def test_every_empty_list_says_what_to_do(noun: str, cli: Any) -> None:
    cli.fake.answer("GET", f"/api/v1/{noun}", listed())

    done = cli(noun)

    assert (done.code, done.out) == (0, "")
    assert done.err


@pytest.mark.parametrize("noun", LISTS)
def test_every_list_has_the_apis_own_shape_as_json(noun: str, cli: Any) -> None:
    cli.fake.answer("GET", f"/api/v1/{noun}", listed(*LISTS[noun], after="c"))

    done = cli(noun, "--json", "--limit", "5")

    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == {"items": LISTS[noun], "next": "c"}
    assert cli.fake.calls[0].query["limit"] == "5"


def test_a_new_key_alone_goes_to_stdout(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/keys", Answer(201, {**KEY, "key": "tp_sandbox_" + "x" * 38}))

    done = cli("keys", "create", "--project", "demo/q", "--name", "laptop", "--scope", "invoke")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "tp_sandbox_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
            """\
laptop (sandbox), key_01jd0000000000000000000000. Shown only now.
Next: `towpath login`, or put it into TOWPATH_API_KEY
""",
        )
    )
    assert cli.fake.calls[0].body == snapshot(
        {"project": "demo/q", "name": "laptop", "environment": "sandbox", "scopes": ["invoke"]}
    )


def test_a_change_that_gateways_do_not_have_yet_is_said(cli: Any) -> None:
    headers = {"x-towpath-applied": "pending"}
    cli.fake.answer("POST", "/api/v1/keys", Answer(201, {**KEY, "key": "tp_sandbox_x"}, headers))

    done = cli("keys", "create", "--project", "demo/q", "--name", "laptop")

    assert "Not every gateway has it yet" in done.err


def test_a_key_is_rotated_and_revoked(cli: Any) -> None:
    cli.fake.answer(
        "POST", "/api/v1/keys/key_1/rotate", Answer(201, {**KEY, "key": "tp_sandbox_" + "y" * 38})
    )
    cli.fake.answer("DELETE", "/api/v1/keys/key_1", Answer(204))

    rotated = cli("keys", "rotate", "key_1", "--grace", "1h")
    revoked = cli("keys", "revoke", "key_1")

    assert [rotated.code, rotated.out, revoked.code, revoked.err] == snapshot(
        [0, "tp_sandbox_yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n", 0, "Revoked `key_1`.\n"]
    )
    assert cli.fake.calls[0].body == {"grace": "1h"}


def test_a_request_is_shown_with_its_tokens_cost_and_time(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/requests/req_1", Answer(body=RECORD))
    cli.fake.answer("GET", "/api/v1/requests/req_2", Answer(body=REFUSED))

    done, refused = cli("requests", "show", "req_1"), cli("requests", "show", "req_2")

    assert (done.code, done.out) == snapshot(
        (
            0,
            """\
time      2026-11-22 18:04:11.213   team      demo / quickstart (sandbox)
endpoint  smollm2                   target    deployment smollm2@1
tokens    38 in, 8 out (upstream)   cost      0.0000014 €
took      312 ms, first token 55 ms, of which Towpath 0.041 ms
ended     complete
""",
        )
    )
    assert (refused.code, refused.out) == snapshot(
        (
            0,
            """\
time      2026-11-22 18:04:11.213   team      demo / quickstart (sandbox)
endpoint  smollm2                   target    deployment smollm2@1
tokens    not counted               cost      –
took      1 ms, first token 55 ms, of which Towpath 0.041 ms
ended     refused, model_not_found (status 404)
""",
        )
    )


def test_a_tail_prints_each_request_once_oldest_first(cli: Any) -> None:
    older = {**RECORD, "id": "req_a"}
    newer = {**RECORD, "id": "req_b"}
    cli.fake.answer("GET", "/api/v1/requests", listed(older), listed(newer, older))

    def interrupt_third(seconds: float) -> None:
        cli.slept.append(seconds)
        if len(cli.slept) == 3:
            raise KeyboardInterrupt

    cli.sleep = interrupt_third  # the third turn is where the person presses Ctrl-C
    done = cli("requests", "-f", "--errors")

    assert (done.code, done.out, done.err) == snapshot(
        (
            130,
            """\
18:04:11 smollm2      complete    38    8 312 ms req_a
18:04:11 smollm2      complete    38    8 312 ms req_b
""",
            """\
Waiting for requests; Ctrl-C ends.


""",
        )
    )
    assert cli.fake.calls[0].query["errors"] == "true"


def test_usage_is_summed_by_name(cli: Any) -> None:
    line = {
        "team": "team_1",
        "team_name": "demo",
        "day": "2026-11-22T00:00:00Z",
        "currency": "EUR",
        "requests": 1204,
        "errors": 1,
        "refused": 2,
        "uncounted": 0,
        "input_tokens": 45_000,
        "output_tokens": 9_000,
        "cached_input_tokens": 0,
        "cost_nano": 1_620_000,
    }
    cli.fake.answer(
        "GET", "/api/v1/usage", Answer(body={"group_by": ["team", "day"], "items": [line]})
    )

    done = cli("usage", "--by", "team,day", "--since", "2026-11-01T00:00:00Z")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
team  day         requests  failed      in    out      cost
demo  2026-11-22     1,204       3  45,000  9,000  0.0016 €
""",
            """\

Other sums: `towpath usage --by team,day`; the rows: `towpath requests`
""",
        )
    )
    assert cli.fake.calls[0].query == {
        "group_by": "team,day",
        "since": "2026-11-01T00:00:00Z",
    }


def test_a_deployment_on_gpus_says_how_many(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/deployments/dep_1", Answer(body=DEPLOYMENT | {"gpus": 2}))

    done = cli("deployments", "show", "dep_1")

    assert "triage → sandbox: Progressing, 2 GPUs a replica    dep_" in done.out


def test_a_deployment_shows_every_step_and_the_fix(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/deployments/dep_1", Answer(body=DEPLOYMENT))

    done = cli("deployments", "show", "dep_1")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
triage → sandbox: Progressing    dep_01jd0000000000000000000000
  ✓ Checked       fits in 0.4 of 2 GiB
  ✗ Loaded        the model server ended 4 times: no input `text`
                  fix: add a tokenizer to the model folder
  … Exposed       Waiting
""",
            """\

Its log: `towpath logs triage`
""",
        )
    )


def test_an_endpoint_shows_what_stands_behind_it(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/endpoints/smollm2", Answer(body=LISTS["endpoints"][0]))

    done = cli("endpoints", "show", "smollm2", "--environment", "sandbox")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
smollm2 in sandbox: answers    end_1
visible to organization, callers sandbox
target                 operations  ready  note
deployment smollm2     chat        yes
provider vendor/large  chat        yes
""",
            "",
        )
    )


def test_an_endpoint_is_created_from_a_providers_model(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/endpoints", Answer(201, LISTS["endpoints"][0]))

    done = cli("endpoints", "create", "big", "--provider", "vendor", "--model", "large")

    assert done.code == 0
    assert cli.fake.calls[0].body == snapshot(
        {
            "name": "big",
            "environment": "sandbox",
            "targets": [{"provider": "vendor", "model": "large", "weight": 100}],
            "access": {"visibility": "project"},
        }
    )


def test_an_endpoint_needs_exactly_one_target(cli: Any) -> None:
    done = cli("endpoints", "create", "big", "--provider", "vendor", "--deployment", "x")

    assert (done.code, done.out, done.err) == snapshot(
        (
            2,
            "",
            """\
error: an endpoint points to one of --provider, --deployment, --url

fix: `towpath endpoints create big --provider PROVIDER --model MODEL`
""",
        )
    )


def test_a_providers_credential_comes_from_stdin_and_is_never_printed(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/providers", Answer(201, LISTS["providers"][0]))

    done = cli(
        "providers", "create", "vendor", "--base-url", "https://api.example.com/v1",
        "--credential-stdin", stdin="sk-secret\n",
    )  # fmt: skip

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
revision        1
created_at      2026-01-05T10:00:00Z
updated_at      2026-01-05T10:00:00Z
id              prv_1
name            vendor
dialect         openai
base_url        https://api.example.com/v1
has_credential  yes
""",
            """\

Next: `towpath endpoints create NAME --provider vendor --model MODEL`
""",
        )
    )
    assert cli.fake.calls[0].body["credential"] == "sk-secret"


def test_a_denied_command_names_the_admins_profile(cli: Any) -> None:
    (cli.home / "config.toml").write_text('[profiles.admin]\nadmin_key = "x"\n')
    error = {
        "status": 403,
        "detail": "The key `laptop` may not create teams here.",
        "code": "permission_denied",
        "fix": "This needs one of: `platform`.",
    }
    problem = {"content-type": "application/problem+json", "x-request-id": "req_403"}
    cli.fake.answer("POST", "/api/v1/teams", Answer(403, error, problem))

    done = cli("teams", "create", "care")

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            "",
            """\
error: the key `laptop` may not create teams here

fix: this needs one of: `platform`; or with the admin's key: `towpath --profile admin …`
     req_403
""",
        )
    )


def test_logs_are_printed_as_they_are(cli: Any) -> None:
    cli.fake.answer(
        "GET",
        "/api/v1/deployments/triage/logs",
        Answer(body={"items": [{"replica": "rep_1", "ordinal": 0, "lines": ["one", "two"]}]}),
    )

    done = cli("logs", "triage", "--tail", "2")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
one
two
""",
            "",
        )
    )
    assert cli.fake.calls[0].query == {"tail": "2"}


def test_control_characters_of_others_do_not_reach_the_terminal(cli: Any, home: Path) -> None:
    cli.fake.answer(
        "GET", "/api/v1/teams", listed({**RESOURCE, "id": "team_1", "name": "a\x1b[2Jb"})
    )

    done = cli("teams")

    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("keys", "revoke", "key_1"), "/api/v1/keys/key_1"),
        (("teams", "delete", "care"), "/api/v1/teams/care"),
        (("endpoints", "delete", "smollm2"), "/api/v1/endpoints/smollm2"),
        (("members", "remove", "mem_1"), "/api/v1/members/mem_1"),
    ],
)
def test_what_is_removed_is_said_as_a_document(
    cli: Any, arguments: tuple[str, ...], path: str
) -> None:
    """The API answers with nothing; `--json` still gives a program one document."""
    cli.fake.answer("DELETE", path, Answer(status=204))

    done = cli(*arguments, "--json")

    assert (done.code, json.loads(done.out), done.err) == (
        0,
        {"id": arguments[-1], "deleted": True},
        "",
    )


def test_a_watched_list_is_shown_again_until_interrupted(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/endpoints", listed(), listed())

    def interrupt_second(seconds: float) -> None:
        cli.slept.append(seconds)
        if len(cli.slept) == 2:
            raise KeyboardInterrupt

    cli.sleep = interrupt_second
    done = cli("endpoints", "list", "--watch")

    assert (done.code, cli.slept) == (130, [2.0, 2.0])
    assert done.err.count("No endpoint yet") == 2


def test_a_log_is_followed_line_by_line_and_again_when_it_breaks_off(cli: Any) -> None:
    def log(*lines: str) -> Answer:
        told = [
            json.dumps(
                {"replica": "rep_1", "ordinal": 0, "at": f"2026-05-04T10:0{n}:00Z", "line": one}
            )
            for n, one in enumerate(lines)
        ]
        return Answer(body=("\n".join([*told, "", ""])).encode())

    cli.fake.answer("GET", "/api/v1/deployments/triage/logs", log("a", "b"), log("c"))

    def interrupt_second(seconds: float) -> None:
        cli.slept.append(seconds)
        if len(cli.slept) == 2:
            raise KeyboardInterrupt

    cli.sleep = interrupt_second
    done = cli("logs", "triage", "-f", "--since", "10m", "--search", "x")

    assert (done.code, done.out.split()) == (130, ["[0]", "a", "[0]", "b", "[0]", "c"])
    asked = [call.query for call in cli.fake.calls]
    assert [one["since"] for one in asked] == ["10m", "2026-05-04T10:01:00Z"]
    assert asked[0] | {"since": ""} == {
        "tail": "100", "since": "", "search": "x", "follow": "true"
    }  # fmt: skip
