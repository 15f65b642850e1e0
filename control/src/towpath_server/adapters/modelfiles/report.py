"""What was found in a file, and in a model as a whole."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from towpath_server.adapters.modelfiles.reasons import REASONS, TOO_LARGE, Severity

MAX_ISSUES = 50  # of one file: the first ones say enough
_MAX_TEXT = 300
_MAX_FACTS = 1 << 20  # as JSON; real models have some KiB


@dataclass(frozen=True)
class Issue:
    """One thing that is wrong with a file, or that runs when it is loaded."""

    reason: str
    message: str
    inside: str = ""
    """Where in the file, for archives."""

    @property
    def severity(self) -> Severity:
        """Say what follows from it."""
        return REASONS[self.reason].severity

    @property
    def fix(self) -> str:
        """Say what to do."""
        return REASONS[self.reason].fix


@dataclass(frozen=True)
class Examined:
    """What one file is."""

    kind: str
    """As its content tells: `gguf`, `onnx`, `pickle`, `zip`, `text`, …; see `sniff`."""
    issues: tuple[Issue, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Write it as a JSON object."""
        issues = [
            {"reason": one.reason, "message": one.message, "inside": one.inside}
            for one in self.issues
        ]
        return {"kind": self.kind, "issues": issues, "facts": dict(self.facts)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Examined":
        """Read it from a JSON object."""
        issues = tuple(
            Issue(one["reason"], one["message"], one["inside"]) for one in document["issues"]
        )
        return cls(document["kind"], issues, document["facts"])


class Unsound(Exception):
    """A reader cannot go on: the file is not what it claims to be."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.issue = Issue(reason, message)


class Notes:
    """Collects the findings and facts of one file, bounded."""

    def __init__(self, inside: str = "") -> None:
        self.inside = plain(inside)
        self.issues: list[Issue] = []
        self.facts: dict[str, Any] = {}

    def add(self, reason: str, message: str) -> None:
        """Note a finding, once."""
        issue = Issue(reason, plain(message), self.inside)
        if issue not in self.issues and len(self.issues) < MAX_ISSUES:
            self.issues.append(issue)

    def take(self, other: "Notes") -> None:
        """Take over the findings about a part."""
        for issue in other.issues:
            if issue not in self.issues and len(self.issues) < MAX_ISSUES:
                self.issues.append(issue)

    def examined(self, kind: str) -> Examined:
        """Close the notes; what foreign texts hold beyond a page is refused rather than kept."""
        facts = {name: _shown(value) for name, value in self.facts.items()}
        if len(json.dumps(facts)) > _MAX_FACTS:
            self.issues.insert(0, Issue(TOO_LARGE, "Its tables of names are longer than 1 MiB."))
            facts = {}
        return Examined(kind, tuple(self.issues), facts)


def _shown(value: Any) -> Any:
    """Make all texts within a value such that they can be stored and shown."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {plain(str(name)): _shown(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(inner) for inner in value]
    return value


def plain(text: str) -> str:
    """Cut a text from a foreign file so that it can be shown."""
    shown = "".join(char if char.isprintable() else "�" for char in text)
    return shown if len(shown) <= _MAX_TEXT else f"{shown[: _MAX_TEXT - 1]}…"


def listed(names: Iterable[str], most: int = 5) -> str:
    """List some names for a person, the first few of many."""
    unique = list(dict.fromkeys(names))
    shown = ", ".join(f"`{plain(name)[:80]}`" for name in unique[:most])
    return f"{shown} and {len(unique) - most} more" if len(unique) > most else shown
