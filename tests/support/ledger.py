"""What the ledger holds, read through the API."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx2
from load import Call
from towpath_up import eventually


def everything(api: httpx2.Client) -> list[dict[str, Any]]:
    """Return every request of the log."""
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        answer = api.get("/requests", params={"limit": 1000} | ({"after": after} if after else {}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        after = page["next"]
    return found


def of_calls(api: httpx2.Client, calls: Sequence[Call]) -> dict[str, list[dict[str, Any]]]:
    """
    Wait until every call that was answered is in the log; return the records of each call.

    As long as records come, there is no hurry: how many wait after an outage depends on the load.
    """
    answered = {call.id for call in calls if call.status is not None}
    records = everything(api)
    while missing := len(answered - _ids(records)):

        def fewer_missing(missing: int = missing) -> bool:
            nonlocal records
            records = everything(api)
            return len(answered - _ids(records)) < missing

        eventually(fewer_missing, f"record of any of {missing} answered calls", within_s=60)
    found: dict[str, list[dict[str, Any]]] = {call.id: [] for call in calls}
    for record in records:
        if record["client_request_id"] in found:
            found[record["client_request_id"]].append(record)
    return found


def _ids(records: Sequence[dict[str, Any]]) -> set[str]:
    return {record["client_request_id"] for record in records}


def endings(records: dict[str, list[dict[str, Any]]], calls: Sequence[Call]) -> Counter[str]:
    """Count how the records of these calls ended."""
    return Counter(record["ended"] for call in calls for record in records[call.id])
