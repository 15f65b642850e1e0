"""The manifest's JSON schema: what editors check against."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from platform_api import Api

ROOT = Path(__file__).resolve().parents[4]
MANIFESTS = sorted((ROOT / "templates" / "demo").glob("*.yaml"))


@pytest.fixture
async def schema(api: Api) -> Any:
    """Fetch it, as an editor does."""
    answer = await api.as_(None).call("GET", "/schemas/model-deployment.json", status=200)
    jsonschema.Draft202012Validator.check_schema(answer.json())
    return answer.json()


async def test_manifests_that_ship_are_valid(schema: Any) -> None:
    assert MANIFESTS
    for path in MANIFESTS:
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "ModelDeploymnt"}, "'ModelDeployment' was expected"),
        ({"spec": {"model": {"uri": "models:/a/1"}, "modle": {}}}, "'modle' was unexpected"),
        ({"spec": {"model": {"uri": "models:/a/1", "frmat": "onnx"}}}, "'frmat' was unexpected"),
        ({"spec": {"model": {"uri": "models:/a/1"}, "scaling": {"minReplicas": "two"}}}, "two"),
    ],
)
async def test_mistakes_are_found_before_anything_is_sent(
    schema: Any, change: dict[str, Any], says: str
) -> None:
    whole = {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "triage"},
        "spec": {"model": {"uri": "models:/triage/1"}},
    }
    jsonschema.validate(whole, schema)

    with pytest.raises(jsonschema.ValidationError) as refused:
        jsonschema.validate({**whole, **change}, schema)

    found = [error.message for error in [refused.value, *(refused.value.context or [])]]
    assert any(says in message for message in found), found
