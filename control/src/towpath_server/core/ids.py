"""Ids: a prefix that says what it is, and a UUIDv7 that sorts by time of creation (TypeID)."""

import uuid_utils

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26  # 128 bits at 5 bits a character


def new(prefix: str) -> str:
    """Mint an id such as `prj_01jd…`; later ids of one process sort after earlier ones."""
    return f"{prefix}_{encode(uuid_utils.uuid7().int)}"


def encode(number: int) -> str:
    """Write 128 bits as 26 characters of lower-case Crockford base32, most significant first."""
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))


def is_id(text: str, prefix: str) -> bool:
    """Tell whether `text` has the form of an id with this prefix."""
    head, _, tail = text.partition("_")
    return head == prefix and len(tail) == _LENGTH and all(c in ALPHABET for c in tail)
