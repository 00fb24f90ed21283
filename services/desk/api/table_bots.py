"""Routes: bots, and what can be asked and done about decisions."""

from __future__ import annotations

from services.desk.api.route import Route

ROUTES: tuple[Route, ...] = ()
