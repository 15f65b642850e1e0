"""
Who uses what: how a thing refuses to be deleted while others need it.

Domains import one another in one direction only, so a team cannot ask its projects. The domain that
uses a noun registers a question here, and the used one asks all of them.
"""

from collections.abc import Awaitable, Callable, Sequence

from towpath_server.core.db import Tx
from towpath_server.core.errors import InUse

Question = Callable[[Tx, str], Awaitable[Sequence[str]]]

_questions: dict[str, list[Question]] = {}
_SHOWN = 5  # names in the error; more would not help


def of(noun: str) -> Callable[[Question], Question]:
    """Register the function that names, for an id of `noun`, up to a few things that use it."""

    def register(question: Question) -> Question:
        _questions.setdefault(noun, []).append(question)
        return question

    return register


async def ensure_none(tx: Tx, noun: str, id: str, name: str) -> None:  # noqa: A002
    """
    Refuse to go on while something uses the thing.

    Raises:
        InUse: Something does; the error names it.
    """
    users = [user for ask in _questions.get(noun, ()) for user in await ask(tx, id)]
    if users:
        raise InUse(noun, name, users[:_SHOWN])
