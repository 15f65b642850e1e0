"""
Checks chat templates: Jinja programs that come with a model and run on every request.

The template is read as a syntax tree first; what reaches for Python's inner names, other files or
endless loops is refused there. Then it is rendered for a sample conversation, in Jinja's sandbox,
with bounds on its output, its numbers and its time.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.report import Notes, listed

_MAX_LENGTH = 256 << 10  # the longest published templates have 30 KiB
_MAX_OUTPUT = 1 << 20  # of a conversation of a few words
_MAX_PIECES = 200_000
_MAX_NUMBER = 1_000_000  # as a constant that text or lists are multiplied by
_SECONDS = 1.0  # a template takes milliseconds
_REACHING = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_GADGETS = {
    "cycler",
    "joiner",
    "lipsum",
    "config",
    "request",
    "self",
    "url_for",
    "get_flashed_messages",
}
_BOUNDED = {"center", "indent", "wordwrap", "batch", "slice", "truncate"}
_SAMPLES: tuple[list[dict[str, Any]], ...] = (
    [{"role": "user", "content": "Hello"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "And now?"},
    ],
)


def _refuse(message: str = "") -> None:
    raise TemplateError(message)


# What engines give a template besides the messages.
_GIVEN: dict[str, Any] = {
    "add_generation_prompt": True,
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "tools": None,
    "raise_exception": _refuse,
    "strftime_now": lambda _: "2026-01-01",
}


class _Explodes(Exception):
    """A template is beyond a bound."""


class _Generation(Extension):
    """`{% generation %}` marks the assistant's part in templates for training."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own shape)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Take the body as it is."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with bounds on what grows."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute, if the result stays small."""
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise _Explodes(f"the operator `{operator}` on text or to a power")
        if operator == "*" and _product(left, right) > _MAX_OUTPUT:
            raise _Explodes("a product too long")
        if operator == "+" and isinstance(left, _SIZED) and len(left) > _MAX_OUTPUT:
            raise _Explodes("a sum too long")
        return super().call_binop(context, operator, left, right)


_SIZED = str | list | tuple


def _product(left: Any, right: Any) -> int:
    """Return how long text or a list becomes by a number."""
    if isinstance(right, _SIZED):
        left, right = right, left
    if isinstance(left, _SIZED) and isinstance(right, int):
        return len(left) * right
    return 0


def check(template: str, notes: Notes) -> None:
    """Note what is wrong with a chat template."""
    if len(template) > _MAX_LENGTH:
        notes.add(reasons.TEMPLATE_EXPLODES, f"The chat template has {len(template)} characters.")
        return
    environment = _Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        optimized=False,  # folding constants would compute what is to be bounded
        extensions=[_Generation, "jinja2.ext.loopcontrols"],
    )
    try:
        tree = environment.parse(template)
    except TemplateSyntaxError as error:
        detail = f"The chat template is no Jinja: {error.message} (line {error.lineno})."
        notes.add(reasons.TEMPLATE_INVALID, detail)
        return
    except RecursionError:
        notes.add(reasons.TEMPLATE_EXPLODES, "The chat template is nested too deep.")
        return
    if reaching := sorted(set(_reaching(tree))):
        notes.add(reasons.TEMPLATE_UNSAFE, f"The chat template uses {listed(reaching)}.")
    elif growing := sorted(set(_growing(tree))):
        notes.add(reasons.TEMPLATE_EXPLODES, f"The chat template has {listed(growing)}.")
    else:
        _render(environment, template, notes)


def _reaching(tree: nodes.Template) -> Iterator[str]:
    """Name what leads out of messages and text."""
    for node in tree.find_all(nodes.Node):
        if isinstance(node, _REACHING):
            yield type(node).__name__.lower()
        elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            yield node.attr
        elif isinstance(node, nodes.Const) and isinstance(node.value, str):
            yield from (word for word in _WORDS if word in node.value)
        elif isinstance(node, nodes.Name) and (node.name in _GADGETS or node.name.startswith("__")):
            yield node.name
        elif isinstance(node, nodes.Filter) and node.name == "attr" and not _plain(node.args):
            yield "attr"


_WORDS = (
    "__class__",
    "__globals__",
    "__builtins__",
    "__import__",
    "__subclasses__",
    "__mro__",
    "__base",
    "__init__",
    "__getattribute__",
    "__dict__",
    "__code__",
    "func_globals",
    "gi_frame",
    "\\x5f\\x5f",
)


def _plain(arguments: list[nodes.Expr]) -> bool:
    return all(
        isinstance(one, nodes.Const) and not str(one.value).startswith("_") for one in arguments
    )


def _growing(tree: nodes.Template) -> Iterator[str]:
    """Name numbers and filters by which a template grows beyond measure."""
    for node in tree.find_all(nodes.Const):
        if isinstance(node.value, int) and abs(node.value) > _MAX_NUMBER:
            yield f"the number {str(node.value)[:20]}"
    for one in tree.find_all(nodes.Filter):
        if one.name in _BOUNDED and any(
            isinstance(argument, nodes.Const)
            and isinstance(argument.value, int)
            and argument.value > 10_000
            for argument in (*one.args, *(pair.value for pair in one.kwargs))
        ):
            yield f"the filter {one.name} with a large number"
    for macro in tree.find_all(nodes.Macro):
        calls = {
            call.node.name
            for call in macro.find_all(nodes.Call)
            if isinstance(call.node, nodes.Name)
        }
        if macro.name in calls and not any(macro.find_all(nodes.If)):
            yield f"the macro {macro.name}, which calls itself"


def _render(environment: _Environment, template: str, notes: Notes) -> None:
    try:
        compiled = environment.from_string(template)
        for messages in _SAMPLES:
            with _alarm():
                _consume(compiled.generate(messages=messages, **_GIVEN))
    except SecurityError as error:
        notes.add(reasons.TEMPLATE_UNSAFE, f"The chat template leaves its sandbox: {error}.")
    except (_Explodes, OverflowError, MemoryError, RecursionError) as error:
        notes.add(reasons.TEMPLATE_EXPLODES, f"The chat template has no bound: {error}.")
    except Exception:  # noqa: BLE001, S110 (code that users bring: a template may refuse a sample)
        pass


def _consume(pieces: Iterator[str]) -> None:
    length = 0
    for count, piece in enumerate(pieces):
        length += len(piece)
        if length > _MAX_OUTPUT or count > _MAX_PIECES:
            raise _Explodes("a conversation of a few words becomes more than 1 MiB")


@contextmanager
def _alarm() -> Iterator[None]:
    """Interrupt what takes longer than a template may; needs the main thread, as a scan has it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise _Explodes(f"it takes more than {_SECONDS:g} s for a few words")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
