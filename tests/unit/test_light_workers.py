"""Workers that serve no model do without what models need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agents.app import WORKERS
from base.settings import ROOT

ASK = """
import sys
from agents.app import WORKERS, _measuring
_measuring(WORKERS[sys.argv[1]].agents())
print("numpy" in sys.modules)
"""


@pytest.mark.parametrize("name", sorted(WORKERS))
def test_numpy_is_where_a_model_serves(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", ASK, name], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(name == "fraud")]
