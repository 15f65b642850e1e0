"""
JSON paths (RFC 9535) and rules over what they find.

Nothing here bounds time: patterns and paths are people's, and both can be made to take for ever.
`judge.py` runs this in a process that ends.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonpath_rfc9535 as jsonpath

RULES = ("equals", "in", "minimum", "maximum", "matches", "exists")
_SHOWN = 200  # characters of a value in a sentence


def compiled(path: str) -> Any:
    """
    Read a path.

    Raises:
        JSONPathError: It is none.
    """
    return jsonpath.compile(path)


def is_rule(value: Mapping[str, Any]) -> bool:
    """Tell whether an object is a rule, and not a value to be equal to."""
    return any(name in RULES for name in value)


def unmet(document: Any, path: str, expected: Any) -> tuple[str, str] | None:
    """Return what is expected and what is found instead; none where it is as expected."""
    rule = expected if isinstance(expected, Mapping) and is_rule(expected) else {"equals": expected}
    found = compiled(path).find(document).values()
    for name, value in rule.items():
        words = f"{name} {shown(value)}" if name != "equals" else shown(value)
        if name == "exists":
            if bool(found) is not value:
                return ("nothing" if not value else "a value"), _listed(found)
            continue
        if not found:
            return words, "nothing"
        bad = next((one for one in found if not _meets(one, name, value)), _NONE)
        if bad is not _NONE:
            return words, shown(bad)
    return None


def shown(value: Any) -> str:
    """Write a value for a sentence."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


_NONE = object()


def _listed(found: list[Any]) -> str:
    return shown(found[0]) if found else "nothing"


def _meets(value: Any, name: str, wanted: Any) -> bool:
    if name == "equals":
        return same(value, wanted)
    if name == "in":
        return any(same(value, one) for one in wanted)
    if name == "matches":
        return isinstance(value, str) and re.search(wanted, value) is not None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return value >= wanted if name == "minimum" else value <= wanted


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal; `true` is not 1, and 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)
