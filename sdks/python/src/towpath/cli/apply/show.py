"""Writes a plan: for a person, for a merge request, for a program."""

import json
from collections.abc import Sequence
from typing import Any

from towpath.cli import output
from towpath.cli.apply.plan import CHANGE, CREATE, DELETE, KEEP, REFUSED, Act

_SIGNS = {CREATE: "+", CHANGE: "~", DELETE: "-", REFUSED: "✗"}
_MAX_VALUE = 60


def acts(found: Sequence[Act], *, as_json: bool, markdown: bool) -> None:
    """Write what would be done."""
    if as_json:
        output.document({"items": [_document(act) for act in found if act.verb != KEEP]})
        return
    lines = [line for act in found if act.verb != KEEP for line in _lines(act)]
    summary = _summary(found)
    if markdown:
        block = ["```diff", *lines, "```"] if lines else []
        output.data("\n".join(["### Towpath plan", "", *block, summary]))
        return
    for line in lines:
        output.data(line)
    output.note(summary)


def _lines(act: Act) -> list[str]:
    where = f"    {act.declared.file}" if act.declared else ""
    lines = [f"{_SIGNS[act.verb]} {act.called}{where}"]
    for path, (there, wanted) in act.changed.items():
        if act.verb in {CHANGE, REFUSED} and act.present:
            lines.append(f"    {path}: {_value(there)} → {_value(wanted)}")
    for finding in act.findings:
        lines.append(f"    {finding.path}: {output.clean(finding.message)}")
        if finding.fix:
            lines.append(f"    fix: {output.clean(finding.fix)}")
    return lines


def _summary(found: Sequence[Act]) -> str:
    count = {verb: sum(act.verb == verb for act in found) for verb in (*_SIGNS, KEEP)}
    words = [
        f"{count[CREATE]} to create",
        f"{count[CHANGE]} to change",
        f"{count[DELETE]} to delete",
        f"{count[KEEP]} as they are",
    ]
    if count[REFUSED]:
        words.append(f"{count[REFUSED]} refused, nothing is changed")
    return ", ".join(words) + "."


def _document(act: Act) -> dict[str, Any]:
    return {
        "verb": act.verb,
        "kind": act.kind.name,
        "name": act.called.partition(" ")[2],
        "changes": [
            {"path": path, "from": there, "to": wanted}
            for path, (there, wanted) in act.changed.items()
        ],
        "findings": [
            {"path": one.path, "reason": one.reason, "message": one.message, "fix": one.fix}
            for one in act.findings
        ],
    }


def _value(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return output.shortened(output.clean(text), _MAX_VALUE)
