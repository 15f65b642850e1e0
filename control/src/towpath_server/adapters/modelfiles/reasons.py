"""
Why a file is refused, or taken as one that carries code: the closed list of reasons.

The docs and the tests read this list; a reader of a format says nothing that is not in it.
"""

import enum
from dataclasses import dataclass


class Severity(enum.StrEnum):
    """What follows from a finding."""

    REFUSE = "refuse"
    """No runtime needs this: it is never registered."""
    CODE = "code"
    """It runs when it is loaded: registered for formats that may carry code, refused for others."""


@dataclass(frozen=True)
class Reason:
    """One kind of finding."""

    name: str
    severity: Severity
    means: str
    fix: str


REASONS: dict[str, Reason] = {}


def _reason(name: str, severity: Severity, means: str, fix: str) -> str:
    REASONS[name] = Reason(name, severity, means, fix)
    return name


_OUT = "Leave the file out; it is not needed to serve the model."
_SAVE = "Save the model anew with the framework's own writer, and push that."

FORMAT_MISMATCH = _reason(
    "FormatMismatch",
    Severity.REFUSE,
    "The content is not what the declared format, or the file's own name, says.",
    "Declare the format that the file has, or push the file that was meant.",
)
TRUNCATED = _reason(
    "Truncated",
    Severity.REFUSE,
    "The file ends before what it announces.",
    "Fetch or copy the file again; compare its digest with the publisher's.",
)
MALFORMED = _reason(
    "Malformed",
    Severity.REFUSE,
    "A header or table of the file contradicts itself or the file.",
    _SAVE,
)
TOO_LARGE = _reason(
    "TooLarge",
    Severity.REFUSE,
    "A count, length or depth in the file is beyond what any real model has.",
    _SAVE,
)
OVERLAP = _reason(
    "Overlap",
    Severity.REFUSE,
    "Two tensors or entries claim the same bytes.",
    _SAVE,
)
POLYGLOT = _reason(
    "Polyglot",
    Severity.REFUSE,
    "A second file hides in or behind the first one.",
    _SAVE,
)
SCAN_FAILED = _reason(
    "ScanFailed",
    Severity.REFUSE,
    "Reading the file took more time or memory than a model's headers need.",
    "Save the model anew, or send it in smaller files.",
)
ESCAPING_PATH = _reason(
    "EscapingPath",
    Severity.REFUSE,
    "A path inside the file leads out of the model's folder.",
    "Use relative names within the model's folder.",
)
EXTERNAL_DATA = _reason(
    "ExternalDataMissing",
    Severity.REFUSE,
    "The file keeps tensors in another file that was not pushed with it, or is too short.",
    "Push the folder with all of its files.",
)
ARCHIVE_LINK = _reason(
    "ArchiveLink",
    Severity.REFUSE,
    "An archive holds a link or a device instead of a file.",
    "Pack the files themselves.",
)
ARCHIVE_BOMB = _reason(
    "ArchiveBomb",
    Severity.REFUSE,
    "An archive grows beyond all measure when it is unpacked.",
    "Push the unpacked files.",
)
ARCHIVE_OPAQUE = _reason(
    "ArchiveOpaque",
    Severity.REFUSE,
    "An archive cannot be looked into: it is encrypted, or of a kind that is not read here.",
    "Push the unpacked files.",
)
TEMPLATE_UNSAFE = _reason(
    "TemplateUnsafe",
    Severity.REFUSE,
    "A chat template reaches beyond messages and text.",
    "Take the chat template of the model's publisher, or remove it.",
)
TEMPLATE_EXPLODES = _reason(
    "TemplateExplodes",
    Severity.REFUSE,
    "A chat template runs or grows without bound.",
    "Take the chat template of the model's publisher, or remove it.",
)
TEMPLATE_INVALID = _reason(
    "TemplateInvalid",
    Severity.REFUSE,
    "A chat template is no template.",
    "Take the chat template of the model's publisher, or remove it.",
)
ENTITY_BOMB = _reason(
    "EntityBomb",
    Severity.REFUSE,
    "A document multiplies itself by entities or aliases, or includes files.",
    "Write the document without entities and aliases.",
)
DANGEROUS_PICKLE = _reason(
    "DangerousPickle",
    Severity.REFUSE,
    "A pickle calls what starts programs, opens files or connections, or evaluates text.",
    "Do not load this file anywhere. Get the model from its publisher, as safetensors or ONNX.",
)
PICKLE = _reason(
    "Pickle",
    Severity.CODE,
    "A pickle can run any code when it is loaded.",
    "Save it as safetensors, ONNX or skops; or deploy it on a runtime that takes code.",
)
TORCHSCRIPT = _reason(
    "TorchScript",
    Severity.CODE,
    "A TorchScript archive is a program.",
    "Export the model to ONNX or save its weights as safetensors; or use a runtime for code.",
)
LAMBDA_LAYER = _reason(
    "LambdaLayer",
    Severity.CODE,
    "A Keras layer carries Python code, or names a class outside Keras.",
    "Replace the layer by built-in ones and export to ONNX; or use a runtime that takes code.",
)
REMOTE_CODE = _reason(
    "RemoteCode",
    Severity.CODE,
    "A configuration names Python classes of its own to load (`auto_map` and the like).",
    "Remove the entry where the engine knows the architecture; or use a runtime that takes code.",
)
PYTHON_CODE = _reason(
    "PythonCode",
    Severity.CODE,
    "The files contain Python code.",
    "Leave it out where the engine does not need it; or use a runtime that takes code.",
)
SCRIPT = _reason("Script", Severity.CODE, "The files contain a script that a shell runs.", _OUT)
NATIVE_CODE = _reason(
    "NativeCode",
    Severity.CODE,
    "The files contain a program or a library of machine code.",
    "Leave it out; or use a runtime that takes code.",
)
CUSTOM_OPERATORS = _reason(
    "CustomOperators",
    Severity.CODE,
    "An ONNX graph uses operators that only a library of its own can compute.",
    "Export with the standard operators; or use a runtime that has this library.",
)
GRAPH_REACHES_OUT = _reason(
    "GraphReachesOut",
    Severity.CODE,
    "A TensorFlow graph reads or writes files, or calls Python.",
    "Export the model without these operations, or to ONNX.",
)
SKOPS_TYPES = _reason(
    "UntrustedTypes",
    Severity.CODE,
    "A skops file makes objects of types that are neither scikit-learn's nor NumPy's.",
    "Export to ONNX, or leave the own types out; or use a runtime that takes code.",
)
MODEL_LOADER = _reason(
    "ModelLoader",
    Severity.CODE,
    "An MLflow model or a Triton backend is loaded by Python code.",
    "Log the model in the ONNX flavour or platform; or use a runtime that takes code.",
)
OBJECT_TAG = _reason(
    "ObjectTag",
    Severity.CODE,
    "A document makes Python or R objects when it is loaded.",
    "Write plain values.",
)
