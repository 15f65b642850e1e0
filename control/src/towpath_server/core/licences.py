"""Licences by their SPDX names, where they have one."""

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression


def canonical(licence: str) -> str:
    """Write an SPDX expression as SPDX does; a licence that SPDX does not know stays as it is."""
    try:
        return canonicalize_license_expression(licence)
    except InvalidLicenseExpression:
        return licence.strip()
