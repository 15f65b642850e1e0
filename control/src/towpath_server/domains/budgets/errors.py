"""What can be wrong with a budget."""

from towpath_server.core.errors import Kind, TowpathError


class BudgetUnitFixed(TowpathError):
    """A budget of tokens cannot become one of money, nor the other way round."""

    code = "budget_unit_fixed"
    kind = Kind.CONFLICT
    title = "A budget keeps its unit"

    def __init__(self, unit: str) -> None:
        super().__init__(
            f"This budget counts {unit}, and what was used of it does too.",
            fix="Create another budget beside it, then delete this one.",
        )
