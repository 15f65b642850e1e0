"""LangChain's chat models work unchanged against a real model, by address and key alone."""

import json
import subprocess
from pathlib import Path

import pytest
from towpath_up import Up

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".build" / "langchain" / "bin" / "python"
WAYS = ["chat", "responses", "messages"]


@pytest.fixture(scope="module")
def answers(demo: Up):
    """What a program with LangChain got, from both vendors' models and by all three routes."""
    assert PYTHON.exists(), "LangChain is not installed: `make test` installs it"
    done = subprocess.run(
        [PYTHON, ROOT / "tests" / "langchain" / "client.py"],
        env={
            "OPENAI_BASE_URL": f"{demo.address}/v1",
            "OPENAI_API_KEY": demo.demo_key,
            "ANTHROPIC_BASE_URL": demo.address,
            "ANTHROPIC_API_KEY": demo.demo_key,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("way", WAYS)
def test_langchain_gets_the_same_answer_whole_and_in_pieces(answers, way):
    got = answers[way]

    assert "Paris" in got["text"]
    assert got["streamed"] == got["text"]
    assert got["pieces"] > 1


@pytest.mark.parametrize("way", WAYS)
def test_langchain_is_told_the_tokens_of_an_answer_and_of_a_stream(answers, way):
    whole, stream = answers[way]["usage"], answers[way]["streamed_usage"]

    counts = ("input_tokens", "output_tokens", "total_tokens")
    assert [whole[name] for name in counts] == [stream[name] for name in counts]
    assert whole["output_tokens"] > 0


@pytest.mark.parametrize("way", WAYS)
def test_langchain_sends_tools_and_their_results(answers, way):
    """A small model need not call a tool; what one said must reach it."""
    assert "Paris" in answers[way]["told"]


@pytest.mark.parametrize("way", WAYS)
def test_langchain_gets_structured_output(answers, way):
    """The schema is held by the model's server, however small the model."""
    assert answers[way]["structured"].keys() == {"name", "capital"}
