"""Files on their way to Meta, over real connections to a stand-in of the provider."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from libs.common.channel import Account, Outbound, OutgoingFile, Sent
from libs.common.channels import CHANNELS
from libs.common.errors import RejectedError
from libs.common.events import MediaPart, Thread
from libs.common.files.api import ALLOWED
from libs.common.files.folder import FolderFiles
from libs.common.http import allowed_base, open_door
from libs.common.simulate.samples import EXTENSIONS, behind, sample
from libs.common.simulate.stub import Item, Stub
from services.notifier.deliver import Transcript, drive
from tests.channels.conformance import SUBJECTS

FILE = "att_sample"
TYPES = [extension for extension in ALLOWED if extension in EXTENSIONS]
SENDS = [
    (name, extension) for name in ("messenger", "instagram", "fb_comment") for extension in TYPES
]
LEFT_OUT = {
    "instagram": {"mp3", "ogg", "3gpp", "vcf"},
    "fb_comment": set(TYPES) - {"png", "jpg", "jpeg", "gif"},
}


def outbound(extension: str, link: str) -> Outbound:
    kind, mime_type = ALLOWED[extension]
    made = sample(extension)
    file = OutgoingFile(
        id=FILE, name=made.name, mime_type=mime_type, size_bytes=len(made.content), link=link
    )
    return Outbound(
        message_id="msg_1",
        recipient="V-1",
        parts=(MediaPart(kind=kind, attachment=FILE),),
        files={FILE: file},
        thread=Thread(post="1001_55", comment="55_900"),
    )


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def deliver(account: Account, message: Outbound, files: FolderFiles) -> Sent:
    """Send through the one door, as the notifier does."""
    async with open_door(files=files) as door:
        perform = partial(
            door.perform,
            timeout_s=10,
            allow=allowed_base(account.api_base),
            workspace=account.workspace,
        )
        send = CHANNELS[account.channel].send
        return await drive(send(account, message), perform, Transcript())


def shown(stub: Stub, account: Account) -> Item:
    """Return the one message that the visitor sees."""
    (found,) = [item for item in stub.sent(account.slug) if item.what == "message"]
    return found


@pytest.mark.parametrize(("name", "extension"), SENDS)
async def test_d22_each_allowed_type_arrives_as_it_was_or_is_refused(
    provider_stub: Stub, tmp_path: Path, name: str, extension: str
) -> None:
    subject = SUBJECTS[name]
    base = provider_stub.base(subject.account.slug)
    account = msgspec.structs.replace(subject.account, api_base=base)
    files = FolderFiles(tmp_path)
    content = sample(extension).content
    await files.put(account.workspace, FILE, chunks(content))
    link = f"{base}/cdn/{extension}"  # what Meta would fetch from us
    message = outbound(extension, link)
    if extension in LEFT_OUT.get(name, set()):
        with pytest.raises(RejectedError):
            await deliver(account, message, files)
        assert provider_stub.sent(account.slug) == []
        return
    sent = await deliver(account, message, files)
    item = shown(provider_stub, account)
    (seen,) = item.files
    expected = behind(extension).content if subject.channel.needs_link else content
    assert (seen.sha256, seen.size_bytes) == (hashlib.sha256(expected).hexdigest(), len(expected))
    assert len(sent.provider_ids) == 1
