"""A model's card as the Hub has it: Markdown, with the licence in its front matter."""

from typing import Any

import yaml

from towpath_server.core import licences

MAX_BYTES = 256 << 10
_MAX_CHARACTERS = 200_000  # of a version's card
_MAX_FRONT_MATTER = 64 << 10  # the Hub's own bound is lower


def read(data: bytes) -> tuple[str | None, str | None]:
    """Return the card without its front matter, and the licence that this names."""
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\0", "")
    front, body = _split(text)
    return body.strip()[:_MAX_CHARACTERS] or None, _licence(_fields(front))


def _split(text: str) -> tuple[str, str]:
    text = text.removeprefix("\ufeff")
    if not text.startswith("---\n"):
        return "", text
    front, end, body = text[4:].partition("\n---")
    return (front, body) if end and body[:1] in {"", "\n"} else ("", text)


def _fields(front: str) -> Any:
    if len(front) > _MAX_FRONT_MATTER:
        return {}
    try:
        return yaml.load(front, Loader=yaml.BaseLoader)  # noqa: S506 (texts, lists, mappings alone)
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}


def _licence(fields: Any) -> str | None:
    """Read `license`; what is `other` has a name of its own."""
    if not isinstance(fields, dict):
        return None
    told = fields.get("license")
    if told == "other" and isinstance(fields.get("license_name"), str):
        told = fields["license_name"]
    if not isinstance(told, str) or not told.strip() or len(told) > 100:
        return None
    return licences.canonical(told)
