"""URIs of models elsewhere: one spelling each, and what is wrong with the others."""

import pytest

from towpath_server.core.sources import UriInvalid, parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEX = "ab" * 32


@pytest.mark.parametrize(
    ("uri", "text", "pinned", "basename"),
    [
        ("hf://acme/triage", "hf://acme/triage:main", False, "triage"),
        ("hf://acme/triage:v1.2", "hf://acme/triage:v1.2", False, "triage"),
        ("hf://acme/triage:refs/pr/1", "hf://acme/triage:refs/pr/1", False, "triage"),
        (f"hf://acme/triage:{COMMIT}", f"hf://acme/triage:{COMMIT}", True, "triage"),
        (
            "hf://a/b-GGUF/q4/b.gguf:main",
            "hf://a/b-GGUF/q4/b.gguf:main",
            False,
            "b.gguf",
        ),
        ("hf://a/b/q4/", "hf://a/b/q4:main", False, "q4"),
        ("oci://ghcr.io/acme/triage", "oci://ghcr.io/acme/triage:latest", False, "triage"),
        ("oci://localhost:5000/a:v1", "oci://localhost:5000/a:v1", False, "a"),
        ("oci://GHCR.io/a/b:1", "oci://ghcr.io/a/b:1", False, "b"),
        (f"oci://r.example/a@sha256:{HEX}", f"oci://r.example/a@sha256:{HEX}", True, "a"),
        (f"oci://r.example/a:1@sha256:{HEX}", f"oci://r.example/a@sha256:{HEX}", True, "a"),
        ("s3://models/triage/3/", "s3://models/triage/3", False, "3"),
        ("s3://models", "s3://models/", False, "models"),
        (
            f"https://Files.example:8443/m%20x.gguf#sha256={HEX.upper()}",
            f"https://files.example:8443/m%20x.gguf#sha256={HEX}",
            True,
            "m x.gguf",
        ),
    ],
)
def test_a_uri_has_one_spelling(uri, text, pinned, basename):
    address = parse(uri)

    assert (address.text, address.pinned, address.basename) == (text, pinned, basename)
    assert parse(address.text) == address


@pytest.mark.parametrize(
    ("uri", "reason", "fix"),
    [
        ("acme/triage", "InvalidUri", "hf://owner/name"),
        ("hf:acme/triage", "InvalidUri", "hf://owner/name"),
        ("gs://bucket/x", "UnknownScheme", "`s3://`"),
        ("http://host/x", "InvalidUri", "https://"),
        ("hf://gpt2", "InvalidUri", "owner"),
        ("hf://acme/../triage", "InvalidUri", "owner"),
        ("hf://acme/tri..age", "InvalidUri", "owner"),
        ("hf://acme/triage@main", "InvalidUri", "after a colon"),
        ("hf://acme/triage:", "InvalidUri", "commit after the colon"),
        ("hf://acme/triage:a/../b", "InvalidUri", "commit after the colon"),
        ("hf://acme/triage:main?x=1", "InvalidUri", "commit after the colon"),
        ("hf://acme/triage/../x", "InvalidUri", "owner"),
        ("hf://acme/triage/a\nb", "InvalidUri", "printable"),
        ("oci://acme/triage", "InvalidUri", "registry's address"),
        ("oci://ghcr.io/Acme/triage", "InvalidUri", "team/model"),
        ("oci://ghcr.io/acme/triage:a b", "InvalidUri", "letters"),
        ("oci://ghcr.io/acme/triage@sha256:12", "InvalidUri", "64 hexadecimal"),
        ("oci://user:word@ghcr.io/acme/triage", "InvalidUri", "registry's address"),
        ("s3://B_/x", "InvalidUri", "s3://bucket"),
        ("s3://bucket/a/../b", "InvalidUri", "s3://bucket"),
        ("https://host/model.gguf", "DigestMissing", "sha256sum"),
        ("https://host/model.gguf#sha256=12", "InvalidUri", "64 hexadecimal"),
        (f"https://me:word@host/m.gguf#sha256={HEX}", "InvalidUri", "connection"),
        (f"https://host/m.gguf?sig=1#sha256={HEX}", "InvalidUri", "connection"),
        (f"https://host/#sha256={HEX}", "InvalidUri", "https://host"),
        (f"https://host/..%2fx#sha256={HEX}", "InvalidUri", "https://host"),
    ],
)
def test_what_names_no_source_says_what_to_write(uri, reason, fix):
    with pytest.raises(UriInvalid) as caught:
        parse(uri)

    assert caught.value.reason == reason
    assert fix in caught.value.fix
