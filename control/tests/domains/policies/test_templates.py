"""The policies that come with the platform, and the example: by their own tests."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from examples import build

from towpath.cli import policy_tests
from towpath_server.domains.policies.service import defaults

FOLDER = Path(__file__).parents[4] / "templates" / "policies"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.test.yaml")), ids=lambda path: path.name)
async def test_a_template_finds_what_its_test_expects(file: Path, api) -> None:
    world = await build(api)
    suite = policy_tests.read(file)
    documents = []
    for name in suite.policies or ():
        default = name.removeprefix(policy_tests.DEFAULT)
        if default != name:
            documents.append((await world.api.get(f"/policy-defaults/{default}"))["document"])
        else:
            documents.append(yaml.safe_load((FOLDER / name).read_text()))
    body = {"policies": documents, "cases": [case.sent for case in suite.cases]}

    answer = await world.api.call("POST", "/policies/evaluate", body, status=200)

    wrong = {
        case.name: lines
        for case, found in zip(suite.cases, answer.json()["cases"], strict=True)
        if (lines := policy_tests.differences(case.expected, found["raised"]))
    }
    assert wrong == {}


def test_every_reason_of_every_default_is_expected_somewhere() -> None:
    suite = policy_tests.read(FOLDER / "defaults.test.yaml")
    expected = {
        one["reason"] for case in suite.cases for listed in case.expected.values() for one in listed
    }

    assert {name.removeprefix("default:") for name in suite.policies or ()} == {
        one.name for one in defaults()
    }
    assert expected == {reason for one in defaults() for reason in reasons(one.document)}


def reasons(document: Any) -> list[str]:
    return [validation["reason"] for validation in document["spec"]["validations"]]


def test_the_guide_shows_the_templates() -> None:
    guide = (FOLDER.parents[1] / "docs" / "guides" / "policies.md").read_text(encoding="utf-8")
    shown = [
        yaml.safe_load(text)
        for text in re.findall(r"^```yaml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    ]
    policy, suite = (
        yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
        for name in ("few-replicas.yaml", "few-replicas.test.yaml")
    )

    assert shown == [
        policy,
        {**suite, "spec": {**suite["spec"], "cases": suite["spec"]["cases"][:2]}},
    ]
