"""Teams, through the API."""

from inline_snapshot import snapshot
from platform_api import Api


async def test_a_team_is_found_by_id_and_by_name(api: Api) -> None:
    team = await api.create("/teams", name="care")

    assert await api.get(f"/teams/{team['id']}") == team
    assert await api.get("/teams/care") == team


async def test_a_second_team_of_the_same_name_is_refused(api: Api) -> None:
    await api.create("/teams", name="care")

    refused = await api.call("POST", "/teams", {"name": "care"}, status=409)

    assert refused.json() | {"request_id": ""} == snapshot(
        {
            "type": "/docs/problems#name_taken",
            "title": "Name already in use",
            "status": 409,
            "detail": "A team called `care` already exists.",
            "instance": "/api/v1/teams",
            "code": "name_taken",
            "request_id": "",
            "fix": "Choose another name, or use the existing one.",
        }
    )


async def test_a_typo_in_a_field_gets_a_pointer_and_a_guess(api: Api) -> None:
    refused = await api.call("POST", "/teams", {"nmae": "care"}, status=422)

    assert refused.json()["findings"] == snapshot(
        [
            {"reason": "Missing", "message": "Field required", "path": "#/name"},
            {
                "reason": "UnknownField",
                "message": "`nmae` is not a field here.",
                "path": "#/nmae",
                "fix": "Did you mean `name`?",
            },
        ]
    )


async def test_a_list_goes_on_where_the_last_part_ended(api: Api) -> None:
    made = [(await api.create("/teams", name=f"team-{n}"))["id"] for n in range(3)]

    first = await api.get("/teams?limit=2")
    second = await api.get(f"/teams?limit=2&after={first['next']}")

    assert [team["id"] for team in first["items"] + second["items"]] == made
    assert second["next"] is None


async def test_a_team_with_projects_is_not_deleted(api: Api) -> None:
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="triage")

    refused = await api.call("DELETE", "/teams/care", status=409)

    assert refused.json()["detail"] == snapshot(
        "The team `care` is still used by `project triage`."
    )


async def test_a_deleted_team_takes_its_members_along(api: Api) -> None:
    team = await api.create("/teams", name="care")
    user = await api.create("/users", name="Ada", email="ada@example.org")
    await api.create("/members", team="care", user="ada@example.org", role="viewer")

    await api.call("DELETE", "/teams/care", status=204)

    assert await api.get(f"/members?user={user['id']}") == {"items": [], "next": None}
    await api.call("GET", f"/teams/{team['id']}", status=404)
