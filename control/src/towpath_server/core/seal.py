"""
Sealing: secrets at rest, and in the routing table, where the gateway alone opens them.

The format is the one that `wire::routing::Credential.sealed` documents: `v1.` and base64url (no
padding) of nonce and AES-256-GCM ciphertext. The id is the additional data, so a sealed value
cannot be moved to another row.
"""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from towpath_server.core.errors import Kind, TowpathError
from towpath_server.core.secret import Secret

_VERSION = "v1."
_NONCE = 12
MIN_KEY_LENGTH = 32


class SealBroken(TowpathError):
    """A sealed value does not open with the secret key in use."""

    code = "seal_broken"
    kind = Kind.UNAVAILABLE
    title = "A sealed secret cannot be opened"


class Sealer:
    """Seal and open secrets with a key derived from `TOWPATH_SECRET_KEY`."""

    def __init__(self, key: Secret) -> None:
        if len(key.reveal()) < MIN_KEY_LENGTH:
            raise ValueError(f"the secret key needs at least {MIN_KEY_LENGTH} characters")
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"towpath/credential/v1")
        self._aead = AESGCM(derived.derive(key.reveal().encode()))

    def seal(self, value: Secret, *, id: str) -> str:  # noqa: A002 (the word the contract uses)
        """Encrypt `value`, bound to the resource `id`."""
        nonce = os.urandom(_NONCE)
        body = nonce + self._aead.encrypt(nonce, value.reveal().encode(), id.encode())
        return _VERSION + base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    def open(self, sealed: str, *, id: str) -> Secret:  # noqa: A002 (the word the contract uses)
        """
        Decrypt what `seal` made for the same `id`.

        Raises:
            SealBroken: Another key sealed it, it belongs to another id, or it was altered.
        """
        try:
            encoded = sealed.removeprefix(_VERSION)
            body = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            value = self._aead.decrypt(body[:_NONCE], body[_NONCE:], id.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise SealBroken(
                f"The secret stored for `{id}` does not open with the secret key in use.",
                fix="Start with the `TOWPATH_SECRET_KEY` that sealed it, or set the secret again.",
            ) from error
        return Secret(value)
