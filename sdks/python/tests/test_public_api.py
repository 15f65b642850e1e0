"""The signatures of everything public: a difference needs a line in the changelog."""

import importlib
import inspect
import pkgutil
from functools import cached_property
from pathlib import Path
from typing import Any

import towpath
import towpath.resources
from towpath import AsyncTowpath

SNAPSHOT = Path(__file__).with_name("public_api.txt")


def methods(kind: type) -> list[str]:
    found = []
    for name, member in inspect.getmembers(kind):
        if name.startswith("_"):
            continue
        if isinstance(member, cached_property | property):
            found.append(f"    {name}")
        elif inspect.isfunction(member):
            word = "async " if inspect.iscoroutinefunction(member) else ""
            found.append(f"    {word}{name}{inspect.signature(member)}")
    return found


def public() -> str:
    lines = ["# towpath", *sorted(towpath.__all__), "", "# AsyncTowpath"]
    lines += [f"    {inspect.signature(AsyncTowpath.__init__)}", *methods(AsyncTowpath)]
    for info in pkgutil.iter_modules(towpath.resources.__path__):
        module: Any = importlib.import_module(f"towpath.resources.{info.name}")
        for name, member in vars(module).items():
            own = inspect.isclass(member) and member.__module__ == module.__name__
            if not own or name.endswith("Caller") or name == "AsyncUploader":
                continue
            lines += ["", f"# {name}"]
            if name.startswith("Async"):
                lines += methods(member)
            else:
                fields = member.__annotations__
                lines += [
                    f"    {field}: {inspect.formatannotation(fields[field])}" for field in fields
                ]
    return "\n".join(lines) + "\n"


def test_the_public_api_is_what_was_published() -> None:
    """When it should differ: `rm public_api.txt`, run this once, commit, and say so in the changelog."""
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(public(), encoding="utf-8")

    assert public() == SNAPSHOT.read_text(encoding="utf-8")
