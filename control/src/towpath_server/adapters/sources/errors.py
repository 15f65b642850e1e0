"""What can go wrong with a source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from towpath_server.core.errors import Kind, TowpathError


@dataclass(frozen=True)
class Reason:
    """One way to fail: what it means in general; an error says it in particular."""

    name: str
    means: str
    fix: str
    again: bool = False
    """Whether it may pass by itself."""


REASONS: Mapping[str, Reason] = {
    one.name: one
    for one in (
        Reason(
            "AccessDenied",
            "the server wants to know who asks, or does not take the credential",
            "create a connection, or give it a credential that may read",
        ),
        Reason(
            "Ambiguous",
            "there are several models, or an image for other platforms alone",
            "name the one: a file, a folder, a digest",
        ),
        Reason("BrokenOff", "a file ended early", "nothing: it goes on where it was", again=True),
        Reason(
            "Changed",
            "what is there is not what was listed",
            "import again once nobody writes there",
        ),
        Reason(
            "DigestMismatch",
            "the registry answered other bytes than it was asked for",
            "look at the registry, or at the proxy before it",
        ),
        Reason(
            "Gated",
            "the repository is for those who agreed to its terms",
            "agree to them on the Hub, and give the connection that account's token",
        ),
        Reason(
            "NoConnection",
            "nothing says which server has the bucket",
            "create a connection with its endpoint",
        ),
        Reason(
            "NoModel", "nothing there is a file of a model", "check the name, and how it was pushed"
        ),
        Reason(
            "NotAllowed",
            "an address on the way may not be called, or is not by TLS",
            "let the operator add its network to `TOWPATH_EGRESS_ALLOW`, if it is meant",
        ),
        Reason(
            "NotCached",
            "the Hub is not asked, and its cache does not have all of the model",
            "download it into the cache",
        ),
        Reason(
            "NotFoundThere",
            "no such repository, revision, tag or file; or only others may see it",
            "check the name; give the connection a credential",
        ),
        Reason(
            "NotTrusted",
            "the server's certificate is of no authority that is trusted",
            "give the connection the authority's certificate",
        ),
        Reason(
            "RateLimited",
            "the server answers 429",
            "wait; its `Retry-After` is honoured. A token may have a higher limit",
            again=True,
        ),
        Reason(
            "Refused",
            "the server answers something else that is no success",
            "check the address and the connection",
        ),
        Reason(
            "TooLarge",
            "an answer that lists or describes is larger than any that is meant",
            "name a smaller part",
        ),
        Reason(
            "TooMany", "there are more files than a model has", "name the folder of the one model"
        ),
        Reason("TooManyRedirects", "more than five", "name the place where the model lies"),
        Reason(
            "UnknownFormat",
            "the files do not tell the model's format",
            "name it",
        ),
        Reason(
            "Unreachable",
            "no answer, no such host, or 5xx",
            "check the address, and that this machine may reach it",
            again=True,
        ),
        Reason(
            "Unreadable",
            "the answer is not what such a server says",
            "check that the endpoint speaks the protocol",
        ),
        Reason(
            "UnsafePath",
            "a name leads out of the model's folder, or an archive holds a link",
            "rename it, or put the file itself there",
        ),
        Reason(
            "Unsupported",
            "a layer is packed in a way that is not read, or removes files",
            "push it as `tar+gzip`, or file by file",
        ),
    )
}
"""All that there are."""


class SourceFailed(TowpathError):
    """A source of models is not there, refuses, or has something else than it said."""

    code: ClassVar[str] = "source_failed"
    kind: ClassVar[Kind] = Kind.UPSTREAM
    title: ClassVar[str] = "Model cannot be read from its source"

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        fix: str,
        transient: bool | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        """
        Say what it is.

        Args:
            reason: One of `REASONS`.
            transient: Whether it may pass by itself; default: as it does for this reason.
            retry_after_s: How long the source asks to be left alone.
        """
        super().__init__(detail, fix=fix, retry_after_s=retry_after_s)
        self.reason = reason
        known = REASONS[reason]
        self.transient = known.again if transient is None else transient
