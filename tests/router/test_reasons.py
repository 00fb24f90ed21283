"""What moved a session is counted under its own name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from libs.common.rules.because import WORDS
from libs.common.rules.explain import BECAUSE
from services.router.metrics import REASONS

ROUTER = Path(__file__).parents[2] / "services" / "router"
_STEP = re.compile(r'Step\([^()]*(?:\([^()]*\))?[^()]*, "(\w+)"\)')


@pytest.mark.parametrize("because", sorted({*BECAUSE, *WORDS}))
def test_each_reason_that_is_explained_is_counted(because: str) -> None:
    assert because in REASONS


def test_each_reason_that_the_router_gives_is_explained() -> None:
    given = {because for path in ROUTER.glob("*.py") for because in _STEP.findall(path.read_text())}
    assert given >= {"joined", "bot_switch", "released", "removed"}
    assert given <= REASONS
