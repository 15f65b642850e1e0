"""Answers are judged by rules that people wrote, without their being able to stop anybody's work."""

from typing import Any

import pytest

from towpath_server.adapters.answers import paths
from towpath_server.adapters.answers.judge import CannotJudge, Case, Flaw, judge

DOCUMENT = {"outputs": [{"label": "pos", "score": 1}, {"label": "neg", "score": 0.25}]}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.outputs[0].score", 1.0),
        ("$.outputs[*].label", {"in": ["pos", "neg"]}),
        ("$.outputs[*].score", {"minimum": 0, "maximum": 1}),
        ("$.outputs[?@.score > 0.5].label", "pos"),
        ("$.outputs[1]", {"label": "neg", "score": 0.25}),
        ("$.outputs[0]", {"equals": {"label": "pos", "score": 1}}),
        ("$.usage", {"exists": False}),
        ("$.outputs[0].label", {"matches": "^p"}),
    ],
)
def test_what_is_as_expected_has_no_flaw(path: str, expected: Any) -> None:
    assert paths.unmet(DOCUMENT, path, expected) is None


@pytest.mark.parametrize(
    ("path", "expected", "found"),
    [
        ("$.outputs[0].score", True, "1"),
        ("$.outputs[*].label", "pos", '"neg"'),
        ("$.outputs[*].score", {"minimum": 0.5}, "0.25"),
        ("$.outputs[0].label", {"minimum": 1}, '"pos"'),
        ("$.outputs[0].score", {"matches": "1"}, "1"),
        ("$.outputs", {"exists": False}, '[{"label": "pos", "score": 1}'),
        ("$.outputs[7].label", {"in": ["pos"]}, "nothing"),
    ],
)
def test_what_is_not_as_expected_is_said_with_what_was_found(
    path: str, expected: Any, found: str
) -> None:
    unmet = paths.unmet(DOCUMENT, path, expected)

    assert unmet is not None
    assert unmet[1].startswith(found)


async def test_a_schema_is_judged_and_never_fetches_what_it_refers_to() -> None:
    wrong = {"properties": {"outputs": {"maxItems": 1}}}
    far = {"$ref": "http://127.0.0.1:9/schema.json"}

    (flaws,) = await judge([Case(DOCUMENT, {}, wrong)])
    with pytest.raises(CannotJudge):
        await judge([Case(DOCUMENT, {}, far)])

    assert [(flaw.where, flaw.expected) for flaw in flaws] == [("$.outputs", "`schema`: maxItems")]
    assert isinstance(flaws[0], Flaw)


async def test_a_pattern_that_never_ends_ends_its_own_process() -> None:
    case = Case({"a": "a" * 60 + "!"}, {"$.a": {"matches": "^(a+)+$"}}, None)

    with pytest.raises(CannotJudge):
        await judge([case], timeout_s=3.0)
