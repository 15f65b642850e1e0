"""Is there a runtime for the model, and does it take these arguments."""

from towpath_server.core import suggest
from towpath_server.domains.deployments.models import RuntimeDraft
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.runtimes.models import Runtime


def find(inquiry: Inquiry) -> Runtime | None:
    """Find what serves the version, and check what it is started with."""
    wanted, version = inquiry.draft.runtime, inquiry.version
    if wanted is None:
        return None
    runtime = _named(inquiry, wanted)
    if runtime is None:
        return None
    if version is not None and version.format not in runtime.formats:
        fits = ", ".join(f"`{name}`" for name in inquiry.catalog.serving(version.format))
        detail = f"The runtime `{runtime.name}` does not serve the format `{version.format}`."
        fix = f"Use {fits}." if fits else "No runtime here serves that format."
        inquiry.add("#/spec/runtime/name", "FormatNotServed", detail, fix)
    if version is not None and runtime.dialect == "kserve_v2" and version.signature is None:
        inquiry.add(
            "#/spec/model/uri",
            "SignatureMissing",
            f"`{version.uri}` has no signature, and `{runtime.name}` is called through one.",
            "Push a `signature.json` among its files, or register it with `signature`: names, "
            "types and shapes of its inputs and outputs.",
        )
    _arguments(inquiry, wanted, runtime)
    return runtime


def _named(inquiry: Inquiry, wanted: RuntimeDraft) -> Runtime | None:
    catalog, version = inquiry.catalog, inquiry.version
    if wanted.name is None:
        fits = _fits(inquiry, version.format) if version else []
        if len(fits) == 1:
            return catalog.find(fits[0], wanted.version)
        if version is not None:
            listed = ", ".join(f"`{name}`" for name in fits) or "none here"
            detail = f"`runtime.name` is missing, and `{version.format}` is served by {listed}."
            inquiry.add(
                "#/spec/runtime/name", "Missing", detail, "Write one of them as `runtime.name`."
            )
        return None
    runtime = catalog.find(wanted.name, wanted.version)
    if runtime is not None:
        return runtime
    if catalog.find(wanted.name) is not None:
        known = ", ".join(f"`{one}`" for one in catalog.versions(wanted.name))
        detail = f"The runtime `{wanted.name}` has no version `{wanted.version}` here."
        inquiry.add(
            "#/spec/runtime/version", "UnknownRuntime", detail, f"Use {known}, or leave it out."
        )
        return None
    hint = suggest.did_you_mean(wanted.name, catalog.names)
    listed = ", ".join(f"`{name}`" for name in catalog.names)
    detail = f"There is no runtime `{wanted.name}`."
    inquiry.add("#/spec/runtime/name", "UnknownRuntime", detail, hint or f"Use one of {listed}.")
    return None


def _fits(inquiry: Inquiry, form: str) -> list[str]:
    """Return what a manifest may mean that names no runtime: what comes with Towpath goes first."""
    catalog = inquiry.catalog
    serving = catalog.serving(form)
    own = [name for name in serving if not catalog.programs(name)]
    lacking = inquiry.facilities.servers.lacking
    return own or [name for name in serving if not lacking(catalog.programs(name))] or serving


def _arguments(inquiry: Inquiry, wanted: RuntimeDraft, runtime: Runtime) -> None:
    allowed = [f"--{name}" for name in runtime.args]
    seen: set[str] = set()
    for index, text in enumerate(wanted.args):
        at = f"#/spec/runtime/args/{index}"
        option, separator, value = text.partition("=")
        rule = runtime.args.get(option.removeprefix("--"))
        if not option.startswith("--") or not separator:
            inquiry.add(
                at,
                "InvalidArgument",
                f"`{text}` is not `--name=value`.",
                "Write name and value in one.",
            )
        elif rule is None:
            listed = ", ".join(f"`{name}`" for name in allowed) or "none"
            detail = f"`{option}` is not an argument that `{runtime.name}` takes here."
            hint = suggest.did_you_mean(option, allowed)
            inquiry.add(at, "UnknownArgument", detail, hint or f"It takes {listed}.")
        elif (refusal := rule.refusal(value)) is not None:
            inquiry.add(at, "OutOfRange", f"`{option}`: {refusal}.", f"Give a value {rule.words}.")
        if option in seen:
            inquiry.add(at, "Duplicate", f"`{option}` stands twice.", "Leave one of them out.")
        seen.add(option)


def argument(wanted: RuntimeDraft, name: str) -> int | None:
    """Return a start argument that is a whole number, where it is given."""
    value = text_of(wanted, name) or ""
    return int(value) if value.isdecimal() and len(value) < 10 else None


def text_of(wanted: RuntimeDraft, name: str) -> str | None:
    """Return a start argument as it is written, where it is given."""
    given = (text.partition("=") for text in wanted.args)
    return next((value for option, _, value in given if option == f"--{name}"), None)
