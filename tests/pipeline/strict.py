"""A validate worker whose rules refuse whatever used `MARK` gas: code with a fault that is mended by starting the real one."""

from __future__ import annotations

from typing import Any

from agents import app
from models.chain import rules
from topics.schemas.requests import Fault

MARK = 123_457
WRONG = (Fault(field="gas_used", code="a_fault_of_ours", message="is refused by mistake"),)


def refusing(real: Any) -> Any:
    """`real` and the mistake."""

    def errors(model: Any, context: Any) -> Any:
        return real(model, context) or (WRONG if model.gas_used == MARK else ())

    return errors


if __name__ == "__main__":
    rules.errors = refusing(rules.errors)
    rules.transaction_errors = refusing(rules.transaction_errors)
    app.run("validate")
