"""Waiting for a model from outside, once nothing else is wrong."""

from typing import NoReturn

from towpath_server.core import documents
from towpath_server.core.db import Database
from towpath_server.core.deferred import Deferred
from towpath_server.core.errors import Finding
from towpath_server.domains.deployments.errors import ManifestInvalid, SourceFetching
from towpath_server.domains.deployments.service.check.inquiry import Awaited, Inquiry
from towpath_server.domains.imports import service as imports
from towpath_server.domains.imports.models import Import

_MB = 1_000_000


def wait_for(inquiry: Inquiry, awaited: Awaited, *, begin: bool) -> NoReturn:
    """
    Say that a model is on its way, or have it begun.

    Raises:
        ManifestInvalid: It is not here, and nobody asked for it to be fetched.
        SourceFetching: It is on its way.
        Deferred: It is to be begun first.
    """
    order, found = awaited.order, awaited.under_way
    if not begin:
        said = "The model is not in the registry yet, so that it cannot be checked."
        fix = f"Fetch it first: `towpath models import {order.uri} --name {order.model}`."
        raise ManifestInvalid([_placed(inquiry, said, fix, "NotFetched")])
    if found is not None:
        fix = "Send the manifest again in a second; it goes on by itself."
        raise SourceFetching(_placed(inquiry, _said(found), fix, "Fetching"), id=found.id)
    caller, facilities = inquiry.caller, inquiry.facilities

    async def fetch(db: Database) -> None:
        async with db.write() as tx:
            begun = await imports.begin(tx, caller, order, facilities=facilities)
        await imports.settled(db, begun.id, within_s=facilities.import_wait_s)

    raise Deferred(fetch)


def _said(found: Import) -> str:
    progress = found.progress
    if progress.bytes_total is not None:
        done, total = progress.bytes_done / _MB, progress.bytes_total / _MB
        said = f"The model is on its way: {done:.0f} of {total:.0f} MB are here."
    elif progress.files_total is not None:
        said = f"The model is on its way: {progress.files_done} of {progress.files_total} files."
    else:
        said = "The model is on its way."
    if found.trouble is not None:
        said += f" The last attempt failed, and is made again: {found.trouble.message}"
    return said


def _placed(inquiry: Inquiry, message: str, fix: str, reason: str) -> Finding:
    finding = Finding("#/spec/model/uri", message, fix, reason=reason)
    draft = inquiry.draft
    return documents.placed(finding.located(draft.moved), draft.lines)
