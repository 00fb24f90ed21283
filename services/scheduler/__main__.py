"""`python -m services.scheduler`."""

import sys

from libs.common.config import SchedulerSettings
from libs.common.lifecycle import main
from services.scheduler.app import serve

sys.exit(main("scheduler", SchedulerSettings, serve))
