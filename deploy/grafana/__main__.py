"""Write the dashboards: `python -m deploy.grafana`; a test calls `documents()` and compares."""

from __future__ import annotations

from pathlib import Path

from deploy.grafana.accounts import ACCOUNTS
from deploy.grafana.alerts import ALERTS
from deploy.grafana.build import document
from deploy.grafana.delivery import DELIVERY
from deploy.grafana.ingest import INGEST
from deploy.grafana.overview import OVERVIEW
from deploy.grafana.router import ROUTER
from deploy.grafana.timers import TIMERS

BOARDS = (OVERVIEW, INGEST, ROUTER, DELIVERY, TIMERS, ALERTS, ACCOUNTS)
FOLDER = Path(__file__).parent / "dashboards"


def documents() -> dict[str, str]:
    """Return every dashboard by its file name."""
    return {f"{board.name}.json": document(board) for board in BOARDS}


def write() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    write()
