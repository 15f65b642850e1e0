"""
Tokens: keys of projects, users and service accounts.

One published pattern and a checksum let secret scanners find leaked ones without asking us. Only
the SHA-256 is stored: a token has 190 random bits, so nothing slower than a plain hash is needed.
"""

import hashlib
import re
import secrets
import string
import zlib

from towpath_server.core.secret import Secret

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
KINDS = ("sandbox", "staging", "production", "user", "service", "admin")
PATTERN = re.compile(rf"tp_({'|'.join(KINDS)})_[0-9A-Za-z]{{38}}")
_RANDOM = 32
_CHECKSUM = 6  # characters that hold any CRC32 in base62


def mint(kind: str) -> Secret:
    """Make a new token of one of `KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"no kind of token is called {kind!r}")
    body = f"tp_{kind}_" + "".join(secrets.choice(ALPHABET) for _ in range(_RANDOM))
    return Secret(body + _checksum(body))


def digest(token: str) -> str:
    """SHA-256 in lower-case hex: what is stored and compared."""
    return hashlib.sha256(token.encode()).hexdigest()


def well_formed(token: str) -> bool:
    """Tell whether the token has our pattern and its checksum is right."""
    return bool(PATTERN.fullmatch(token)) and _checksum(token[:-_CHECKSUM]) == token[-_CHECKSUM:]


def kind_of(token: str) -> str | None:
    """Return the kind a token names, or none for what has not our pattern."""
    match = PATTERN.fullmatch(token)
    return match.group(1) if match else None


def hint(token: str) -> str:
    """Return the first four characters after the kind, by which people tell their keys apart."""
    return token.split("_", 2)[-1][:4]


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = []
    for _ in range(_CHECKSUM):
        number, rest = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[rest])
    return "".join(reversed(digits))
