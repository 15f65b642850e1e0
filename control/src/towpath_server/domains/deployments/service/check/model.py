"""Is the model there, and is it the one that is meant."""

from contextlib import suppress

from towpath_server.core.errors import Forbidden, NameTaken, NotFound
from towpath_server.core.sources import Address
from towpath_server.domains.aliases import service as aliases
from towpath_server.domains.deployments.models import ModelDraft
from towpath_server.domains.deployments.service.check.inquiry import Awaited, Inquiry
from towpath_server.domains.imports import service as imports
from towpath_server.domains.imports.models import Order, Phase
from towpath_server.domains.models import service as models
from towpath_server.domains.models.models import ModelVersion


async def find(inquiry: Inquiry) -> ModelVersion | None:
    """Find the version that is to be served; an alias is resolved here, once."""
    wanted = inquiry.draft.model
    if wanted is None:
        return None
    if wanted.source is not None:
        version = await _fetched(inquiry, wanted, wanted.source)
        if version is not None:
            _compare(inquiry, wanted, version)
        return version
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


async def _fetched(inquiry: Inquiry, wanted: ModelDraft, source: Address) -> ModelVersion | None:
    """Find what an address outside became here, or note that it is to come."""
    tx, metadata, project = inquiry.tx, inquiry.draft.metadata, inquiry.project
    if metadata is None or project is None:
        return None  # that is a finding of its own
    name = metadata.name
    try:
        _, owner = await models.owner_of(tx, inquiry.caller, name, project=project.id)
    except (NotFound, Forbidden, NameTaken) as error:
        reason = "NotAllowed" if isinstance(error, Forbidden) else "NameTaken"
        said = f"What is fetched becomes the model `{name}`, and you may not add to that."
        inquiry.add("#/metadata/name", reason, said, "Choose another name for the deployment.")
        return None
    number = await imports.version_of(tx, owner.id, name, source)
    if number is not None:
        with suppress(NotFound):  # it was deleted since
            return await models.get_version(tx, inquiry.caller, name, number)
    lacking = await imports.unreachable(tx, owner.team_id, source, at="#/spec/model/uri")
    if lacking is not None:
        inquiry.findings.append(lacking)
        return None
    if wanted.format is not None:
        at = "#/spec/model/format"
        inquiry.findings += models.check_format(wanted.format, inquiry.facilities, at=at)
    last = await imports.last(tx, owner.id, name, source)
    if last is not None and last.phase is Phase.FAILED and last.trouble is not None:
        trouble = last.trouble
        inquiry.add("#/spec/model/uri", trouble.reason, trouble.message, trouble.fix)
        return None
    order = Order(name, source.text, project.id, wanted.format)
    inquiry.awaited = Awaited(order, last)
    return None


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
