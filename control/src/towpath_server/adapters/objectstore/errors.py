"""What can go wrong with stored bytes."""

from towpath_server.core.errors import Kind, TowpathError

_FOLDER_FIX = "Check that the data folder is there and writable; the server's log has the cause."


class DigestMismatch(TowpathError):
    """Bytes are not the ones that their digest names."""

    code = "digest_mismatch"
    kind = Kind.INVALID
    title = "Content does not match its digest"

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(
            f"The content has the digest `{actual}`, not `{expected}`.",
            fix="Compute the SHA-256 of the file again and repeat the upload.",
        )


class DigestMalformed(TowpathError):
    """A digest is not written as `sha256:` and 64 hexadecimal digits."""

    code = "digest_malformed"
    kind = Kind.INVALID
    title = "Not a digest"

    def __init__(self, digest: str) -> None:
        super().__init__(
            f"`{digest[:100]}` is not a digest.",
            fix="Write `sha256:` and the 64 lower-case hexadecimal digits of its SHA-256.",
        )


class ArtifactMissing(TowpathError):
    """Bytes that should be in the store are not there."""

    code = "artifact_missing"
    kind = Kind.NOT_FOUND
    title = "Artifact is missing"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The artifact `{what}` is not in the store.",
            fix="Upload it: `PUT /api/v1/blobs/{digest}`, or `towpath deploy` with a `file:` URI.",
        )


class ArtifactTooLarge(TowpathError):
    """An upload is larger than the store takes."""

    code = "artifact_too_large"
    kind = Kind.TOO_LARGE
    title = "Artifact is too large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The upload is larger than {limit} bytes, the most that one file may have.",
            fix="Split the model into several files, or raise the limit in the settings.",
        )


class OffsetConflict(TowpathError):
    """A piece of an upload does not begin where the upload stands."""

    code = "upload_offset_conflict"
    kind = Kind.CONFLICT
    title = "Upload stands elsewhere"

    def __init__(self, actual: int, *, busy: bool = False) -> None:
        why = "another call writes to it" if busy else "the piece begins elsewhere"
        super().__init__(
            f"The upload has {actual} bytes so far, and {why}.",
            fix="Ask where it stands, `HEAD /api/v1/uploads/{id}`, and go on from there.",
        )
        self.actual = actual


class StorageFull(TowpathError):
    """The store, or the disk of this machine, has no room."""

    code = "storage_full"
    kind = Kind.UNAVAILABLE
    title = "Artifact store is full"

    def __init__(self, *, cause: str, where: str | None = None) -> None:
        full = f"The artifact store `{where}`" if where else "The disk of the artifact store"
        place = f"in `{where}`" if where else "on the disk of the data folder"
        super().__init__(
            f"{full} is full; nothing was stored.",
            fix=f"Free space {place}, then repeat the request; `towpath artifacts collect` removes "
            "what nothing needs.",
            retry_after_s=60,
            cause=cause,
        )


class StorageFailed(TowpathError):
    """The store cannot be used."""

    code = "storage_failed"
    kind = Kind.UNAVAILABLE
    title = "Artifact store cannot be used"

    def __init__(self, *, cause: str, where: str | None = None) -> None:
        store = f"The artifact store `{where}`" if where else "The artifact store"
        super().__init__(
            f"{store} cannot be read or written; nothing was stored.",
            fix="Check that it runs and that `TOWPATH_ARTIFACTS__ENDPOINT` is its address; the "
            "server's log has the cause."
            if where
            else _FOLDER_FIX,
            retry_after_s=10,
            cause=cause,
        )


class StorageDenied(TowpathError):
    """The store does not take the platform's credentials."""

    code = "storage_denied"
    kind = Kind.UNAVAILABLE
    title = "Artifact store refuses the platform"

    def __init__(self, where: str, *, cause: str) -> None:
        super().__init__(
            f"The artifact store `{where}` refuses the platform's credentials; nothing was stored.",
            fix="Set `TOWPATH_ARTIFACTS__ACCESS_KEY_ID` and `TOWPATH_ARTIFACTS__SECRET_ACCESS_KEY` "
            "to a key that may read, write, list and delete there, and start again.",
            retry_after_s=60,
            cause=cause,
        )


class StorageUntrusted(TowpathError):
    """What answers at the store's address shows a certificate that is not trusted."""

    code = "storage_untrusted"
    kind = Kind.UNAVAILABLE
    title = "Artifact store's certificate is not trusted"

    def __init__(self, where: str, *, why: str, cause: str) -> None:
        super().__init__(
            f"The certificate of the artifact store `{where}` is not trusted ({why}); nothing was "
            "stored.",
            fix="Set `TOWPATH_ARTIFACTS__CA` to a file with the certificate (PEM) of the authority "
            "that signed it, and `TOWPATH_ARTIFACTS__ENDPOINT` to a name that stands in it; start "
            "again.",
            retry_after_s=60,
            cause=cause,
        )


class BucketMissing(TowpathError):
    """The store has no bucket of the name that the settings give."""

    code = "bucket_missing"
    kind = Kind.UNAVAILABLE
    title = "Bucket is missing"

    def __init__(self, where: str, *, cause: str) -> None:
        super().__init__(
            f"The artifact store has no bucket for `{where}`; nothing was stored.",
            fix="Create the bucket, or correct `TOWPATH_ARTIFACTS__URL`.",
            retry_after_s=60,
            cause=cause,
        )


class BeingRemoved(TowpathError):
    """Bytes that nothing needed are on their way out at this moment."""

    code = "artifact_being_removed"
    kind = Kind.UNAVAILABLE
    title = "Artifact is being removed"

    def __init__(self, digest: str) -> None:
        super().__init__(
            f"Nothing needed `{digest}` any more, and it is being removed at this moment.",
            fix="Upload it again after the time in `Retry-After`.",
            retry_after_s=2,
        )
