#!/usr/bin/env python3
"""
Write `towpath/generated`: the blocking client, derived from the one written for asyncio.

One source for both means that they cannot drift apart; a test compares what is committed with what
this would write. Run it without arguments from anywhere.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "towpath"
SOURCES = ("client", "paging", "streaming", "resources/noun", "resources/inference",
           "resources/media", "resources/catalogue", "resources/organisation", "resources/serving",
           "resources/record", "resources/batches", "resources/admission",
           "resources/policies", "resources/evaluations",
           "resources/artifacts", "resources/environments",
           "resources/sources")  # fmt: skip
NOTICE = '"""Derived from `towpath/{name}.py` by `tools/derive_sync.py`; never edited."""\n'

# In order; each is a whole word of the async source and what blocking code says instead.
RULES = (
    (r"\btowpath\.transport_async\b", "towpath.transport"),
    (r"\btowpath\.(client|paging|streaming|resources)\b", r"towpath.generated.\1"),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b__a(iter|next|enter|exit)__\b", r"__\1__"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\basync with\b", "with"),
    (r"an async client", "a client"),
)


def derive(name: str) -> str:
    """Return the blocking form of one module."""
    text = (PACKAGE / f"{name}.py").read_text(encoding="utf-8")
    text = re.sub(r'\A""".*?"""\n', lambda _: NOTICE.format(name=name), text, flags=re.DOTALL)
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text


def outputs() -> dict[Path, str]:
    """Return every generated file with its text."""
    folder = PACKAGE / "generated"
    made = {folder / f"{name}.py": derive(name) for name in SOURCES}
    for package in ("", "resources/"):
        made[folder / package / "__init__.py"] = NOTICE.format(name=f"{package}*")
    return made


def main() -> int:
    """Write all files."""
    for path, text in outputs().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
