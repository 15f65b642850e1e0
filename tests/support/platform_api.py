"""A client of the API that checks every answer: the expected status, and errors as they must be."""

import json
from typing import Any

import httpx2

from towpath_server.core.errors import REGISTRY, Kind
from towpath_server.web.problems import STATUS

ADMIN_KEY = "an-admin-key-for-tests-of-more-than-32-characters"


class Api:
    """Calls as one principal; `as_` gives the same client for another."""

    def __init__(self, client: httpx2.AsyncClient, token: str | None) -> None:
        self.client = client
        self.token = token

    def as_(self, token: str | None) -> "Api":
        """Call with another token, or without one."""
        return Api(self.client, token)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        status: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """Call a path below `/api/v1`, or one of OpenAI's, and check what holds for every answer."""
        sent = dict(headers or {})
        if self.token is not None:
            sent["authorization"] = f"Bearer {self.token}"
        if body is not None:
            content = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        where = path if path.startswith("/v1/") else f"/api/v1{path}"
        answer = await self.client.request(method, where, content=content, headers=sent)
        check(answer)
        if status is not None and answer.status_code != status:
            raise AssertionError(
                f"{method} {path} answered {answer.status_code}, not {status}: {answer.text}"
            )
        return answer

    async def get(self, path: str, *, status: int = 200) -> Any:
        """Read, and return the JSON."""
        return (await self.call("GET", path, status=status)).json()

    async def create(self, path: str, /, **body: Any) -> Any:
        """Create, and return the JSON."""
        return (await self.call("POST", path, body, status=201)).json()


def check(answer: httpx2.Response) -> None:
    """Check that an answer has a request id, and that an error is a registered problem."""
    assert answer.headers["x-request-id"].startswith("req_")
    if answer.status_code < 400:
        return
    if answer.request.url.path.startswith("/v1/"):
        _check_openai(answer)
        return
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    if answer.request.method == "HEAD":
        return
    problem = answer.json()
    registered = REGISTRY[problem["code"]]
    assert STATUS[registered.kind] == answer.status_code == problem["status"]
    assert problem["title"] == registered.title
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]
    if answer.status_code == 503:
        assert 0 < int(answer.headers["retry-after"]) <= 120


def _check_openai(answer: httpx2.Response) -> None:
    """Check that an error is in the shape of OpenAI's API, with a registered code."""
    assert answer.headers["content-type"] == "application/json", answer.text
    error = answer.json()["error"]
    registered = REGISTRY[error["code"]]
    status = 400 if registered.kind is Kind.INVALID else STATUS[registered.kind]
    assert status == answer.status_code
    assert set(error) - {"fix"} == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
