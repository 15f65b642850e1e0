"""Files of versions are uploaded before; only who has shown to have them makes versions of them."""

from collections.abc import Collection, Sequence

from towpath_server.adapters.objectstore.store import StoredFile
from towpath_server.core import holds
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding
from towpath_server.domains.artifacts import service as artifacts
from towpath_server.domains.models import store
from towpath_server.domains.models.errors import FilesUnknown


async def check(tx: Tx, caller: Principal, files: Sequence[StoredFile]) -> None:
    """
    See that the caller has uploaded all of the files.

    Raises:
        BeingRemoved: One of them is on its way out.
        FilesUnknown: Some are missing, or have another size.
    """
    sizes = await artifacts.uploaded(tx, caller, {file.digest for file in files})
    findings = []
    for index, file in enumerate(files):
        if file.digest not in sizes:
            fix = f"`PUT /api/v1/blobs/{file.digest}` first."
            findings.append(
                Finding(f"#/files/{index}/digest", f"`{file.path}` was not uploaded.", fix)
            )
        elif sizes[file.digest] != file.size:
            detail = f"`{file.path}` has {sizes[file.digest]} bytes, not {file.size}."
            findings.append(Finding(f"#/files/{index}/size", detail))
    if findings:
        raise FilesUnknown(findings[0].message, fix=findings[0].fix, findings=findings)


@holds.artifacts
async def _held(tx: Tx, digests: Collection[str]) -> Collection[str]:
    return await store.digests_of_versions(tx, digests)
