"""`python -m services.notifier`."""

import sys

from libs.common.config import NotifierSettings
from libs.common.lifecycle import main
from services.notifier.app import serve

sys.exit(main("notifier", NotifierSettings, serve))
