"""
A bucket of any server that speaks S3.

It is read by the egress client and not by the library that the artifact store uses: that resolves
names and connects by itself, past the judgement of addresses that somebody wrote down (ADR 0023).
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from towpath_server.adapters.sources import bucketlist, card, selection
from towpath_server.adapters.sources.asking import Asker, Document, shown
from towpath_server.adapters.sources.bucketlist import Stored
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.model import MAX_FILES, Access, Listing, RemoteFile
from towpath_server.adapters.sources.signing import AccessKey, encoded, signed
from towpath_server.core.sources import S3Address

_REFUSALS = (301, 400, 403, 404)
_DENIED = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "XAdminUserNotFound",  # versitygw's word for the first
}
_ELSEWHERE = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"}
_NO_REGION = "us-east-1"  # what servers other than Amazon's take where nothing is set


class S3Source:
    """Reads objects of a bucket; one that changes after it was listed is not read."""

    def __init__(self, address: S3Address, access: Access, asker: Asker) -> None:
        """
        Open it.

        Raises:
            SourceFailed: No connection says where the bucket is.
        """
        self._address = address
        self._bucket = f"{_endpoint(address, access)}/{address.bucket}"
        self._asker = asker
        self._key = None
        if access.username is not None and access.secret is not None:
            region = access.region or _NO_REGION
            self._key = AccessKey(access.username, access.secret, region)

    async def listing(self) -> Listing:
        """List the objects below the prefix; where there are none, the one of this key."""
        key = self._address.key
        found = await self._objects(f"{key}/" if key else "")
        if not found and key:
            found = [one for one in await self._page(key, keys=1) if one.key == key]
        files = [self._file(one) for one in found if not one.key.endswith("/")]
        text, licence = await self._card(files)
        fix = f"Name the one that is meant, such as `{self._address.text}/NAME`."
        told = sorted(f"{one.key}\0{one.etag}\0{one.size}\n" for one in found)
        return Listing(
            pinned=self._address.text,
            files=selection.model_files(files, fix=fix),
            fingerprint=f"sha256:{hashlib.sha256(''.join(told).encode()).hexdigest()}",
            card=text,
            licence=licence,
        )

    async def read(self, file: RemoteFile, offset: int = 0) -> AsyncIterator[bytes]:
        """Read an object, if it is still the one that was listed."""
        etag, _, key = file.key.partition("\0")
        url = f"{self._bucket}/{quote(key, safe='/-_.~')}"
        headers = self._signed(url, {}, {"if-match": etag})
        async for piece in self._asker.content(url, headers, size=file.size, offset=offset):
            yield piece

    def _file(self, stored: Stored) -> RemoteFile:
        key = self._address.key
        path = stored.key.removeprefix(f"{key}/") if key else stored.key
        if stored.key == key:
            path = self._address.basename
        return RemoteFile(path, f"{stored.etag}\0{stored.key}", stored.size)

    async def _card(self, files: list[RemoteFile]) -> tuple[str | None, str | None]:
        for file in files:
            if file.path == selection.CARD and (file.size or 0) <= card.MAX_BYTES:
                return card.read(b"".join([piece async for piece in self.read(file)]))
        return None, None

    async def _objects(self, prefix: str) -> list[Stored]:
        """
        List all objects below a prefix.

        Raises:
            SourceFailed: There are more than a model has files.
        """
        found: list[Stored] = []
        more: str | None = ""
        while more is not None:
            page = await self._ask(prefix, more)
            found += page.objects
            more = page.more
            if len(found) > MAX_FILES or (more and not page.objects):
                raise selection.too_many()
        return found

    async def _page(self, prefix: str, keys: int) -> list[Stored]:
        return (await self._ask(prefix, "", keys)).objects

    async def _ask(self, prefix: str, more: str, keys: int = 1_000) -> bucketlist.Page:
        query = {"list-type": "2", "prefix": prefix, "max-keys": str(keys)}
        if more:
            query["continuation-token"] = more
        headers = self._signed(self._bucket, query, {})
        url = f"{self._bucket}?{encoded(query)}"
        answer = await self._asker.document(
            url, headers, limit=bucketlist.MAX_BYTES, passing=_REFUSALS
        )
        if answer.status != 200:
            raise self._refused(url, answer)
        try:
            return bucketlist.read(answer.body)
        except ValueError as error:
            raise SourceFailed(
                "Unreadable",
                f"`{shown(self._bucket)}` answers what is no list of objects: {error}.",
                fix="Check that the connection's endpoint speaks S3.",
            ) from error

    def _refused(self, url: str, answer: Document) -> SourceFailed:
        """Say what the server means, which names it in the body."""
        code, bucket = bucketlist.refusal(answer.body), self._address.bucket
        if code == "NoSuchBucket":
            return SourceFailed(
                "NotFoundThere",
                f"`{shown(self._bucket)}` answers {answer.status}: there is no bucket `{bucket}`.",
                fix="Check the name, and the endpoint of the connection.",
            )
        if code in _DENIED:
            return SourceFailed(
                "AccessDenied",
                f"`{shown(self._bucket)}` answers {answer.status} `{code}`: the access key is not "
                "good for it.",
                fix="Give the connection the id and the secret of a key that may read and list the "
                "bucket: `towpath connections update`.",
            )
        if code in _ELSEWHERE:
            return SourceFailed(
                "Refused",
                f"`{shown(self._bucket)}` answers {answer.status} `{code}`: the bucket is of "
                "another region.",
                fix="Give the connection the bucket's region, and the endpoint of that region.",
            )
        return self._asker.refused(url, answer)

    def _signed(
        self, url: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        if self._key is None:
            return headers
        return signed(self._key, url, query, headers, datetime.now(UTC))


def _endpoint(address: S3Address, access: Access) -> str:
    if access.endpoint is not None:
        return access.endpoint.rstrip("/")
    if access.region is not None:
        return f"https://s3.{access.region}.amazonaws.com"
    raise SourceFailed(
        "NoConnection",
        f"Nothing says which server has the bucket `{address.bucket}`.",
        fix=f"Create a connection for `s3://{address.bucket}/` with its endpoint, or with a region "
        "of Amazon's: `towpath connections create`.",
    )
