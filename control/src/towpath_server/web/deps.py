"""What a route may ask for. The edge (`web/edge.py`) has put it on the request before."""

from typing import Annotated

from fastapi import Depends, Header, Request

from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest
from towpath_server.core.signals import Board
from towpath_server.web import state
from towpath_server.web.paging import Paging as Paging
from towpath_server.web.state import State

_MAX_REVISION_DIGITS = 18


def _caller(request: Request) -> Principal:
    return request.state.caller


def _tx(request: Request) -> Tx:
    return request.state.tx


def _platform(request: Request) -> State:
    return state.of(request)


def _board(request: Request) -> Board:
    return state.of(request).board


def _if_match(
    if_match: Annotated[
        str | None, Header(description="The `ETag` the change is meant for; else 412.")
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    value = if_match.strip().removeprefix("W/").strip('"')
    if not value.isascii() or not value.isdigit() or len(value) > _MAX_REVISION_DIGITS:
        raise InvalidRequest(
            "`If-Match` is not an `ETag` of ours.",
            fix='Send the `ETag` as it came, such as `"3"`.',
            findings=[Finding("header:if-match", 'It must be a revision such as `"3"`.')],
        )
    return int(value)


Caller = Annotated[Principal, Depends(_caller)]
"""Who is calling."""

ReadTx = Annotated[Tx, Depends(_tx)]
"""The transaction of a request that reads."""

WriteTx = Annotated[Tx, Depends(_tx)]
"""The transaction of a request that writes; the edge commits it before the answer."""

IfMatch = Annotated[int | None, Depends(_if_match)]
"""The revision a change is meant for, where the caller said one."""

Signals = Annotated[Board, Depends(_board)]
"""What the gateways said last of limits and budgets."""

Platform = Annotated[State, Depends(_platform)]
"""What the application was composed of."""
