"""From declarations to what has to be done."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from towpath.cli.apply.difference import changes
from towpath.cli.apply.documents import Declared
from towpath.cli.apply.kinds import KINDS, MANIFEST, Kind
from towpath.errors import Finding, NotFoundError
from towpath.generated.client import Towpath

CREATE, CHANGE, DELETE, KEEP, REFUSED = "create", "change", "delete", "keep", "refused"


@dataclass(frozen=True)
class Act:
    """One thing to do; `changed` says from what to what."""

    verb: str
    kind: Kind
    called: str
    changed: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    declared: Declared | None = None
    present: Mapping[str, Any] | None = None
    findings: Sequence[Finding] = ()


class Inventory:
    """What is there, read once per kind; ids of teams and projects are read as their names."""

    def __init__(self, client: Towpath) -> None:
        self._client = client
        self._names: dict[str, str] = {}
        self._found: dict[str, list[dict[str, Any]]] = {}

    def of(self, kind: Kind) -> list[dict[str, Any]]:
        """Return everything of a kind that the caller may see."""
        if kind.name not in self._found:
            if not self._names:
                for project in self._every("/api/v1/projects"):
                    self._names[project["id"]] = project["path"]
                for team in self._every("/api/v1/teams"):
                    self._names[team["id"]] = team["name"]
            self._found[kind.name] = [self._named(one) for one in self._every(kind.path)]
        return self._found[kind.name]

    def find(self, declared: Declared) -> dict[str, Any] | None:
        """Return what a declaration is about, where it is there."""
        kind = declared.kind
        if kind.put:
            return self._one(kind.place(declared.fields))
        wanted = {**declared.fields}
        for name, path in kind.looked_up.items():
            named = self._one(f"{path}/{quote(str(wanted.get(name)))}")
            wanted[name] = named["id"] if named else None
        key = kind.key(wanted)
        return next((one for one in self.of(kind) if kind.key(one) == key), None)

    def _one(self, path: str) -> dict[str, Any] | None:
        try:
            found, _ = self._client.call("GET", path)
        except NotFoundError:
            return None
        return dict(found)

    def _every(self, path: str) -> Iterator[dict[str, Any]]:
        after = None
        while True:
            page, _ = self._client.call("GET", path, query={"limit": 1_000, "after": after})
            yield from page["items"]
            after = page.get("next")
            if after is None:
                return

    def _named(self, one: dict[str, Any]) -> dict[str, Any]:
        named: dict[str, Any] = {
            key: self._names.get(value, value) if isinstance(value, str) and key != "id" else value
            for key, value in one.items()
        }
        for part in ("targets", "fallback"):
            if isinstance(named.get(part), list):
                named[part] = [as_written(target) for target in named[part]]
        return named


def as_written(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return an endpoint's target as `POST` takes it, beside all that is answered of it."""
    kind, name = str(target.get("kind")), str(target.get("name"))
    if kind == "provider":
        name = name.removesuffix(f"/{target.get('model')}")
    return {**target, kind: dict(target) if kind == "static" else name}


def plan(
    declared: Sequence[Declared],
    inventory: Inventory,
    check: Callable[[Declared], tuple[dict[str, Any], Sequence[Finding]]],
) -> list[Act]:
    """
    Say what has to be done for what is declared.

    Args:
        check: Uploads what a manifest names, has it checked, and returns it as the platform would
            keep it, with what is wrong.
    """
    return [_act(one, inventory.find(one), check) for one in declared]


def _act(
    one: Declared,
    present: Mapping[str, Any] | None,
    check: Callable[[Declared], tuple[dict[str, Any], Sequence[Finding]]],
) -> Act:
    if one.kind.name == MANIFEST:
        document, findings = check(one)
        one = Declared(one.kind, one.fields, one.file, document)
        there = present["manifest"] if present else {}
        differs = changes({k: document.get(k) for k in ("metadata", "spec")}, there)
        if findings:
            return Act(REFUSED, one.kind, one.called, differs, one, present, findings)
    else:
        untold = {*one.kind.unreadable, *one.kind.looked_up}
        told = {k: v for k, v in one.fields.items() if k not in untold}
        differs = changes(told, present) if present else {}
    if present is None:
        return Act(CREATE, one.kind, one.called, {}, one)
    verb = CHANGE if differs else KEEP
    return Act(verb, one.kind, one.called, differs, one, present)


def surplus(declared: Sequence[Declared], inventory: Inventory, projects: set[str]) -> list[Act]:
    """Say what belongs to these projects and is declared nowhere; the last made goes first."""
    known = {(one.kind.name, *one.kind.key(one.fields)) for one in declared}
    acts = []
    for kind in reversed([*KINDS.values()]):
        if kind.owner is None:
            continue
        for one in inventory.of(kind):
            of_a_deployment = kind.name == "Endpoint" and one.get("deployment")
            mine = one.get(kind.owner) in projects
            if mine and not of_a_deployment and (kind.name, *kind.key(one)) not in known:
                acts.append(Act(DELETE, kind, kind.called(one), present=one))
    return acts
