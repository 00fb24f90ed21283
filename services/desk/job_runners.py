"""Which function does which kind of job."""

from __future__ import annotations

from collections.abc import Mapping

from libs.common.jobs import JobKind
from services.desk import contact_export, contact_import, erasing, standard_import
from services.desk.jobs import Runner

RUNNERS: Mapping[JobKind, Runner] = {
    "contacts.import": contact_import.run,
    "contacts.export": contact_export.run,
    "standard_messages.import": standard_import.run,
    "contact.erase": erasing.run,
}
