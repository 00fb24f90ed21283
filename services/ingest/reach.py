"""What ingest stands on and what may come and go while it runs."""

from __future__ import annotations

from libs.common.bus.client import Bus
from libs.common.directory import Directory
from libs.common.erased import Erased
from libs.common.presence import Presences
from services.ingest.sightings import Sightings


class Reach:
    """The bus, None until the first connection stands, and the directory as last known.

    Both are looked up for every request, so that ingest can serve from its cache and its spool
    before NATS is there.
    """

    def __init__(self, directory: Directory) -> None:
        self.bus: Bus | None = None
        self.directory = directory
        self.erased: Erased | None = None
        self.presences: Presences | None = None
        self.sightings = Sightings(lambda: self.directory)

    @property
    def connected(self) -> bool:
        """Whether JetStream may be asked now."""
        return self.bus is not None and self.bus.connected
