"""What can go wrong with stored bytes."""

from towpath_server.core.errors import Kind, TowpathError


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


class StorageFull(TowpathError):
    """The disk of the store has no room."""

    code = "storage_full"
    kind = Kind.UNAVAILABLE
    title = "Artifact store is full"

    def __init__(self, *, cause: str) -> None:
        super().__init__(
            "The disk of the artifact store is full; nothing was stored.",
            fix="Free space on the disk of the data folder, then repeat the request.",
            retry_after_s=60,
            cause=cause,
        )


class StorageFailed(TowpathError):
    """The disk of the store cannot be used."""

    code = "storage_failed"
    kind = Kind.UNAVAILABLE
    title = "Artifact store cannot be used"

    def __init__(self, *, cause: str) -> None:
        super().__init__(
            "The artifact store cannot be read or written; nothing was stored.",
            fix="Check that the data folder is there and writable; the server's log has the cause.",
            retry_after_s=10,
            cause=cause,
        )
