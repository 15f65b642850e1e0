"""
Judges a model as a whole: its declared format against what its files are, and which code it brings.

Works on what was found in each file; reads nothing itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.reasons import Severity
from towpath_server.adapters.modelfiles.report import Examined, Issue, listed
from towpath_server.adapters.modelfiles.tensors import Tensors, of_model

# Formats that are data: no runtime of theirs has a use for code, so none is taken with them.
DATA_FORMATS = frozenset({"gguf", "onnx", "safetensors", "sklearn"})
# What a format must contain, as the kinds of its files.
_NEEDS: dict[str, frozenset[str]] = {
    "gguf": frozenset({"gguf"}),
    "onnx": frozenset({"onnx"}),
    "safetensors": frozenset({"safetensors"}),
    "sklearn": frozenset({"skops", "onnx"}),
    "triton": frozenset({"pbtxt"}),
    "mlflow": frozenset({"mlmodel"}),
    "python": frozenset({"wheel", "python"}),
}
# What a version of another format is, judged by its files, for the fix.
_DETECTED = (
    ("mlmodel", "mlflow"),
    ("pbtxt", "triton"),
    ("gguf", "gguf"),
    ("safetensors", "safetensors"),
    ("skops", "sklearn"),
    ("onnx", "onnx"),
    ("keras", "keras"),
    ("hdf5", "keras"),
    ("torchscript", "torchscript"),
    ("torch", "torch"),
    ("wheel", "python"),
    ("pickle", "pickle"),
)


@dataclass(frozen=True)
class Judged:
    """What a model is, and what was found in it."""

    detected: str | None
    """The format that its files look like; none when they look like nothing known."""
    issues: tuple[tuple[str, Issue], ...]
    """Path of the file, and what was found there."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    tensors: Tensors | None = None
    """What it takes and gives; none when no file tells."""

    @property
    def signature(self) -> Mapping[str, Any] | None:
        """Return the signature that its files have, where they have a whole one."""
        return self.tensors.signature if self.tensors else None

    def refused(self, form: str) -> list[tuple[str, Issue]]:
        """Return what keeps the model from being registered in a format."""
        return [
            (path, issue)
            for path, issue in self.issues
            if issue.severity is Severity.REFUSE or form in DATA_FORMATS
        ]

    def carries_code(self, form: str) -> bool:
        """Tell whether loading it runs code that came with it."""
        return form == "python" or any(issue.severity is Severity.CODE for _, issue in self.issues)


def judge(form: str, files: Sequence[tuple[str, int, Examined]]) -> Judged:
    """
    Judge a model by its files.

    Args:
        form: The format that was declared.
        files: Path, size in bytes and what was found, of every file.
    """
    issues = [(path, issue) for path, _, found in files for issue in found.issues]
    kinds = {found.kind for _, _, found in files}
    detected = next((name for kind, name in _DETECTED if kind in kinds), None)
    needed = _NEEDS.get(form)
    if any(issue.reason == reasons.PYTHON_CODE for _, issue in issues):
        kinds.add("python")
    if needed is not None and not needed & kinds and not _says_mismatch(issues):
        issues.insert(0, (files[0][0], _mismatch(form, detected, kinds)))
    issues += _external(files)
    facts = _facts(files)
    if detected:
        facts = {"detected": detected, **facts}
    return Judged(detected, tuple(issues), facts, of_model(form, files))


def _says_mismatch(issues: Sequence[tuple[str, Issue]]) -> bool:
    return any(
        issue.reason in {reasons.FORMAT_MISMATCH, reasons.TRUNCATED, reasons.MALFORMED}
        for _, issue in issues
    )


def _mismatch(form: str, detected: str | None, kinds: set[str]) -> Issue:
    looks = f"they look like `{detected}`" if detected else f"they are {listed(sorted(kinds))}"
    return Issue(reasons.FORMAT_MISMATCH, f"The files are not `{form}`: {looks}.")


def _external(files: Sequence[tuple[str, int, Examined]]) -> list[tuple[str, Issue]]:
    """Compare the files that ONNX models keep tensors in with those that were pushed."""
    sizes = {path: size for path, size, _ in files}
    found = []
    for path, _, examined in files:
        folder = PurePosixPath(path).parent
        for place, least in (examined.facts.get("external") or {}).items():
            at = (folder / place).as_posix()
            if at not in sizes:
                detail = f"It keeps tensors in `{at}`, which was not pushed."
                found.append((path, Issue(reasons.EXTERNAL_DATA, detail)))
            elif sizes[at] < least:
                detail = f"It needs {least} bytes of `{at}`, which has {sizes[at]}."
                found.append((path, Issue(reasons.EXTERNAL_DATA, detail)))
    return found


def _facts(files: Sequence[tuple[str, int, Examined]]) -> dict[str, Any]:
    """Add up what the weights are, and take over what configurations say."""
    weights = [found for _, _, found in files if "weights_bytes" in found.facts]
    found: dict[str, Any] = {}
    if weights:
        found["weights_bytes"] = sum(one.facts["weights_bytes"] for one in weights)
        found["parameters"] = sum(one.facts["parameters"] for one in weights)
    for one in sorted(files, key=lambda entry: entry[0].count("/")):
        for name, value in one[2].facts.items():
            if name in {"weights_bytes", "parameters", "inputs", "outputs", "defaults", "external"}:
                continue
            if value is not None and value != "":
                found.setdefault(name, value)
    dtypes = found.pop("dtypes", None)
    if dtypes and "quantization" not in found:
        found["quantization"] = max(dtypes, key=dtypes.__getitem__)
    if any(path.endswith((".jinja", ".jinja2")) for path, _, _ in files):
        found["chat_template"] = True
    return found
