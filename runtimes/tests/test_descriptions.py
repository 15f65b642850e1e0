"""The descriptions agree with the servers that they start."""

import importlib.resources

import pytest
import yaml

from towpath_runtimes import llama_cpp
from towpath_runtimes.mlflow import __main__ as mlflow
from towpath_runtimes.onnx import __main__ as onnx
from towpath_runtimes.python import __main__ as python
from towpath_runtimes.sklearn import __main__ as sklearn
from towpath_runtimes.triton import __main__ as triton

PARSERS = {
    "llama.cpp": llama_cpp.parse,
    "mlflow": mlflow.parse,
    "onnx": onnx.parse,
    "python": python.parse,
    "sklearn": sklearn.parse,
    "triton": triton.parse,
}


def described(name):
    folder = importlib.resources.files("towpath_runtimes.descriptions")
    return yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))["spec"]


@pytest.mark.parametrize("name", PARSERS)
def test_the_command_and_every_argument_are_ones_that_the_server_takes(name):
    spec = described(name)
    given = [
        part.format(python="python", model="/m", name="n", listen="unix:/s.sock")
        for part in spec["command"]
    ]
    arguments = [f"--{key}={int(rule['maximum'])}" for key, rule in spec["args"].items()]

    read = PARSERS[name]([*given[3:], *arguments])

    assert given[:2] == ["python", "-m"]
    assert (str(read.model), read.name, read.listen) == ("/m", "n", "unix:/s.sock")
    for key, rule in spec["args"].items():
        told = [rule["maximum"]] if "maxItems" in rule else rule["maximum"]
        assert getattr(read, key.replace("-", "_")) == told


@pytest.mark.parametrize("name", PARSERS)
def test_the_defaults_are_the_servers_own(name):
    spec = described(name)
    own = PARSERS[name](["--model=/m", "--name=n", "--listen=unix:/s.sock"])

    told = {key: rule["default"] for key, rule in spec["args"].items() if "default" in rule}
    assert told == {key: getattr(own, key.replace("-", "_")) for key in told}


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_number_that_makes_no_sense_ends_the_start(name, value, capsys):
    number = "processes" if name == "python" else "threads"
    with pytest.raises(SystemExit) as ended:
        PARSERS[name](["--model=/m", "--name=n", "--listen=unix:/s.sock", f"--{number}={value}"])

    assert ended.value.code == 2
    assert f"argument --{number}: invalid positive value" in capsys.readouterr().err


def test_fields_that_reach_beyond_a_request_do_not_pass():
    """Slots, caches and adapters are shared by all callers; raw grammars and endless output too."""
    passing = set(described("llama.cpp")["requestFields"])

    assert {"messages", "prompt", "max_tokens", "response_format", "tools", "stream"} <= passing
    for field in [
        *["id_slot", "cache_prompt", "n_keep", "n_cache_reuse", "lora", "grammar", "json_schema"],
        *[
            "n_predict",
            "n_probs",
            "ignore_eos",
            "chat_template_kwargs",
            "samplers",
            "t_max_predict_ms",
        ],
    ]:
        assert field not in passing


def test_more_than_one_choice_is_not_sold():
    """The engine reports the tokens of the first choice alone: more would be billed short."""
    assert described("llama.cpp")["requestFields"]["n"] == {"minimum": 1, "maximum": 1}
