"""What must never be committed, and what must always be."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


LOCKS = {
    "requirements.lock": 90,
    "tests/langchain/packages.lock": 30,
    "bench/locks/envoy.lock": 1,
    "bench/locks/litellm.lock": 50,
    "bench/locks/tensorzero.lock": 5,
    "bench/locks/vllm-router.lock": 10,
}


@pytest.mark.parametrize("lock", LOCKS)
def test_the_python_locks_are_hashed_and_name_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9][a-z0-9._-]*(?:\[[a-z,-]+\])?==", text, re.MULTILINE)

    assert len(pins) >= LOCKS[lock]
    assert "://" not in text
    for block in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("lock", ["Cargo.lock", "bench/hyper/Cargo.lock"])
def test_the_rust_locks_name_only_the_public_registry(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    sources = set(re.findall(r'^source = "([^"]+)"', text, re.MULTILINE))

    assert len(sources) == 1
    assert sources.pop().startswith("registry+")


def test_no_file_names_a_folder_of_one_machine() -> None:
    pattern = re.compile(rb"(?<![\w./-])/(?:work|root|farm|home/[a-z]+)/[\w.-]+")
    own = Path(__file__)

    found = [
        (str(path.relative_to(ROOT)), match.group().decode())
        for path in tracked()
        if path != own and path.stat().st_size < 2_000_000
        for match in pattern.finditer(path.read_bytes())
    ]

    assert found == []


def test_no_file_holds_a_token_that_could_be_real() -> None:
    """A token in a test has a wrong checksum or is minted at run time."""
    from towpath_server.core import tokens  # noqa: PLC0415 - the module under check

    pattern = re.compile(r"tp_(?:sandbox|staging|production|user|service|admin)_[0-9A-Za-z]{38}")
    found = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.stat().st_size < 2_000_000
        for token in pattern.findall(path.read_text(encoding="utf-8", errors="ignore"))
        if tokens.well_formed(token)
    ]

    assert found == []
