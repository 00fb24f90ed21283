"""`python -m services.router`."""

from __future__ import annotations

import sys

from libs.common.config import RouterSettings
from libs.common.lifecycle import main
from services.router.app import serve

if __name__ == "__main__":
    sys.exit(main("router", RouterSettings, serve))
