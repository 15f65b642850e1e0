"""
Asking a source by HTTP: redirects, refusals, and bodies of any size.

A redirect is followed a few times. Each step goes through the egress client and is judged anew;
none leads from TLS to plain text; what proves who asks stays with the host that it was meant for.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from towpath_server.adapters.egress import Incoming, NotAllowed, NotSent, NotTrusted, Session
from towpath_server.adapters.sources.errors import SourceFailed

MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_FOR_ANYBODY = {"accept", "range", "if-match"}
"""Headers that go on to another host."""
_DOCUMENT_S = 120.0
"""Time for a document whole; what is larger streams, and has no bound but silence."""
_REFUSAL_BYTES = 64 << 10
_LONGEST_WAIT_S = 3600
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
_PASSING = {408, 425, 429}


@dataclass(frozen=True)
class Document:
    """An answer that was read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Asker:
    """Asks for one source."""

    session: Session
    known: bool
    """Whether there is a credential: a refusal then says another thing."""

    @asynccontextmanager
    async def get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Incoming]:
        """
        Ask, following redirects; any other answer is one.

        Raises:
            SourceFailed: It may not be called, or does not answer.
        """
        for _ in range(MAX_REDIRECTS + 1):
            async with self._once(url, headers) as answer:
                if answer.status not in _REDIRECTS or "location" not in answer.headers:
                    yield answer
                    return
                onward = _onward(url, answer.headers["location"])
            if _place(onward) != _place(url):
                headers = {name: headers[name] for name in headers if name in _FOR_ANYBODY}
            url = onward
        raise SourceFailed(
            "TooManyRedirects",
            f"`{shown(url)}` is the end of more than {MAX_REDIRECTS} redirects.",
            fix="Name the place where the model lies.",
        )

    @asynccontextmanager
    async def _once(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Incoming]:
        async with AsyncExitStack() as stack:
            with _failures(url):
                answer = await stack.enter_async_context(self.session.get(url, headers))
            yield answer

    async def document(
        self, url: str, headers: Mapping[str, str], *, limit: int, passing: tuple[int, ...] = ()
    ) -> Document:
        """
        Read an answer whole.

        Args:
            limit: Most bytes that it may have.
            passing: Statuses beside success that are no refusals here; the beginning of what is
                said then is enough.

        Raises:
            SourceFailed: It is refused, too large, or does not come.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(_DOCUMENT_S), self.get(url, headers) as answer:
                if answer.status in passing:
                    return Document(answer.status, answer.headers, await _beginning(url, answer))
                if answer.status != 200:
                    raise self.refused(url, answer)
                async with aclosing(_whole(url, answer)) as pieces:
                    async for piece in pieces:
                        body += piece
                        if len(body) > limit:
                            raise too_large(url, limit)
        except TimeoutError as error:
            raise unreachable(url, "it did not answer whole in time") from error
        return Document(answer.status, answer.headers, bytes(body))

    async def content(
        self, url: str, headers: Mapping[str, str], *, size: int | None, offset: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """
        Read a file from `offset` on.

        Raises:
            SourceFailed: It is refused, breaks off, or has another size.
        """
        if size is not None and offset >= size:
            return
        asked = {**headers, "range": f"bytes={offset}-"} if offset else headers
        async with self.get(url, asked) as answer:
            skip = self._begins(url, answer, size, offset)
            left = None if size is None else size - offset
            async with aclosing(_whole(url, answer)) as pieces:
                async for whole in pieces:
                    piece, skip = whole[skip:], max(0, skip - len(whole))
                    if left is not None and len(piece) > left:
                        raise changed(url, f"has more than the {size} bytes that were listed")
                    left = None if left is None else left - len(piece)
                    if piece:
                        yield piece
            if left:
                raise SourceFailed(
                    "BrokenOff",
                    f"`{shown(url)}` ended {left} bytes early.",
                    fix="Try again; what came in is kept.",
                )

    def _begins(self, url: str, answer: Incoming, size: int | None, offset: int) -> int:
        """Return how many bytes of the answer stand before `offset`."""
        if answer.status in {412, 416}:
            raise changed(url, "is another file now")
        if answer.status not in {200, 206}:
            raise self.refused(url, answer)
        if answer.status == 200:
            length = answer.headers.get("content-length", "")
            if size is not None and length.isdecimal() and int(length[:19]) != size:
                raise changed(url, f"has {length[:19]} bytes, and {size} were listed")
            return offset
        told = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        if told is None or int(told[1]) != offset:
            raise SourceFailed(
                "Unreadable",
                f"`{shown(url)}` answers another part than was asked for.",
                fix="Look at the server, or at the proxy before it.",
            )
        if size is not None and told[2] not in {"*", str(size)}:
            raise changed(url, f"has {told[2]} bytes, and {size} were listed")
        return 0

    def refused(self, url: str, answer: Incoming | Document) -> SourceFailed:
        """Say what an answer other than success means."""
        where, status = shown(url), answer.status
        if status in {401, 403} and self.known:
            return SourceFailed(
                "AccessDenied",
                f"`{where}` answers {status}: the connection's credential is not good for it.",
                fix="Give the connection a credential that may read it: `towpath connections "
                "update`.",
            )
        if status in {401, 403}:
            return SourceFailed(
                "AccessDenied",
                f"`{where}` answers {status}: it wants to know who asks.",
                fix="Create a connection with a credential for it: `towpath connections create`.",
            )
        if status in {404, 410}:
            return SourceFailed(
                "NotFoundThere",
                f"`{where}` answers {status}: there is nothing.",
                fix="Check the name; some servers say the same of what the caller may not see.",
            )
        if status in _PASSING or status >= 500:
            return SourceFailed(
                "RateLimited" if status == 429 else "Unreachable",
                f"`{where}` answers {status}.",
                fix="Try again later.",
                retry_after_s=_wait(answer.headers.get("retry-after", "")),
            )
        return SourceFailed(
            "Refused", f"`{where}` answers {status}.", fix="Check the address and the connection."
        )


def shown(url: str) -> str:
    """Write a URL for people: without its query, which may be a secret."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()[:500]


def unreachable(url: str, why: str) -> SourceFailed:
    """Say that something did not answer."""
    return SourceFailed(
        "Unreachable",
        f"`{shown(url)}` cannot be reached: {why}.",
        fix="Check the address, and that this machine may reach it.",
    )


def changed(url: str, how: str) -> SourceFailed:
    """Say that a file is not what was listed."""
    return SourceFailed(
        "Changed", f"`{shown(url)}` {how}.", fix="Import it anew, once nobody writes there."
    )


def too_large(url: str, limit: int) -> SourceFailed:
    """Say that a document is larger than any that is meant."""
    return SourceFailed(
        "TooLarge",
        f"`{shown(url)}` answers more than {limit} bytes.",
        fix="Name a smaller part of it, or upload the model.",
    )


async def _beginning(url: str, answer: Incoming) -> bytes:
    body = b""
    async with aclosing(_whole(url, answer)) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) >= _REFUSAL_BYTES:
                break
    return body[:_REFUSAL_BYTES]


async def _whole(url: str, answer: Incoming) -> AsyncGenerator[bytes, None]:
    if answer.headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
        raise SourceFailed(
            "Unreadable",
            f"`{shown(url)}` is sent compressed, though it was asked for as it is.",
            fix="Look at the server, or at the proxy before it.",
        )
    async with aclosing(answer.pieces()) as pieces:
        while True:
            with _failures(url):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece


@contextmanager
def _failures(url: str) -> Iterator[None]:
    """Say what kind of failure it is, and what to do."""
    try:
        yield
    except NotAllowed as error:
        raise SourceFailed(
            "NotAllowed",
            f"`{shown(url)}` is not called: {error}.",
            fix="Let the operator add its network to `TOWPATH_EGRESS_ALLOW`, if it is meant.",
        ) from error
    except NotTrusted as error:
        raise SourceFailed(
            "NotTrusted",
            f"`{shown(url)}` is not called: {error}.",
            fix="Give the connection the certificate of the authority that signed it.",
        ) from error
    except NotSent as error:
        raise unreachable(url, str(error)) from error


def _onward(url: str, location: str) -> str:
    """Resolve a redirect."""
    safe = {"https"} if url.startswith("https:") else {"http", "https"}
    try:
        onward = urljoin(url, location)
        scheme = urlsplit(onward).scheme
    except ValueError as error:
        raise SourceFailed(
            "Unreadable",
            f"`{shown(url)}` sends on to what is no address.",
            fix="Look at the server, or at the proxy before it.",
        ) from error
    if scheme not in safe:
        raise SourceFailed(
            "NotAllowed",
            f"`{shown(url)}` sends on to `{shown(onward)}`, which is not by TLS.",
            fix="Name a server that keeps to `https:`.",
        )
    return onward


def _place(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _wait(text: str) -> int | None:
    """Read `Retry-After`."""
    if text.isdecimal():
        return min(int(text[:9]), _LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if until.tzinfo is None:
        return None
    return max(0, min(int((until - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT_S))
