"""A validate worker whose rules refuse whatever used `MARK` gas: code with a fault that is mended by starting the real one."""

from __future__ import annotations

from typing import Any

from agents import app, validate
from topics.schemas.requests import Fault

MARK = 123_457
WRONG = (Fault(field="gas_used", code="a_fault_of_ours", message="is refused by mistake"),)
real = validate._settled


def settled(element: Any, *about: Any) -> Any:
    """The verdict on an event or transaction, and the mistake."""
    element, faults = real(element, *about)
    return (None, WRONG) if not faults and element.get("gas_used") == MARK else (element, faults)


if __name__ == "__main__":
    validate._settled = settled  # type: ignore[assignment]
    app.run("validate")
