"""
Which stored bytes are needed: asked before any are removed.

Like `core/uses.py`, and for the same reason: the domain that keeps bytes is below those that need
them. Whoever writes down a digest registers the question that finds it again.
"""

from collections.abc import Awaitable, Callable, Collection

from towpath_server.core.db import Tx

Holders = Callable[[Tx, Collection[str]], Awaitable[Collection[str]]]
Trees = Callable[[Tx], Awaitable[Collection[str]]]

_holders: list[Holders] = []
_trees: list[Trees] = []


def artifacts(question: Holders) -> Holders:
    """Register the function that tells which of some digests it needs."""
    _holders.append(question)
    return question


def trees(question: Trees) -> Trees:
    """Register the function that names, by the digests of their lists, the folders in use."""
    _trees.append(question)
    return question


async def held(tx: Tx, digests: Collection[str]) -> set[str]:
    """Return those of some digests that anything needs."""
    found: set[str] = set()
    for ask in _holders:
        left = set(digests) - found
        if not left:
            break
        found |= set(await ask(tx, left))
    return found


async def trees_in_use(tx: Tx) -> set[str]:
    """Return the digests of the lists of files whose folders programs read."""
    return {tree for ask in _trees for tree in await ask(tx)}
