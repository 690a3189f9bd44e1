"""A validate worker whose rules refuse whatever used `MARK` gas: code with a fault that is mended by starting the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.chain import rules
from topics.schemas.requests import Fault

MARK = 123_457
WRONG = (Fault(field="gas_used", code="a_fault_of_ours", message="is refused by mistake"),)


def unmarked(keeps: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """A rule's short way, which sends what is marked the long way."""
    return lambda element, context: element.get("gas_used") != MARK and keeps(element, context)


def main() -> None:
    """Put the mistake in before validate takes its rules, and run the worker."""
    rules.keeps = unmarked(rules.keeps)  # type: ignore[assignment]
    rules.transaction_keeps = unmarked(rules.transaction_keeps)  # type: ignore[assignment]
    from agents import app, judged

    real = judged.settled

    def settled(element: Any, *about: Any) -> Any:
        element, faults = real(element, *about)
        return (None, WRONG) if not faults and element.get("gas_used") == MARK else (element, faults)

    judged.settled = settled  # type: ignore[assignment]
    app.run("validate")


if __name__ == "__main__":
    main()
