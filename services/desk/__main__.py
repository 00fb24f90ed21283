"""`python -m services.desk`."""

import sys

from libs.common.config import DeskSettings
from libs.common.lifecycle import main
from services.desk.app import serve

sys.exit(main("desk", DeskSettings, serve))
