"""People of a team, each with a client of their own."""

from platform_api import Api


async def person(api: Api, name: str, *, team: str | None = None, role: str = "") -> Api:
    """Make a user, in a team where one is named; `role` may be `platform` as well."""
    more = {"platform_role": role} if role == "platform" else {}
    user = await api.create("/users", name=name, email=f"{name.lower()}@example.org", **more)
    token = await api.create(f"/users/{user['id']}/tokens", name="laptop")
    if team is not None:
        await api.create("/members", team=team, user=user["id"], role=role)
    return api.as_(token["token"])
