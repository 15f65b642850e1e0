"""Chat templates: programs that run for every request."""

from collections.abc import Mapping

from artifacts import folder, gguf

from hostile import hostile

_UNSAFE = {
    "dunder": ("reaches `__globals__` by attributes", "{{ messages.__class__.__mro__ }}"),
    "item": ("the same by items", "{{ messages['__class__'] }}"),
    "attr": ("the same by the filter `attr`", "{{ messages|attr('__class__') }}"),
    "built-attr": (
        "the same by a name that is put together",
        "{{ messages|attr('__cla' ~ 'ss__') }}",
    ),
    "escaped": ("the same in escapes", r"{{ messages['\x5f\x5fclass\x5f\x5f'] }}"),
    "gadget": ("starts from a global of Jinja's", "{{ cycler.next('id') }}"),
    "lipsum": ("the same by `lipsum`", "{{ lipsum() }}"),
    "include": ("reads another file", "{% include '/etc/passwd' %}"),
    "import": ("imports another template", "{% import '/tmp/x' as x %}{{ x.run() }}"),
    "extends": ("extends another template", "{% extends '../../base' %}"),
    "map": ("the same by `map`", "{{ messages|map(attribute='__class__')|list }}"),
}
_EXPLODING = {
    "loops": (
        "loops within loops",
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}"
            "{% set x = a %}{% endfor %}{% endfor %}{% endfor %}"
        ),
    ),
    "product": ("multiplies text", "{{ 'a' * 999999999 }}"),
    "product-in-steps": (
        "multiplies text by numbers that look small",
        "{% set n = 99999 %}{{ ('a' * n) * n }}",
    ),
    "range": ("counts to ten billion", "{% for i in range(10000000000) %}x{% endfor %}"),
    "power": ("computes a power", "{{ 9 ** 9 ** 9 }}"),
    "doubling": (
        "doubles a text in a loop",
        (
            "{% set ns = namespace(x='aaaaaaaa') %}"
            "{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}"
        ),
    ),
    "padding": ("pads a text", "{{ 'a'|center(999999) }}"),
    "format": ("formats a number a billion wide", "{{ '%0999999999d' % 1 }}"),
    "recursion": ("a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    "output": ("writes without end", "{% for i in range(99999) %}{{ 'x' * 4096 }}{% endfor %}"),
}


def _gguf(name: str, what: str, template: str, reason: str) -> None:
    @hostile(f"template-{name}", f"a chat template that {what}", form="gguf", reason=reason)
    def _() -> Mapping[str, bytes]:
        return {"model.gguf": gguf({"tokenizer.chat_template": template})}


for _name, (_what, _text) in _UNSAFE.items():
    _gguf(_name, _what, _text, "TemplateUnsafe")
for _name, (_what, _text) in _EXPLODING.items():
    _gguf(_name, _what, _text, "TemplateExplodes")
_gguf("long", "has a megabyte", "x" * (1 << 20), "TemplateExplodes")
_gguf("broken", "is no template", "{% for m in messages %}", "TemplateInvalid")


@hostile(
    "template-in-tokenizer",
    "the first of these in `tokenizer_config.json`",
    form="safetensors",
    reason="TemplateUnsafe",
)
def _() -> Mapping[str, bytes]:
    return folder(tokenizer_config={"chat_template": _UNSAFE["dunder"][1]})


@hostile(
    "template-second-by-name",
    "the same as the second of several named templates",
    form="safetensors",
    reason="TemplateUnsafe",
)
def _() -> Mapping[str, bytes]:
    named = [
        {"name": "default", "template": "{{ messages[0].content }}"},
        {"name": "tool_use", "template": _UNSAFE["item"][1]},
    ]
    return folder(tokenizer_config={"chat_template": named})


@hostile(
    "template-file",
    "the same in a file of its own",
    form="safetensors",
    reason="TemplateUnsafe",
)
def _() -> Mapping[str, bytes]:
    return folder(more={"chat_template.jinja": _UNSAFE["gadget"][1].encode()})
