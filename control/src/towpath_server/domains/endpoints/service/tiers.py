"""What a tiered endpoint's levels must be: each a target of its own, named without doubt."""

from collections import Counter

from towpath_server.core import suggest
from towpath_server.core.errors import Finding
from towpath_server.domains.endpoints.models import Endpoint

_AT = "#/tier"


def findings(endpoint: Endpoint) -> list[Finding]:
    """List what does not hold between an endpoint's tiers and its targets."""
    tier = endpoint.serving.tier
    if tier is None:
        return []
    found: list[Finding] = []
    names = Counter(bound.target.name for bound in endpoint.targets)
    levels = [level.name for level in tier.levels]
    for index, level in enumerate(tier.levels):
        at = f"{_AT}/levels/{index}"
        if level.name in levels[:index]:
            found.append(Finding(f"{at}/name", f"The level `{level.name}` stands twice."))
        if level.target not in names:
            listed = ", ".join(f"`{name}`" for name in names)
            detail = f"`{level.target}` is none of the endpoint's targets."
            hint = suggest.did_you_mean(level.target, list(names))
            found.append(Finding(f"{at}/target", detail, hint or f"Its targets are {listed}."))
        elif names[level.target] > 1:
            detail = f"Several targets are called `{level.target}`."
            found.append(Finding(f"{at}/target", detail, "Give each static target its `name`."))
        elif level.target in [other.target for other in tier.levels[:index]]:
            detail = f"`{level.target}` is another level's target already."
            found.append(Finding(f"{at}/target", detail, "A level is a model of its own."))
    for index, rule in enumerate(tier.rules):
        if rule.level not in levels:
            detail = f"`{rule.level}` is none of the levels."
            hint = suggest.did_you_mean(rule.level, levels)
            listed = ", ".join(f"`{name}`" for name in levels)
            place = f"{_AT}/rules/{index}/level"
            found.append(Finding(place, detail, hint or f"The levels are {listed}."))
    return found
