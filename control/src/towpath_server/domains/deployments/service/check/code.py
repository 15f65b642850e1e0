"""Does the model bring code, and is the runtime made for that."""

from towpath_server.domains.deployments.service.check.inquiry import Inquiry


def check(inquiry: Inquiry) -> None:
    """Refuse code on a runtime that would run it beside everything else it may reach."""
    version, runtime = inquiry.version, inquiry.runtime
    if version is None or runtime is None or not version.scanned.carries_code:
        return
    if version.format in runtime.code_formats:
        return
    first = version.scanned.findings[0] if version.scanned.findings else None
    what = f" (`{first.path}`: {first.message})" if first else ""
    fits = [
        f"`{one.name}`" for one in inquiry.catalog.runtimes if version.format in one.code_formats
    ]
    alone = first.fix if first else "Push the model in a format without code."
    inquiry.add(
        "#/spec/runtime/name",
        "CarriesCode",
        f"`{version.uri}` carries code{what}, and `{runtime.name}` is not made for that.",
        f"Use {', '.join(fits)}." if fits else alone,
    )
