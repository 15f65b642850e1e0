"""
Expressions: what one may say, what it may cost, and its value.

Tenants write them, so all is bounded before anything runs, in the words that the gateway uses for
its own rules: bytes, nesting, parts, a closed list of functions and names. Loops are allowed here,
two deep, and paid for: what an expression can come to with the manifest at hand is worked out
before it is evaluated (ADR 0017).
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from towpath_server.core import suggest
from towpath_server.domains.policies.service.facts import BY_NAME, Facts, Size

MAX_BYTES = 1_024  # of one expression
MAX_NESTING = 16  # brackets within brackets
MAX_PARTS = 192  # names, values and operators
MAX_EXPANDED = 4  # times as much, with the variables that it uses written out
MAX_LOOPS = 2  # loops within loops
MAX_STEPS = 2_000_000  # of one evaluation; some tenths of a second
MAX_BUILT = 64 << 20  # bytes of text that one evaluation may put together

LOOPS = ("all", "exists", "exists_one", "filter", "map")
FUNCTIONS = (
    "has", "size", "contains", "startsWith", "endsWith", "matches", "int", "double", "string",
    "join", "lowerAscii", "type", *LOOPS,
)  # fmt: skip
VARIABLES = "variables"
USUAL = Size(nodes=500, longest=64, text=8_192)
"""What an expression must be able to deal with, to be accepted at all."""

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<text>(?:[rR][bB]?|[bB][rR])(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*"|'[^'\n]*')
      | [bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
      | "(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE, _SILENT = "([{", ")]}", set("()[]{},.:")
_CONSTANTS = {"true", "false", "null", "in"}
_VALUES = {"true", "false", "null", "-"}  # `-` begins a number, or ends in one
_WHOLE = {"==", "!=", "in"}  # compare whole lists and maps
_LONG = {"contains", "endsWith", "join", "lowerAscii", "matches", "size", "startsWith", "string"}
_LONG_STEPS = 64
_PLACE = re.compile(r"(\d+):(\d+): ([^\n]+)")
_MISSING = re.compile(r'Key not found in map : "?([^"\n]{1,100})')
_CODE = re.compile(r"^[A-Z_]+: ")


class Unusable(Exception):
    """An expression that nobody may write, with its place and what to do."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.why = why
        self.fix = fix


class Failed(Exception):
    """An expression that came to nothing, and why."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class _Load:
    """How much stands inside one depth of loops."""

    parts: int = 0
    whole: int = 0
    long: int = 0
    plus: int = 0


@dataclass(frozen=True)
class Expression:
    """An expression that may be used."""

    text: str
    """With its variables written out."""
    facts: frozenset[str]
    loads: tuple[_Load, ...]
    """By depth of loops."""

    def steps(self, size: Size) -> int:
        """Return the most steps that it can take with facts of a size."""
        wide = self._wide(size)
        return sum(
            wide**depth * (load.parts + load.whole * (size.nodes // 4) + load.long * _LONG_STEPS)
            for depth, load in enumerate(self.loads)
        )

    def built(self, size: Size) -> int:
        """Return the most bytes of text that it can put together with facts of a size."""
        wide = self._wide(size)
        return sum(
            wide**depth * load.plus * load.plus * size.text for depth, load in enumerate(self.loads)
        )

    def _wide(self, size: Size) -> int:
        """Return the length of the longest list that it can loop over."""
        parts = sum(load.parts for load in self.loads)
        return max(size.longest, parts) * (1 + sum(load.plus for load in self.loads))


def read(text: str, variables: Mapping[str, Expression], wanted: str = "") -> Expression:
    """
    Read an expression.

    Args:
        variables: Those that it may use.
        wanted: The type that it must give, `bool` or `string`; empty: any.

    Raises:
        Unusable: It may not be written; the error says where and why.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise Unusable(
            f"it has {size} bytes, and at most {MAX_BYTES} are allowed",
            "Split it, or give a part of it a name in `variables`.",
        )
    if not text.isprintable() and (at := _half(text)) is not None:
        raise Unusable(f"{_place(text, at)}: half a character", "Save the file as UTF-8.")
    tokens = list(_tokens(text))
    scan = _Scan(text, tokens, variables)
    scan.run()
    _compiled(text)
    if not scan.used:
        read_ = Expression(text, frozenset(scan.facts), scan.loads())
    else:
        whole = _written_out(tokens, variables)
        if len(whole.encode()) > MAX_BYTES * MAX_EXPANDED:
            raise Unusable(
                "it is too large with its variables written out",
                "Use fewer variables in one expression.",
            )
        inner = _Scan(whole, list(_tokens(whole)), {}, MAX_EXPANDED)
        inner.run()
        read_ = Expression(whole, frozenset(inner.facts), inner.loads())
    _check_type(read_.text, wanted)
    if read_.steps(USUAL) > MAX_STEPS or read_.built(USUAL) > MAX_BUILT:
        raise Unusable(
            "it can take too long: there is too much inside its loops",
            "Use one loop, do less in it, and put texts together outside of it.",
        )
    return read_


def value(expression: Expression, facts: Facts) -> Any:
    """
    Work an expression out.

    Raises:
        Failed: It came to nothing, or could take too long with these facts.
    """
    if expression.steps(facts.size) > MAX_STEPS or expression.built(facts.size) > MAX_BUILT:
        raise Failed("the manifest is so large that it could take too long")
    try:
        answer = _compiled(expression.text).eval(data=facts.values)
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise Failed(_said(str(error))) from error
    if answer.type() == cel.Type.ERROR:
        raise Failed(_said(str(answer.plain_value())))
    return answer.plain_value()


class _Scan:
    """Walks through the tokens once, and refuses what is not allowed."""

    def __init__(
        self,
        text: str,
        tokens: Sequence[_Token],
        variables: Mapping[str, Expression],
        times: int = 1,
    ) -> None:
        self.text = text
        self.tokens = tokens
        self.variables = variables
        self.most = MAX_PARTS * times
        self.nesting = MAX_NESTING * times
        self.facts: set[str] = set()
        self.used: set[str] = set()
        self._open: list[str | None] = []
        """Each open bracket, with the name of its loop's variable."""
        self._counts: dict[int, dict[str, int]] = {}

    def run(self) -> None:
        """Look at every token."""
        for index, token in enumerate(self.tokens):
            if token.kind == "mark" and token.text in _OPEN:
                self._opened(index)
            elif token.kind == "mark" and token.text in _CLOSE:
                self._open[-1:] = []
            elif token.kind == "name":
                self._named(index, token)
            if token.text not in _SILENT or token.kind != "mark":
                self._count(index, token)
        parts = sum(counts["parts"] for counts in self._counts.values())
        if parts > self.most:
            raise Unusable(
                f"it has {parts} names, values and operators, and at most {self.most} are allowed",
                "Split it, or give a part of it a name in `variables`.",
            )

    def loads(self) -> tuple[_Load, ...]:
        """Return what stands inside each depth of loops."""
        deepest = max(self._counts, default=0)
        return tuple(_Load(**self._counts.get(depth, {})) for depth in range(deepest + 1))

    def _opened(self, index: int) -> None:
        before, after = self._at(index - 1), self._at(index + 1)
        loop = None
        if before in LOOPS and self._at(index - 2) == ".":
            loop = after
            if loop in BY_NAME or loop == VARIABLES:
                self._refuse(index + 1, f"`{loop}` is a fact, and no name for what is looped over")
        self._open.append(loop)
        if len(self._open) > self.nesting:
            self._refuse(index, "it is nested too deeply")
        if sum(1 for one in self._open if one is not None) > MAX_LOOPS:
            self._refuse(index, f"at most {MAX_LOOPS} loops may stand in each other")

    def _named(self, index: int, token: _Token) -> None:
        before, after = self._at(index - 1), self._at(index + 1)
        if after == "(" and token.text not in _CONSTANTS:
            if token.text not in FUNCTIONS:
                hint = suggest.did_you_mean(token.text, FUNCTIONS)
                fix = hint or "Functions: " + ", ".join(FUNCTIONS) + "."
                self._refuse(index, f"`{token.text}` is no function here", fix)
        elif before == ".":
            return
        elif token.text in BY_NAME:
            self.facts.add(token.text)
            fields = BY_NAME[token.text].fields
            part = self._at(index + 2) if after == "." and self._at(index + 3) != "(" else None
            if fields and part and part not in fields:
                hint = suggest.did_you_mean(part, fields) or f"It has {', '.join(fields)}."
                self._refuse(index + 2, f"`{token.text}` has no `{part}`", hint)
        elif token.text == VARIABLES:
            part = self._at(index + 2)
            if after != "." or part not in self.variables:
                known = ", ".join(self.variables) or "none before this one"
                self._refuse(index, f"there is no variable `{part}`", f"Variables: {known}.")
            self.used.add(part)
        elif token.text not in _CONSTANTS and token.text not in self._open:
            hint = suggest.did_you_mean(token.text, [*BY_NAME, VARIABLES])
            fix = hint or f"Facts: {', '.join(BY_NAME)}; also `{VARIABLES}`."
            self._refuse(index, f"`{token.text}` is no fact", fix)

    def _count(self, index: int, token: _Token) -> None:
        depth = sum(1 for one in self._open if one is not None)
        counts = self._counts.setdefault(
            depth, dict.fromkeys(("parts", "whole", "long", "plus"), 0)
        )
        counts["parts"] += 1
        if token.kind != "text":
            counts["whole"] += token.text in _WHOLE and not self._beside_value(index)
            counts["long"] += token.text in _LONG
            counts["plus"] += token.text in {"+", "join"}

    def _beside_value(self, index: int) -> bool:
        """Tell whether a comparison ends at once, since one side is written down."""
        beside = [self.tokens[at] for at in (index - 1, index + 1) if 0 <= at < len(self.tokens)]
        return any(one.kind in {"text", "number"} or one.text in _VALUES for one in beside)

    def _at(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) else ""

    def _refuse(self, index: int, why: str, fix: str = "Write it more simply.") -> None:
        at = self.tokens[min(index, len(self.tokens) - 1)].at
        raise Unusable(f"{_place(self.text, at)}: {why}", fix)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unusable(
                f"{_place(text, at)}: `{text[at]}` cannot be read",
                "Write one CEL expression; texts stand in quotes.",
            )
        if match.lastgroup and match.lastgroup != "space":
            yield _Token(match.lastgroup, match.group(), at)
        at = match.end()


def _written_out(tokens: Sequence[_Token], variables: Mapping[str, Expression]) -> str:
    """Put the variables in their places; brackets keep them whole."""
    words, index = [], 0
    while index < len(tokens):
        token = tokens[index]
        if token.kind == "name" and token.text == VARIABLES and _plain(tokens, index):
            words.append(f"({variables[tokens[index + 2].text].text}\n)")
            index += 3
        else:
            words.append(token.text)
            index += 1
    return " ".join(words)


def _plain(tokens: Sequence[_Token], index: int) -> bool:
    return index == 0 or tokens[index - 1].text != "."


def _half(text: str) -> int | None:
    """Find half of a surrogate pair, which no text can have alone."""
    return next((at for at, one in enumerate(text) if "\ud800" <= one <= "\udfff"), None)


def _place(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return f"line {line}, column {column}" if "\n" in text else f"column {column}"


@functools.cache
def _environment() -> Any:
    types = {
        "string": cel.Type.STRING,
        "bool": cel.Type.BOOL,
        "list": cel.Type.List(cel.Type.DYN),
        "map": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    }
    names = {fact.name: types[fact.type] for fact in BY_NAME.values()}
    return cel.NewEnv(
        variables={**names, VARIABLES: types["map"]}, extensions=[ext_strings.ExtStrings()]
    )


@functools.lru_cache(maxsize=2_048)
def _compiled(text: str) -> Any:
    try:
        return _environment().compile(text)
    except (RuntimeError, ValueError) as error:
        raise Unusable(_said(str(error)), "Correct it; see the guide on policies.") from error


def _check_type(text: str, wanted: str) -> None:
    given = _compiled(text).return_type().name().lower()
    if wanted and given not in {wanted, "dyn"}:
        words = {"bool": "true or false", "string": "a text"}[wanted]
        raise Unusable(f"it does not give {words}", f"Write an expression that gives {words}.")


def _said(error: str) -> str:
    """Return the first line of what the library says, in our words."""
    if missing := _MISSING.search(error):
        return f"there is no `{missing[1]}`"
    if "recursion" in error:
        return "it is nested too deeply"
    if found := _PLACE.search(error):
        said = found[3].strip()
        return f"line {found[1]}, column {found[2]}: {said[:200]}"
    first = error.strip().partition("\n")[0].removesuffix("]").rpartition(" [")
    return _CODE.sub("", first[0] or first[2])[:200]
