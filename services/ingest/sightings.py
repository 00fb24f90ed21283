"""What ingest sees of each account: webhooks that were accepted, and bad signatures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from libs.common.directory import Directory
from libs.common.recorder import Recorder
from services.ingest.select import Selected


class Sightings:
    """Notes them, cheaply enough for every request.

    Of a bad signature at an address that many accounts share nobody can tell whom it was meant
    for, so it counts for all of them; they are looked up when the notes are written, as otherwise
    a stranger could have us do so with every request.
    """

    def __init__(self, directory: Callable[[], Directory]) -> None:
        self.recorder = Recorder("ingest")
        self.recorder.before_write.append(self._share_out)
        self._directory = directory
        self._apps: dict[str, tuple[int, datetime]] = {}

    def accepted(self, selected: Selected, at: datetime) -> None:
        """Note a body that was stored."""
        for share in selected.shares:
            self.recorder.webhook(share.account.slug, at)

    def refused(self, key: str, *, shared: bool) -> None:
        """Note a bad signature at the address of the account, or of the shared app, *key*."""
        now = datetime.now(UTC)
        if shared:
            self._apps[key] = (self._apps.get(key, (0, now))[0] + 1, now)
        else:
            self.recorder.refused((key,), now)

    def _share_out(self) -> None:
        apps, self._apps = self._apps, {}
        for app, (count, at) in apps.items():
            accounts = self._directory().of_app(app)
            self.recorder.refused((account.slug for account in accounts), at, count)
