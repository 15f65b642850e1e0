"""`towpath artifacts`, to the letter."""

from typing import Any

import pytest

from towpath.testing import Answer


@pytest.mark.parametrize(
    ("arguments", "query", "said"),
    [
        (
            ["--dry-run"],
            {"dry_run": "true"},
            "Would remove: 1 file, 1.9 MiB; 0 uploads that nobody went on with\n",
        ),
        ([], {}, "Removed: 1 file, 1.9 MiB; 0 uploads that nobody went on with\n"),
    ],
)
def test_a_collection_says_what_goes(
    cli: Any, arguments: list[str], query: dict[str, str], said: str
) -> None:
    found = {"dry_run": bool(arguments), "files": 1, "size": 2_000_000, "uploads": 0}
    cli.fake.answer("POST", "/api/v1/artifacts/collect", Answer(200, found))

    result = cli("artifacts", "collect", *arguments)

    assert (result.code, result.out) == (0, said)
    assert dict(cli.fake.calls[0].query) == query
