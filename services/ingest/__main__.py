"""`python -m services.ingest`."""

from __future__ import annotations

import sys

from libs.common.config import IngestSettings
from libs.common.lifecycle import main
from services.ingest.app import serve

if __name__ == "__main__":
    sys.exit(main("ingest", IngestSettings, serve))
