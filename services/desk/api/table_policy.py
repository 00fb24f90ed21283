"""Routes: what a workspace decides by: rules, teams, hours, people."""

from __future__ import annotations

from services.desk.api.route import Route

ROUTES: tuple[Route, ...] = ()
