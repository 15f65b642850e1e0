"""ONNX graphs that reach beyond themselves."""

from artifacts import field, onnx, onnx_node, onnx_tensor, zipped

from hostile import hostile


def onnx_file(name: str, what: str, reason: str):
    """Register a hostile ONNX file."""

    def register(make):
        hostile(name, what, form="onnx", reason=reason)(lambda: {"model.onnx": make()})
        return make

    return register


def _external(location: str) -> bytes:
    return onnx(
        tensors=[onnx_tensor(external={"location": location, "offset": "0", "length": "16"})]
    )


@onnx_file("onnx-custom-domain", "operators of a library that comes with it", "CustomOperators")
def _() -> bytes:
    return onnx(nodes=[onnx_node("Run", "com.evil.ops")])


@onnx_file("onnx-custom-in-branch", "the same within the branch of an `If`", "CustomOperators")
def _() -> bytes:
    inner = field(1, onnx_node("Run", "com.evil.ops"))
    branch = field(5, field(1, "then_branch") + field(6, inner) + field(20, 5))
    return onnx(nodes=[onnx_node("If", extra=branch)])


@onnx_file("onnx-custom-in-function", "the same within a function of the model", "CustomOperators")
def _() -> bytes:
    function = field(1, "f") + field(7, onnx_node("Run", "com.evil.ops")) + field(10, "local")
    return onnx(nodes=[onnx_node("f", "local")], more=field(25, function))


@onnx_file("onnx-python-operator", "an operator that calls Python", "CustomOperators")
def _() -> bytes:
    return onnx(nodes=[onnx_node("PyOp", "com.microsoft")])


@onnx_file("onnx-extensions", "operators of onnxruntime-extensions", "CustomOperators")
def _() -> bytes:
    return onnx(nodes=[onnx_node("StringRegexReplace", "ai.onnx.contrib")])


@onnx_file("onnx-external-absolute", "weights in `/etc/passwd`", "EscapingPath")
def _() -> bytes:
    return _external("/etc/passwd")


@onnx_file("onnx-external-parent", "weights in a folder above", "EscapingPath")
def _() -> bytes:
    return _external("../../secrets/weights.bin")


@onnx_file("onnx-external-windows", "the same as Windows writes it", "EscapingPath")
def _() -> bytes:
    return _external("..\\..\\secrets\\weights.bin")


@onnx_file("onnx-external-share", "weights on another machine", "EscapingPath")
def _() -> bytes:
    return _external("\\\\evil.example\\share\\weights.bin")


@onnx_file("onnx-external-in-attribute", "the same in the attribute of a node", "EscapingPath")
def _() -> bytes:
    tensor = onnx_tensor(external={"location": "/proc/self/environ"})
    attribute = field(5, field(1, "value") + field(5, tensor) + field(20, 4))
    return onnx(nodes=[onnx_node("Constant", extra=attribute)])


@onnx_file("onnx-external-missing", "weights in a file that was not pushed", "ExternalDataMissing")
def _() -> bytes:
    return _external("weights.bin")


@hostile(
    "onnx-external-short",
    "weights beyond the end of the file that holds them",
    form="onnx",
    reason="ExternalDataMissing",
)
def _() -> dict[str, bytes]:
    place = {"location": "weights.bin", "offset": "4096", "length": "16"}
    return {"model.onnx": onnx(tensors=[onnx_tensor(external=place)]), "weights.bin": bytes(64)}


@onnx_file("onnx-deep", "branches within branches, a hundred deep", "TooLarge")
def _() -> bytes:
    graph = field(2, "end")
    for _ in range(100):
        node = field(4, "If") + field(5, field(1, "b") + field(6, graph) + field(20, 5))
        graph = field(1, node)
    return field(1, 8) + field(7, graph) + field(8, field(2, 17))


@onnx_file("onnx-cut", "an ONNX file that was not copied whole", "FormatMismatch")
def _() -> bytes:
    return onnx()[:-40]


@onnx_file("onnx-text", "a page of text under the name of a model", "FormatMismatch")
def _() -> bytes:
    return b"<html><body>404 Not Found</body></html>"


@onnx_file("onnx-with-archive", "an ONNX file with a program at its end", "FormatMismatch")
def _() -> bytes:
    return onnx() + zipped({"__main__.py": b"print(1)"})
