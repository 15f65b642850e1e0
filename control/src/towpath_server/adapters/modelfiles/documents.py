"""
Reads the JSON, YAML and XML documents beside a model: configurations that name code to load.

Which engine reads which entry: Hugging Face `auto_map`, `custom_pipelines` and `trust_remote_code`,
Sentence Transformers' `modules.json`, Keras' configuration, and chat templates of tokenizers.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from towpath_server.adapters.modelfiles import chat, reasons
from towpath_server.adapters.modelfiles.report import Notes, Unsound, listed

SIGNATURE = "signature.json"
"""Names, types and shapes of what a model takes and gives, where its own file cannot say."""
MAX_BYTES = 48 << 20  # the largest tokenizers have 35 MB
DATATYPES = {
    "BOOL", "BYTES", "FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64",
    "UINT8", "UINT16", "UINT32", "UINT64",
}  # fmt: skip
"""As the KServe Open Inference Protocol v2 names them."""
_MAX_TENSORS = 1_000
_MAX_YAML = 4 << 20
_MAX_ALIASES = 200
_MAX_VALUES = 3_000_000
_MAX_DEPTH = 200
_ENTITY = re.compile(
    rb"<!(?:ENTITY|DOCTYPE[^>]*\[)|<xi:include|<!DOCTYPE[^>]*SYSTEM", re.IGNORECASE
)
_YAML_OBJECT = re.compile(
    rb"!!?<?(?:tag:yaml\.org,2002:)?(?:python|ruby|java)/|tag:yaml\.org,2002:python"
)
_KERAS = {"keras", "keras_hub", "keras_nlp", "keras_cv", "tensorflow", "tf_keras"}
# Keras' own plain values.
_KERAS_VALUES = {"builtins": {"dict", "list", "tuple", "slice", "float", "int", "str", "bool"}}


def load_json(data: bytes) -> Any:
    """
    Read a JSON document.

    Raises:
        Unsound: It is none, or nested too deep.
    """
    if len(data) > MAX_BYTES:
        raise Unsound(reasons.TOO_LARGE, f"The document has {len(data)} bytes.")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise Unsound(reasons.TOO_LARGE, "The document is nested too deep.") from error
    except ValueError as error:
        raise Unsound(reasons.MALFORMED, f"The document is no JSON: {error}.") from error


def load_yaml(data: bytes) -> Any:
    """
    Read a YAML document of plain values.

    Raises:
        Unsound: It is none, multiplies itself, or makes objects.
    """
    if len(data) > _MAX_YAML:
        raise Unsound(reasons.TOO_LARGE, f"The document has {len(data)} bytes.")
    try:
        events = yaml.parse(data, Loader=yaml.CSafeLoader)
        if sum(isinstance(event, yaml.AliasEvent) for event in events) > _MAX_ALIASES:
            raise Unsound(reasons.ENTITY_BOMB, "The document multiplies itself by aliases.")
        return yaml.load(data, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Unsound(reasons.MALFORMED, "The document is no YAML.") from error


def check_json(name: str, data: bytes, notes: Notes) -> None:
    """Note what a JSON document makes an engine load, and the facts in it."""
    document = load_json(data)
    if name == "modules.json" and isinstance(document, list):
        _modules(document, notes)
    if not isinstance(document, dict):
        return
    _remote_code(document, notes)
    for template in _templates(document):
        chat.check(template, notes)
    if name == "config.json" or "model_type" in document or "architectures" in document:
        notes.facts.update(_facts(document))
    if name == SIGNATURE:
        for part in ("inputs", "outputs"):
            notes.facts[part] = _specs(document.get(part))
    if _looks_like_keras(document):
        check_keras(document, notes)


def check_text(name: str, data: bytes, notes: Notes) -> None:
    """Note what a text document makes a reader load."""
    lower = name.lower()
    if lower.endswith((".yaml", ".yml")) or name == "MLmodel":
        if _YAML_OBJECT.search(data):
            notes.add(reasons.OBJECT_TAG, "The YAML document makes objects of Python.")
        else:
            _aliases(data)
    elif lower.endswith((".jinja", ".jinja2", ".j2")):
        chat.check(data.decode("utf-8", "replace"), notes)
    elif lower.endswith((".py", ".pyw", ".pyi", ".pyx")):
        notes.add(reasons.PYTHON_CODE, "It is Python code.")
    elif lower.endswith((".sh", ".bash", ".bat", ".cmd", ".ps1")):
        notes.add(reasons.SCRIPT, "It is a script.")


def check_xml(data: bytes, notes: Notes) -> None:
    """Note entities and inclusions of an XML document."""
    if _ENTITY.search(data):
        notes.add(reasons.ENTITY_BOMB, "The XML document declares entities or includes files.")


def _aliases(data: bytes) -> None:
    """Count aliases as events, which costs nothing, before anybody builds the document."""
    if len(data) > _MAX_YAML:
        return
    try:
        events = yaml.parse(data, Loader=yaml.CSafeLoader)
        count = sum(isinstance(event, yaml.AliasEvent) for event in events)
    except (yaml.YAMLError, ValueError):
        return  # no YAML: whoever reads it will say so
    if count > _MAX_ALIASES:
        raise Unsound(reasons.ENTITY_BOMB, f"The document has {count} aliases.")


def _specs(entries: Any) -> list[dict[str, Any]]:
    """Read one half of a signature; empty when it is not what KServe writes."""
    found = [_spec(one) for one in (entries if isinstance(entries, list) else [])[:_MAX_TENSORS]]
    return [one for one in found if one] if all(found) else []


def _spec(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        return {}
    name, datatype, shape = (entry.get(key) for key in ("name", "datatype", "shape"))
    sizes = shape if isinstance(shape, list) else [None]
    whole = all(type(size) is int and -1 <= size < 2**31 for size in sizes)
    if (
        not isinstance(name, str)
        or not name
        or not isinstance(datatype, str)
        or datatype not in DATATYPES
        or not whole
    ):
        return {}
    return {"name": name, "datatype": datatype, "shape": sizes}


def _remote_code(document: Mapping[str, Any], notes: Notes) -> None:
    auto = document.get("auto_map") or document.get("auto_mapping")
    if isinstance(auto, Mapping) and auto:
        places = [str(one) for value in auto.values() for one in _each(value) if one]
        notes.add(reasons.REMOTE_CODE, f"`auto_map` names {listed(places)}.")
    elif auto:
        notes.add(reasons.REMOTE_CODE, "`auto_map` names classes to load.")
    if document.get("trust_remote_code") is True:
        notes.add(reasons.REMOTE_CODE, "`trust_remote_code` is on.")
    if document.get("custom_pipelines"):
        notes.add(reasons.REMOTE_CODE, "`custom_pipelines` names classes to load.")
    if "_diffusers_version" in document:
        _diffusers(document, notes)


def _diffusers(document: Mapping[str, Any], notes: Notes) -> None:
    known = {"diffusers", "transformers", "onnxruntime", None}
    for part, value in document.items():
        if isinstance(value, list) and len(value) == 2 and not part.startswith("_"):
            library = value[0]
            if not (library is None or (isinstance(library, str) and library in known)):
                notes.add(reasons.REMOTE_CODE, f"`{part}` is loaded from `{library}`.")


def _modules(document: list[Any], notes: Notes) -> None:
    kinds = [str(one.get("type", "")) for one in document if isinstance(one, dict)]
    own = [kind for kind in kinds if kind and not kind.startswith("sentence_transformers.")]
    if own:
        notes.add(reasons.REMOTE_CODE, f"`modules.json` names {listed(own)}.")


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _templates(document: Mapping[str, Any]) -> Iterator[str]:
    """Return the chat templates of a tokenizer: one, or several by name."""
    found = document.get("chat_template")
    if isinstance(found, str):
        yield found
    named = found if isinstance(found, list) else []
    for one in named[:50]:
        if isinstance(one, dict) and isinstance(one.get("template"), str):
            yield one["template"]
    if isinstance(found, dict):
        yield from (one for one in list(found.values())[:50] if isinstance(one, str))


def _facts(config: Mapping[str, Any]) -> dict[str, Any]:
    inner = config.get("text_config")
    text = {**config, **inner} if isinstance(inner, dict) else config

    def number(*names: str) -> int | None:
        for name in names:
            value = text.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40:
                return value
        return None

    heads = number("num_attention_heads", "n_head", "n_heads")
    width = number("hidden_size", "n_embd", "d_model")
    quantization = config.get("quantization_config")
    method = quantization.get("quant_method") if isinstance(quantization, dict) else None
    architectures = config.get("architectures")
    found = {
        "architecture": config.get("model_type"),
        "architectures": architectures if isinstance(architectures, list) else None,
        "context_length": number("max_position_embeddings", "n_positions", "max_seq_len"),
        "layers": number("num_hidden_layers", "n_layer", "n_layers"),
        "embedding_length": width,
        "heads": heads,
        "kv_heads": number("num_key_value_heads") or heads,
        "head_dim": number("head_dim") or (width // heads if width and heads else None),
        "vocabulary": number("vocab_size"),
        "sliding_window": number("sliding_window"),
        "experts": number("num_local_experts", "num_experts", "n_routed_experts"),
        "quantization": method if isinstance(method, str) else None,
        "chat_template": True if config.get("chat_template") else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _looks_like_keras(document: Mapping[str, Any]) -> bool:
    config = document.get("config")
    return isinstance(document.get("class_name"), str) and isinstance(config, dict | list)


def check_keras(document: Any, notes: Notes) -> None:
    """Note layers of a Keras model that carry code, or name classes from elsewhere."""
    for one in objects(document):
        name, module = one.get("class_name"), one.get("module")
        if name in {"Lambda", "__lambda__"}:
            notes.add(reasons.LAMBDA_LAYER, "The model has a Lambda layer.")
            continue
        if not isinstance(name, str) or not isinstance(module, str):
            continue
        root = module.split(".")[0]
        if root not in _KERAS and name not in _KERAS_VALUES.get(module, set()):
            notes.add(reasons.LAMBDA_LAYER, f"The model names `{module}.{name}`.")


def objects(document: Any) -> Iterator[dict[str, Any]]:
    """Walk all objects of a document, bounded."""
    waiting = [(document, 0)]
    seen = 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if seen > _MAX_VALUES or depth > _MAX_DEPTH:
            raise Unsound(reasons.TOO_LARGE, "The document has too many values.")
        if isinstance(value, dict):
            yield value
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]
