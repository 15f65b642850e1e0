"""Everything the README shows works as it stands there, in that order, in one shell."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from towpath_up import ROOT, Up

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# These two are what this very run does: the fixture starts the platform, the suite is `make test`.
MAKE = {"make up\n", "make test\n"}


def script(folder: Path) -> str:
    """Join the blocks to one shell script that stops at the first failure."""
    parts = ["set -euo pipefail"]
    for number, (language, text) in enumerate(BLOCKS):
        if text in MAKE:
            continue
        parts.append(f"echo '--- block {number}'")
        if language == "python":
            program = folder / f"block_{number}.py"
            program.write_text(text, encoding="utf-8")
            parts.append(f"python '{program}'")
        else:
            parts.append(text)
    return "\n".join(parts)


@pytest.fixture(scope="module")
def said(demo: Up, tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What each block printed."""
    home = {k: v for k, v in os.environ.items() if not k.startswith(("TOWPATH_", "OPENAI_"))}  # noqa: TID251
    done = subprocess.run(
        ["bash", "-c", script(tmp_path_factory.mktemp("readme"))],
        cwd=ROOT,
        env={**home, "TOWPATH_CONFIG": str(demo.config), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    blocks = re.split(r"^--- block (\d+)\n", done.stdout, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(blocks[1::2], blocks[2::2], strict=True)}


def answer_to(said: dict[int, str], words: str) -> str:
    """What the block that holds these words printed."""
    return next(said[number] for number, (_, text) in enumerate(BLOCKS) if words in text)


def test_the_two_commands_are_the_first_blocks() -> None:
    assert [text for _, text in BLOCKS[:2]] == ["make up\n", "make test\n"]


def test_the_cli_gets_an_answer(said: dict[int, str]) -> None:
    assert answer_to(said, "towpath chat").strip()


def test_curl_gets_a_completion(said: dict[int, str]) -> None:
    completion = json.loads(answer_to(said, "curl"))

    assert completion["choices"][0]["message"]["content"]
    assert completion["usage"]["completion_tokens"] > 0


def test_the_sdk_chats_predicts_and_embeds(said: dict[int, str]) -> None:
    lines = answer_to(said, "from towpath import").strip().splitlines()

    assert lines[0]
    assert "positive" in lines[-2]
    assert lines[-1] == "384"


def test_the_unchanged_openai_client_gets_an_answer(said: dict[int, str]) -> None:
    assert answer_to(said, "from openai import").strip()


def test_the_log_shows_the_calls_with_their_use(said: dict[int, str]) -> None:
    log = answer_to(said, "towpath requests")

    for endpoint in ("smollm2", "minilm"):
        assert endpoint in log
    assert "complete" in log
