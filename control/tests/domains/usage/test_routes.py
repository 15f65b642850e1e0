"""The request log and the reports: whole for the platform, their own for everybody else."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from records import batch, record

from towpath_server.core import ids
from towpath_server.domains.usage.schemas import RequestOut
from towpath_server.gatewaylink.schemas import UsageBatch
from towpath_server.gatewaylink.usage import Intake

CONTRACT = Path(__file__).parents[4] / "contracts" / "usage.schema.json"
HOUR = 3_600_000
NOON = 1_795_435_200_000  # 2026-11-23 12:00 UTC, the tests' now


@pytest.fixture
async def teams(api):
    """Two teams with a project and a key each; the second key may not read."""
    found = {}
    for name, scopes in (("care", ["invoke", "read"]), ("web", ["invoke"])):
        team = await api.create("/teams", name=name)
        project = await api.create("/projects", team=name, name="chat")
        key = await api.create(
            "/keys", project=f"{name}/chat", environment="sandbox", name="first", scopes=scopes
        )
        found[name] = {"team": team["id"], "project": project["id"], "key": key}
    return found


@pytest.fixture
async def log(db, teams):
    """Three requests of `care`, two of `web`, one of nobody, a minute apart from noon on."""
    sent = []
    for number, name in enumerate(["care", "web", "care", "care", "web", None], start=1):
        owner = teams.get(name, {})
        sent.append(
            record(
                number,
                time_ms=NOON - 4 * HOUR + number * 60_000,
                team=owner.get("team"),
                project=owner.get("project"),
                key_id=owner["key"]["id"] if owner else None,
                endpoint="smollm2" if number % 2 else "minilm",
                ended="complete" if owner else "refused",
                status=200 if owner else 401,
                error_code=None if owner else "invalid_api_key",
            )
        )
    await Intake(db).take(UsageBatch.model_validate(batch(*sent)))
    return sent


def listed(page) -> list[str]:
    return [request["id"] for request in page["items"]]


async def test_the_log_is_newest_first_with_names_beside_ids(api, log, teams):
    page = await api.get("/requests")

    assert listed(page) == [one["id"] for one in reversed(log)]
    assert page["next"] is None
    newest = page["items"][1]
    assert newest["team"] == teams["web"]["team"]
    assert (newest["team_name"], newest["project_name"]) == ("web", "web/chat")
    assert newest["key_name"] == "first"
    assert newest["time"] == "2026-11-23T08:05:00Z"
    assert newest["cost_nano"] == 1400


async def test_pages_follow_each_other_without_gap_or_repeat(api, log):
    found, after = [], ""
    while after is not None:
        page = await api.get("/requests?limit=2" + (f"&after={after}" if after else ""))
        found += listed(page)
        after = page["next"]

    assert found == [one["id"] for one in reversed(log)]


async def test_filters_narrow_the_log(api, log, teams):
    since = quote("2026-11-23T08:03:00Z")
    key = teams["care"]["key"]["id"]

    async def search(query: str) -> list[int]:
        wanted = set(listed(await api.get(f"/requests?{query}")))
        return [one["sequence"] for one in log if one["id"] in wanted]

    assert await search("project=care/chat") == [1, 3, 4]
    assert await search("endpoint=minilm") == [2, 4, 6]
    assert await search(f"key={key}") == [1, 3, 4]
    assert await search("errors=true") == [6]
    assert await search("status=401") == [6]
    assert await search(f"since={since}") == [3, 4, 5, 6]
    assert await search(f"until={since}") == [1, 2]
    assert await search("environment=production") == []


async def test_a_team_sees_its_own_requests_alone(api, log, teams):
    care = api.as_(teams["care"]["key"]["key"])

    page = await care.get("/requests")

    assert {one["team_name"] for one in page["items"]} == {"care"}
    assert len(page["items"]) == 3
    assert (await care.get(f"/requests/{log[0]['id']}"))["id"] == log[0]["id"]


async def test_another_teams_request_is_not_there(api, log, teams):
    care = api.as_(teams["care"]["key"]["key"])

    foreign = await care.get(f"/requests/{log[1]['id']}", status=404)
    missing = await care.get(f"/requests/{ids.new('req')}", status=404)
    project = await care.get("/requests?project=web/chat", status=404)

    assert foreign["title"] == missing["title"]
    assert foreign["detail"].replace(log[1]["id"], "") == missing["detail"].replace(
        missing["instance"].rpartition("/")[2], ""
    )
    assert foreign["fix"] == missing["fix"]
    assert project["code"] == "not_found"


async def test_a_key_that_may_only_invoke_reads_no_log(api, log, teams):
    web = api.as_(teams["web"]["key"]["key"])

    assert (await web.get("/requests", status=403))["code"] == "permission_denied"
    assert (await web.get("/usage", status=403))["code"] == "permission_denied"


async def test_every_field_of_the_record_is_answered(api, log):
    """What the gateways record and the API leaves out would be lost to everybody."""
    fields = set(json.loads(CONTRACT.read_text())["$defs"]["UsageRecord"]["properties"])

    assert fields - set(RequestOut.model_fields) == {"schema", "time_ms"}


async def test_usage_adds_up_by_one_dimension(api, log):
    report = await api.get("/usage?group_by=team")

    lines = {line["team_name"]: line for line in report["items"]}
    assert (lines["care"]["requests"], lines["web"]["requests"]) == (3, 2)
    assert lines["care"]["cost_nano"] == 3 * 1400
    assert lines["care"]["input_tokens"] == 3 * 38
    assert lines[None]["refused"] == 1


async def test_usage_adds_up_by_several_dimensions(api, log):
    report = await api.get("/usage?group_by=day,endpoint&project=care/chat")

    assert report["group_by"] == ["day", "endpoint"]
    assert [(line["day"], line["endpoint"], line["requests"]) for line in report["items"]] == [
        ("2026-11-23T00:00:00Z", "smollm2", 2),
        ("2026-11-23T00:00:00Z", "minilm", 1),
    ]


async def test_usage_tells_savings_and_what_caches_did(api, db, teams):
    owner = {"team": teams["care"]["team"], "project": teams["care"]["project"]}
    sent = [
        record(
            1,
            time_ms=NOON - HOUR,
            input_tokens=300,
            cached_input_tokens=60,
            saved_nano=5_000,
            **owner,
        ),
        record(2, time_ms=NOON - HOUR, cache="hit", input_tokens=None, cost_nano=0, **owner),
        record(
            3,
            time_ms=NOON - HOUR,
            input_tokens=100,
            cached_input_tokens=40,
            saved_nano=-1_000,
            **owner,
        ),
        record(4, time_ms=NOON - HOUR, input_tokens=0, gpu_us=250, cache_write_tokens=7, **owner),
    ]
    await Intake(db).take(UsageBatch.model_validate(batch(*sent)))

    (line,) = (await api.get("/usage?group_by=team"))["items"]

    assert (line["cached_input_tokens"], line["cached_share"]) == (100, 0.25)
    assert (line["saved_nano"], line["cache_hits"]) == (4_000, 1)
    assert (line["gpu_us"], line["cache_write_tokens"]) == (250, 7)


async def test_usage_covers_the_hours_that_the_period_touches(api, log):
    report = await api.get("/usage?group_by=team&since=2026-11-23T08:59:00Z")

    assert report["since"] == "2026-11-23T08:00:00Z"
    assert sum(line["requests"] for line in report["items"]) == 6


async def test_a_team_sees_its_own_usage_alone(api, log, teams):
    care = api.as_(teams["care"]["key"]["key"])

    report = await care.get("/usage?group_by=key")

    assert [(line["key_name"], line["requests"]) for line in report["items"]] == [("first", 3)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("group_by=teem", "`teem` is not a dimension."),
        ("group_by=,", "`group_by` names nothing."),
    ],
)
async def test_an_unknown_dimension_is_refused_with_the_nearest(api, query, said):
    problem = await api.get(f"/usage?{query}", status=422)

    assert problem["detail"] == said
    assert "`team`" in problem["fix"]
