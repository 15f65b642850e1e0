"""The manifest as a JSON schema, for editors and for checks before anything is sent."""

from typing import Any

from pydantic.json_schema import models_json_schema

from towpath_server.domains.deployments.schemas import manifest
from towpath_server.domains.deployments.schemas.reading import API_VERSION, KIND
from towpath_server.domains.endpoints.models import ENVIRONMENTS

_LISTS = frozenset({"prices", "smokeTests"})  # sections that are a list of what their model says
_NEEDED = ("model",)


def json_schema() -> dict[str, Any]:
    """
    Return the schema (draft 2020-12) of a `ModelDeployment`.

    It knows fields, types and ranges. What depends on the platform (models, runtimes, quotas,
    policies) is found by `POST /api/v1/deployments?dry_run=true`.
    """
    kinds = [manifest.Metadata, *manifest.SECTIONS.values()]
    references, definitions = models_json_schema(
        [(kind, "validation") for kind in dict.fromkeys(kinds)], by_alias=True
    )
    parts = {kind: references[kind, "validation"] for kind in kinds}
    spec = {
        name: {"type": "array", "items": parts[kind]} if name in _LISTS else parts[kind]
        for name, kind in manifest.SECTIONS.items()
    }
    # There a section may be partial, or null; what comes of it is found by the platform.
    spec["overrides"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {"type": "object", "propertyNames": {"enum": [*spec]}} for name in ENVIRONMENTS
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": KIND,
        "description": "What a team declares to have a model served.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": KIND},
            "metadata": parts[manifest.Metadata],
            "spec": {
                "type": "object",
                "required": list(_NEEDED),
                "additionalProperties": False,
                "properties": spec,
            },
        },
        **definitions,
    }
