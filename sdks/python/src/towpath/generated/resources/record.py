"""Derived from `towpath/resources/record.py` by `tools/derive_sync.py`; never edited."""

from datetime import datetime
from typing import Any

from towpath.generated.paging import Pages
from towpath.generated.resources.noun import Caller, Noun, pages
from towpath.types import AuditEvent, RequestBodies, RequestRecord, UsageReport


class Requests(Noun[RequestRecord]):
    """The log: one row per request, newest first."""

    _path = "/api/v1/requests"
    _kind = RequestRecord

    def bodies(self, request: str) -> RequestBodies:
        """
        Return what a request sent and was answered, where its project logs bodies.

        Raises:
            NotFoundError: None are kept, or this caller may not read them.
        """
        path = self._at(request, "bodies")
        return RequestBodies.of(*self._client.call("GET", path))

    def list(
        self,
        *,
        project: str | None = None,
        endpoint: str | None = None,
        since: datetime | str | None = None,
        limit: int | None = None,
        **query: Any,
    ) -> Pages[RequestRecord]:
        """
        List requests.

        Args:
            project: `team/project`.
            since: From this time on.
            limit: Rows per page, at most 1,000.
        """
        asked = {"project": project, "endpoint": endpoint, "since": since, "limit": limit}
        return self._listed({**asked, **query})


class Usage:
    """Sums of the log."""

    def __init__(self, client: Caller) -> None:
        self._client = client

    def get(
        self,
        *,
        group_by: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        **query: Any,
    ) -> UsageReport:
        """
        Return requests, tokens and cost.

        Args:
            group_by: Of `team`, `project`, `application`, `endpoint`, `model`, `key`, `day` and
                others; several by comma.
        """
        asked = {"group_by": group_by, "since": since, "until": until, **query}
        return UsageReport.of(*self._client.call("GET", "/api/v1/usage", query=asked))


class Audit:
    """Changes, and attempts at them that were refused."""

    def __init__(self, client: Caller) -> None:
        self._client = client

    def list(self, **query: Any) -> Pages[AuditEvent]:
        """List events, newest first; filters: `noun`, `id`, `principal`, `since`."""
        return pages(self._client, "/api/v1/audit", AuditEvent, query)
