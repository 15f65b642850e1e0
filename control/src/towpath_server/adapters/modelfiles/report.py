"""What was found in a file, and in a model as a whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from towpath_server.adapters.modelfiles.reasons import REASONS, Severity

MAX_ISSUES = 50  # of one file: the first ones say enough
_MAX_TEXT = 300


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
        self.inside = inside
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
        """Close the notes."""
        return Examined(kind, tuple(self.issues), self.facts)


def plain(text: str) -> str:
    """Cut a text from a foreign file so that it can be shown."""
    shown = "".join(char if char.isprintable() else "�" for char in text)
    return shown if len(shown) <= _MAX_TEXT else f"{shown[: _MAX_TEXT - 1]}…"


def listed(names: Iterable[str], most: int = 5) -> str:
    """List some names for a person, the first few of many."""
    unique = list(dict.fromkeys(names))
    shown = ", ".join(f"`{plain(name)[:80]}`" for name in unique[:most])
    return f"{shown} and {len(unique) - most} more" if len(unique) > most else shown
