"""
Who uses what: how a thing refuses to be deleted while others need it.

Domains import one another in one direction only, so a team cannot ask its projects. The domain that
uses a noun registers a question here, and the used one asks all of them.
"""

from collections.abc import Awaitable, Callable, Sequence

from towpath_server.core.db import Tx
from towpath_server.core.errors import InUse

Question = Callable[[Tx, str], Awaitable[Sequence[str]]]
Follower = Callable[[Tx, str], Awaitable[None]]
Heir = Callable[[Tx, str, str], Awaitable[None]]

_questions: dict[str, list[Question]] = {}
_followers: dict[str, list[Follower]] = {}
_readers: dict[str, list[Follower]] = {}
_heirs: dict[str, list[Heir]] = {}
_SHOWN = 5  # names in the error; more would not help


def of(noun: str) -> Callable[[Question], Question]:
    """Register the function that names, for an id of `noun`, up to a few things that use it."""

    def register(question: Question) -> Question:
        _questions.setdefault(noun, []).append(question)
        return question

    return register


def falls_with(noun: str) -> Callable[[Follower], Follower]:
    """Register the function that removes what has no meaning without an id of `noun`."""

    def register(follower: Follower) -> Follower:
        _followers.setdefault(noun, []).append(follower)
        return follower

    return register


def words_of(noun: str) -> Callable[[Follower], Follower]:
    """Register the function that tells the gateways of what is worded by the name of a `noun`."""

    def register(reader: Follower) -> Follower:
        _readers.setdefault(noun, []).append(reader)
        return reader

    return register


def passes_on(noun: str) -> Callable[[Heir], Heir]:
    """Register the function that gives what holds for a `noun` to the one that replaces it."""

    def register(heir: Heir) -> Heir:
        _heirs.setdefault(noun, []).append(heir)
        return heir

    return register


async def renamed(tx: Tx, noun: str, id: str) -> None:  # noqa: A002
    """Let all follow that is worded by the thing's name; to be called when that changes."""
    for read in _readers.get(noun, ()):
        await read(tx, id)


async def pass_on(tx: Tx, noun: str, former: str, successor: str) -> None:
    """Give the successor what holds for the former; to be called when one replaces the other."""
    for heir in _heirs.get(noun, ()):
        await heir(tx, former, successor)


async def release(tx: Tx, noun: str, id: str) -> None:  # noqa: A002
    """Remove all that falls with the thing; to be called when it is deleted."""
    for follow in _followers.get(noun, ()):
        await follow(tx, id)


async def found(tx: Tx, noun: str, id: str) -> list[str]:  # noqa: A002
    """Name what uses the thing."""
    return [user for ask in _questions.get(noun, ()) for user in await ask(tx, id)]


async def ensure_none(tx: Tx, noun: str, id: str, name: str) -> None:  # noqa: A002
    """
    Refuse to go on while something uses the thing.

    Raises:
        InUse: Something does; the error names it.
    """
    users = await found(tx, noun, id)
    if users:
        raise InUse(noun, name, users[:_SHOWN])
