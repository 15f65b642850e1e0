"""Is the model there, and is it the one that is meant."""

from towpath_server.core.errors import NotFound
from towpath_server.domains.aliases import service as aliases
from towpath_server.domains.deployments.models import ModelDraft
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.models import service as models
from towpath_server.domains.models.models import ModelVersion


async def find(inquiry: Inquiry) -> ModelVersion | None:
    """Find the version that is to be served; an alias is resolved here, once."""
    wanted = inquiry.draft.model
    if wanted is None:
        return None
    try:
        version = await _version(inquiry, wanted)
    except NotFound as error:
        hint = await models.suggestion(inquiry.tx, inquiry.caller, wanted.name)
        known = hint is not None and f"`{wanted.name}`" in hint
        reason = "UnknownAlias" if known and wanted.alias else "UnknownModel"
        fix = error.fix if known else hint or error.fix
        inquiry.add("#/spec/model/uri", reason, error.detail, fix)
        return None
    _compare(inquiry, wanted, version)
    return version


async def _version(inquiry: Inquiry, wanted: ModelDraft) -> ModelVersion:
    tx, caller = inquiry.tx, inquiry.caller
    if wanted.version is not None:
        return await models.get_version(tx, caller, wanted.name, wanted.version)
    return await aliases.resolve(tx, caller, wanted.name, wanted.alias or "")


def _compare(inquiry: Inquiry, wanted: ModelDraft, version: ModelVersion) -> None:
    if wanted.format is not None and wanted.format != version.format:
        detail = f"`{version.uri}` has the format `{version.format}`, not `{wanted.format}`."
        inquiry.add(
            "#/spec/model/format", "FormatMismatch", detail, f"Write `format: {version.format}`."
        )
    if wanted.digest is not None and wanted.digest != version.digest:
        detail = f"`{version.uri}` has the digest `{version.digest}`, not this one."
        inquiry.add(
            "#/spec/model/digest",
            "DigestMismatch",
            detail,
            "Name the version that has it, or correct it.",
        )
