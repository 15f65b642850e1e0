"""A bucket behind TLS: the authority that the settings name is trusted, and no other is."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from buckets import BucketServer
from streams import digest_of, read, stream

from towpath_server.adapters.objectstore.errors import StorageUntrusted
from towpath_server.adapters.objectstore.store import ArtifactStore, StoredFile

MIB = 1 << 20
Open = Callable[..., ArtifactStore]


async def test_an_authority_of_ones_own_is_trusted(behind_tls: Open, tmp_path: Path) -> None:
    store = behind_tls(ca=tmp_path / "authority.pem")
    content = os.urandom(20 * MIB)

    await store.put(digest_of(content), stream(content))
    tree = await store.tree([StoredFile("a", digest_of(content), 20 * MIB)])

    assert await read(store, digest_of(content)) == content
    assert (tree / "a").read_bytes() == content


@pytest.mark.parametrize("ca", ["other.pem", None])
async def test_another_authority_is_not_trusted(
    behind_tls: Open, tmp_path: Path, ca: str | None
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    store = behind_tls(ca=ca and tmp_path / ca)

    with pytest.raises(StorageUntrusted) as refused:
        await store.put(digest_of(b"weights"), stream(b"weights"))

    assert refused.value.detail.startswith("The certificate of the artifact store `s3://towpath/")
    assert "(an authority signed it that is not known here)" in refused.value.detail
    assert "TOWPATH_ARTIFACTS__CA" in (refused.value.fix or "")


async def test_a_certificate_for_another_name_is_not_trusted(
    tls_server: BucketServer, behind_tls: Open, tmp_path: Path
) -> None:
    elsewhere = f"https://127.0.0.1:{tls_server.port}"
    store = behind_tls(ca=tmp_path / "authority.pem", endpoint=elsewhere)

    with pytest.raises(StorageUntrusted, match="for another name") as refused:
        await store.size(digest_of(b"weights"))

    assert "TOWPATH_ARTIFACTS__ENDPOINT" in (refused.value.fix or "")
