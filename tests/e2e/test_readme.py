"""What the README and the tutorial show works as it stands there, in that order, in one shell."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from towpath_up import ADMIN_KEY, ROOT, Up

# These two are what this very run does: the fixture starts the platform, the suite is `make test`.
MAKE = {"make up\n", "make test\n"}


def blocks_of(page: str) -> list[tuple[str, str]]:
    """List the blocks of a page: their language and text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```(bash|python|yaml)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def script(blocks: list[tuple[str, str]], folder: Path) -> str:
    """Join the blocks to one shell script that stops at the first failure."""
    parts = ["set -euo pipefail"]
    for number, (language, text) in enumerate(blocks):
        if text in MAKE:
            continue
        parts.append(f"printf '\\n--- block {number}\\n'")
        if language == "python":
            program = folder / f"block_{number}.py"
            program.write_text(text, encoding="utf-8")
            parts.append(f"python '{program}'")
        elif language == "yaml":
            parts.append(f"cat > mood/towpath.yaml <<'MANIFEST'\n{text}MANIFEST")
        else:
            parts.append(text)
    return "\n".join(parts)


def carry_out(page: str, demo: Up, folder: Path) -> dict[int, str]:
    """Run all blocks of a page in a folder that looks like the repository; say what each printed."""
    for name in (".venv", ".build"):
        (folder / name).symlink_to(ROOT / name)
    config = folder / "config.toml"
    admin = f'[profiles.admin]\naddress = "{demo.address}"\nadmin_key = "{ADMIN_KEY}"\n'
    config.write_text(f"{demo.config.read_text(encoding='utf-8')}\n{admin}", encoding="utf-8")
    config.chmod(0o600)
    home = {k: v for k, v in os.environ.items() if not k.startswith(("TOWPATH_", "OPENAI_"))}  # noqa: TID251
    done = subprocess.run(
        ["bash", "-c", script(blocks_of(page), folder)],
        cwd=folder,
        env={**home, "TOWPATH_CONFIG": str(config), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    parts = re.split(r"^--- block (\d+)\n", done.stdout, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


BLOCKS = blocks_of("README.md")


@pytest.fixture(scope="module")
def said(demo: Up, tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What each block of the README printed."""
    return carry_out("README.md", demo, tmp_path_factory.mktemp("readme"))


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


def test_the_tutorial_ends_with_a_prediction_of_the_deployed_model(
    demo: Up, tmp_path: Path
) -> None:
    printed = "".join(carry_out("docs/tutorials/deploy-your-own-model.md", demo, tmp_path).values())

    assert "positive" in printed
    assert "mood → sandbox: Ready" in printed
