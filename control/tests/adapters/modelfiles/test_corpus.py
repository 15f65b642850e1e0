"""The corpus of hostile artifacts: each is refused, or contained as code, for the reason it should."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from hostile import CONTAINED, REFUSED, Hostile
from hostile.catalogue import ALL

from towpath_server.adapters.modelfiles.model import Judged, judge
from towpath_server.adapters.modelfiles.reasons import REASONS, Severity
from towpath_server.adapters.modelfiles.scanner import Scanner

Scanned = Mapping[str, Judged]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """Everything, read by one child after the other; what kills one must not spoil the rest."""
    folder = tmp_path_factory.mktemp("hostile")
    tasks: list[tuple[str, str, int, Path]] = []
    for artifact in ALL:
        for path, content in artifact.make().items():
            place = folder / f"{len(tasks)}"
            place.write_bytes(content)
            tasks.append((artifact.name, path, len(content), place))
    found = asyncio.run(Scanner().scan([(place, Path(path).name) for _, path, _, place in tasks]))
    return {
        artifact.name: judge(
            artifact.form,
            [
                (path, size, one)
                for (name, path, size, _), one in zip(tasks, found, strict=True)
                if name == artifact.name
            ],
        )
        for artifact in ALL
    }


@pytest.mark.timeout(120)
@pytest.mark.parametrize("artifact", ALL, ids=lambda artifact: artifact.name)
def test_a_hostile_artifact_is_refused_or_contained(artifact: Hostile, scanned: Scanned) -> None:
    judged = scanned[artifact.name]
    refused = judged.refused(artifact.form)
    reasons = {issue.reason for _, issue in judged.issues}

    assert artifact.reason in reasons
    assert (REFUSED if refused else CONTAINED) == artifact.outcome
    assert "ScanFailed" not in reasons
    if not refused:
        assert judged.carries_code(artifact.form)


def test_every_finding_says_where_and_what_to_do(scanned: Scanned) -> None:
    for name, judged in scanned.items():
        for path, issue in judged.issues:
            assert path, name
            assert issue.message.endswith("."), (name, issue.message)
            assert issue.fix.endswith(".")


def test_the_corpus_is_large_and_knows_every_reason(scanned: Scanned) -> None:
    names = [artifact.name for artifact in ALL]
    shown = {artifact.reason for artifact in ALL}

    assert len(names) == len(set(names)) >= 60
    assert set(REASONS) - shown == {"ScanFailed"}  # shown by the tests of the scanner
    assert {one.severity for one in REASONS.values()} == set(Severity)
