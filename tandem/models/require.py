"""`require`: what a model's metrics must be before it may ride."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tandem.errors import SettingsError
from tandem.records import Model

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
PATTERN = re.compile(r"\s*([A-Za-z_][\w.@:%/-]*)\s*(>=|<=|==|!=|>|<)\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*", re.ASCII)


@dataclass(frozen=True)
class Requirement:
    """`metric` `comparison` `limit`, such as accuracy >= 0.95."""

    metric: str
    comparison: str
    limit: float

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.limit:g}"


def parse(text: str) -> Requirement:
    """A line of `require`; raises SettingsError that shows how one looks."""
    match = PATTERN.fullmatch(text)
    try:
        limit = float(match[3]) if match else math.nan
    except ValueError:
        limit = math.nan
    if not match or not math.isfinite(limit):
        known = " ".join(OPERATORS)
        raise SettingsError(f'[model].require {text!r}: a metric, one of {known}, a number: "accuracy >= 0.95"')
    return Requirement(match[1], match[2], limit)


def meets(model: Model, require: Sequence[str]) -> list[str]:
    """Why the model may not ride, one sentence each; empty where it may. Raises SettingsError."""
    reasons = []
    for requirement in map(parse, require):
        value = model.facts.metrics.get(requirement.metric)
        if value is None:
            known = ", ".join(sorted(model.facts.metrics)) or "none"
            because = model.facts.about.get("metrics", f"metrics given: {known}")
            reasons.append(f"no metric {requirement.metric!r} ({because}); must be {requirement}")
        elif not OPERATORS[requirement.comparison](value, requirement.limit):
            reasons.append(f"{requirement.metric} is {value:g}; must be {requirement}")
    return reasons
