"""What people may send (B06), by name and content; and what a visitor's file is taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import FileRefusedError
from libs.common.files.api import ALLOWED
from libs.common.files.check import UNKNOWN, allowed, is_active, runs_by_name, sniff
from tests.files import samples as s

ACCEPTED = {
    "mp3": (s.MP3, "audio", "audio/mpeg"),
    "png": (s.PNG, "image", "image/png"),
    "jpg": (s.JPEG, "image", "image/jpeg"),
    "jpeg": (s.JPEG_EXIF, "image", "image/jpeg"),
    "gif": (s.GIF, "image", "image/gif"),
    "mp4": (s.MP4, "video", "video/mp4"),
    "m4a": (s.M4A, "audio", "audio/mp4"),
    "webm": (s.WEBM, "video", "video/webm"),
    "pdf": (s.PDF, "file", "application/pdf"),
    "vcf": (s.VCF, "file", "text/vcard"),
    "ogg": (s.OGG, "audio", "audio/ogg"),
    "3gpp": (s.GPP, "video", "video/3gpp"),
    "wav": (s.WAV, "audio", "audio/wav"),
    "mov": (s.MOV, "video", "video/quicktime"),
    "aac": (s.AAC, "audio", "audio/aac"),
    "acc": (s.AAC, "audio", "audio/aac"),
}
ALSO_ACCEPTED = {
    "an MP3 behind ID3 tags": ("x.mp3", s.MP3_ID3),
    "an MP3 whose tags with a picture are longer than what is looked at": ("x.mp3", s.MP3_COVER),
    "AAC behind ID3 tags": ("x.aac", s.AAC_ID3),
    "sound in an MP4 without a brand for sound": ("x.m4a", s.iso("mp42", "isom")),
    "a phone's film that only says among others that it is one": (
        "x.3gpp",
        s.iso("isom", "isom", "3gp4"),
    ),
    "an old QuickTime film without brands": ("x.mov", b"\x00\x00\x00\x20moov" + bytes(30)),
    "a capital extension": ("PHOTO.PNG", s.PNG),
    "a card in small letters with a byte order mark": ("x.vcf", b"\xef\xbb\xbfbegin:vcard\n"),
}
REFUSED = {
    "a program": ("x.exe", s.EXE, "type_not_allowed", 415),
    "a program called a picture": ("x.png", s.EXE, "type_mismatch", 415),
    "a page called a picture": ("x.png", s.HTML, "type_mismatch", 415),
    "a page behind blanks": ("x.png", b"\n\n  <html><body>", "type_mismatch", 415),
    "a page in UTF-16": ("x.vcf", "<html>".encode("utf-16"), "type_mismatch", 415),
    "a picture called a picture of another kind": ("x.png", s.JPEG, "type_mismatch", 415),
    "Matroska called WebM": ("x.webm", s.MKV, "type_mismatch", 415),
    "a film called a sound": ("x.mp3", s.MP4, "type_mismatch", 415),
    "QuickTime called MP4": ("x.mp4", s.MOV, "type_mismatch", 415),
    "a photo in the same container as films": ("x.mp4", s.HEIC, "type_mismatch", 415),
    "an Ogg film called a sound": ("x.ogg", s.OGV, "type_mismatch", 415),
    "a WebP called WAV": ("x.wav", s.WEBP, "type_mismatch", 415),
    "a frame with an impossible rate": (
        "x.mp3",
        b"\xff\xfb\xf0\x00" + bytes(60),
        "type_mismatch",
        415,
    ),
    "a text that mentions a card": ("x.vcf", b"see BEGIN:VCARD", "type_mismatch", 415),
    "an empty file": ("x.png", b"", "type_mismatch", 415),
    "a drawing that can hold scripts": ("x.svg", s.SVG, "type_not_allowed", 415),
    "no extension": ("png", s.PNG, "type_not_allowed", 415),
    "an extension behind an allowed one": ("x.png.exe", s.PNG, "type_not_allowed", 415),
    "an archive": ("x.zip", s.ZIP, "type_not_allowed", 415),
}


def test_the_list_is_the_one_of_the_product() -> None:
    assert set(ACCEPTED) == set(ALLOWED)


@pytest.mark.parametrize(
    ("extension", "content", "kind", "mime_type"),
    [(name, *case) for name, case in ACCEPTED.items()],
    ids=ACCEPTED,
)
def test_b06_each_listed_type_is_accepted(
    extension: str, content: bytes, kind: str, mime_type: str
) -> None:
    assert allowed(f"x.{extension}", content, len(content)) == (kind, mime_type)


@pytest.mark.parametrize("extension", ACCEPTED)
def test_b06_nothing_else_passes_under_a_listed_name(extension: str) -> None:
    mine = ACCEPTED[extension][2]
    others = {case[2]: case[0] for case in ACCEPTED.values() if case[2] != mine}
    if mine == "audio/mp4":  # an MP4 does not tell whether there is a film in it
        del others["video/mp4"]
    for content in others.values():
        with pytest.raises(FileRefusedError):
            allowed(f"x.{extension}", content, len(content))


@pytest.mark.parametrize(("name", "content"), ALSO_ACCEPTED.values(), ids=ALSO_ACCEPTED)
def test_b06_also_accepted(name: str, content: bytes) -> None:
    assert allowed(name, content, len(content))


@pytest.mark.parametrize(("name", "content", "code", "status"), REFUSED.values(), ids=REFUSED)
def test_b06_refused(name: str, content: bytes, code: str, status: int) -> None:
    with pytest.raises(FileRefusedError) as caught:
        allowed(name, content, len(content))
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.detail


def test_b06_too_large_says_how_much_is_allowed() -> None:
    with pytest.raises(FileRefusedError) as caught:
        allowed("x.png", s.PNG, 3 * 1024 * 1024, limit=2 * 1024 * 1024)
    assert (caught.value.code, caught.value.status) == ("too_large", 413)
    assert "3 MB" in caught.value.detail
    assert "2 MB" in caught.value.detail
    assert caught.value.facts == {"limit_bytes": "2097152"}
    assert allowed("x.png", s.PNG, 2 * 1024 * 1024, limit=2 * 1024 * 1024)


SNIFFED = {
    "a picture": (s.PNG, "image/png"),
    "a photo": (s.JPEG, "image/jpeg"),
    "a WebP sticker": (s.WEBP, "image/webp"),
    "an iPhone's photo": (s.HEIC, "image/heic"),
    "a voice message of WeChat": (s.AMR, "audio/amr"),
    "a Matroska film": (s.MKV, "video/x-matroska"),
    "an archive": (s.ZIP, "application/zip"),
    "a document": (
        s.DOCX,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    "a note": ("Grüße, und".encode()[:-1], "text/plain"),
    "a note whose last character is cut": ("Grüß".encode()[:-1], "text/plain"),
    "JSON": (b'{"a": 1}', "text/plain"),
    "plain XML": (b"<?xml version='1.0'?><order/>", "text/plain"),
    "nothing": (b"", UNKNOWN),
    "noise": (bytes(range(256)), UNKNOWN),
}
ACTIVE = {
    "a page": s.HTML,
    "a page with a comment first": b"<!-- x --><script>",
    "a page behind a byte order mark": b"\xef\xbb\xbf<HTML>",
    "a page in UTF-16": "<script>".encode("utf-16"),
    "a drawing": s.SVG,
    "a drawing without a declaration": b"<svg onload=alert(1)>",
    "XHTML": b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>",
    "a style sheet that transforms": b"<?xml version='1.0'?><?xml-stylesheet href='x'?>",
    "a Windows program": s.EXE,
    "a Linux program": s.ELF,
    "a Mac program": s.MACHO,
    "a Java class": b"\xca\xfe\xba\xbe\x00\x00\x00\x34",
    "a script": s.SCRIPT,
    "a batch file": b"@echo off\r\ndel *",
    "PHP": b"<?php system('x');",
}


@pytest.mark.parametrize(("content", "mime_type"), SNIFFED.values(), ids=SNIFFED)
def test_visitors_files_are_told_by_content(content: bytes, mime_type: str) -> None:
    assert sniff(content) == mime_type
    assert not is_active(content)


@pytest.mark.parametrize("content", ACTIVE.values(), ids=ACTIVE)
def test_active_content_is_recognised(content: bytes) -> None:
    assert is_active(content)
    assert sniff(content) == UNKNOWN


@pytest.mark.parametrize("name", ["x.exe", "a.b.JS", "x.bat.", "x.hta ", "x.lnk"])
def test_names_that_a_desktop_runs(name: str) -> None:
    assert runs_by_name(name)


@pytest.mark.parametrize("name", ["", "exe", "x.png", "x.exe.pdf", "x.docx", "x.csv"])
def test_names_that_it_shows(name: str) -> None:
    assert not runs_by_name(name)


@given(st.binary(max_size=5000))
def test_any_bytes_have_an_answer(content: bytes) -> None:
    assert "/" in sniff(content)
    for extension in ALLOWED:
        try:
            allowed(f"x.{extension}", content, len(content))
        except FileRefusedError as error:
            assert error.code == "type_mismatch"  # noqa: PT017 (either outcome is right)


@given(st.sampled_from([s.MP4, s.WEBM, s.OGG, s.WAV, s.MP3_ID3, s.PDF]), st.integers(0, 60))
def test_cut_containers_have_an_answer(content: bytes, length: int) -> None:
    assert "/" in sniff(content[:length])
