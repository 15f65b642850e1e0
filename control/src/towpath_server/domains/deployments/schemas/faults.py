"""From what a section's schema says is wrong to findings: each with its reason and its fix."""

import re
from typing import Any

from towpath_server.core import suggest
from towpath_server.core.errors import Finding


class Fault(ValueError):
    """
    What a check of a section found.

    Args:
        what: Goes on after the field's name: `must be above 0`.
        reason: The kind of mistake, in one word.
    """

    def __init__(self, what: str, fix: str, reason: str = "Invalid") -> None:
        super().__init__(what)
        self.fix = fix
        self.reason = reason


_TYPES = {
    "string_type": ("a text", "Put it in quotes."),
    "int_type": ("a whole number", "Write it without quotes."),
    "int_from_float": ("a whole number", "Write it without decimals."),
    "float_type": ("a number", "Write it without quotes."),
    "bool_type": ("`true` or `false`", "Write it without quotes."),
    "list_type": ("a list", "Begin each of its entries with `-`."),
    "dict_type": ("an object", "Write its fields as `name: value`."),
    "model_type": ("an object", "Write its fields as `name: value`."),
}
_RANGES = {
    "greater_than": ("gt", "must be above {}", "Write more than {}."),
    "greater_than_equal": ("ge", "must be at least {}", "Write {} or more."),
    "less_than": ("lt", "must be below {}", "Write less than {}."),
    "less_than_equal": ("le", "must be at most {}", "Write {} or less."),
    "too_long": ("max_length", "has more than {} entries", "Keep to {} of them."),
    "too_short": ("min_length", "has fewer than {} entries", "Write {} or more."),
    "string_too_long": ("max_length", "is longer than {} characters", "Shorten it."),
    "string_too_short": ("min_length", "is empty", "Write something, or leave it out."),
}
_EXAMPLES = {
    "metadata": "Give `metadata.name` and `metadata.project`.",
    "name": "Give it a name of lower-case letters, digits and hyphens.",
    "model": "Give `spec.model.uri`, such as `models:/triage/3`.",
    "uri": "Write it as `models:/triage/3`.",
}
_PATTERNS = {
    "digest": "Write it as `sha256:` and 64 hexadecimal digits, or leave it out.",
    "format": "Write the format's name, such as `onnx`.",
    "path": "Begin it with `/`, such as `/health`.",
    "value": "Leave out what is no text.",
}


def example(name: str) -> str:
    """Say how a missing field is written."""
    return _EXAMPLES.get(name, f"Add `{name}`.")


def finding(entry: Any, place: str, name: str) -> Finding:
    """
    Write what pydantic found.

    Args:
        entry: One of `ValidationError.errors()`.
        name: The field, as the manifest calls it.
    """
    kind, context = str(entry["type"]), entry.get("ctx") or {}
    if kind == "value_error":
        return _checked(context.get("error"), place, name)
    if kind == "missing":
        return Finding(place, f"`{name}` is missing.", example(name), reason="Missing")
    if kind == "string_pattern_mismatch":
        return _pattern(place, name)
    if kind == "literal_error":
        return _choice(entry, place, name)
    if kind in _RANGES:
        bound, what, fix = _RANGES[kind]
        value = context.get(bound)
        said = f"`{name}` {what.format(value)}."
        return Finding(place, said, fix.format(value), reason="OutOfRange")
    what, fix = _TYPES.get(kind, ("something else", "Write it as the reference shows."))
    return Finding(place, f"`{name}` must be {what}.", fix, reason="WrongType")


def _checked(error: Any, place: str, name: str) -> Finding:
    if isinstance(error, Fault):
        return Finding(place, f"`{name}` {error}.", error.fix, reason=error.reason)
    detail, _, fix = str(error).partition("\n")
    return Finding(place, f"`{name}` {detail}.", fix or "Correct the value.")


def _pattern(place: str, name: str) -> Finding:
    if name != "name":
        fix = _PATTERNS.get(name, "Leave out what is not allowed in it.")
        return Finding(place, f"`{name}` is not written as it must be.", fix)
    fix = "Use lower-case letters, digits and hyphens, at most 63."
    if "/env/" in place:
        fix = "Use letters, digits and underscores, and no digit first."
    return Finding(place, "`name` is not a name.", fix, reason="InvalidName")


def _choice(entry: Any, place: str, name: str) -> Finding:
    known = re.findall(r"'([^']*)'", str(entry["ctx"]["expected"]))
    listed = ", ".join(f"`{one}`" for one in known)
    hint = suggest.did_you_mean(str(entry["input"]), known)
    said = f"`{str(entry['input'])[:63]}` is not one of {listed}."
    if name.isdecimal():
        name = place.split("/")[-2]
    fix = hint or f"Write one of {listed} as `{name}`."
    return Finding(place, said, fix, reason="UnknownValue")
