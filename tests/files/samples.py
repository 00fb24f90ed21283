"""Small synthetic files, by what they are."""

from __future__ import annotations

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
    + bytes(40)
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + bytes(40)
JPEG_EXIF = b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*" + bytes(40)
GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(20)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"
VCF = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada\r\nEND:VCARD\r\n"
OGG = b"OggS\x00\x02" + bytes(20) + b"\x01\x13OpusHead" + bytes(20)
OGV = b"OggS\x00\x02" + bytes(20) + b"\x01\x2a\x80theora" + bytes(20)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(20)
AAC = b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(30)
MP3 = b"\xff\xfb\x90\x64" + bytes(60)
MP3_ID3 = b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10) + MP3
MP3_COVER = b"ID3\x03\x00\x00\x00\x00\x7f\x7f" + bytes(40)
AAC_ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + AAC
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"
EXE = b"MZ\x90\x00\x03\x00\x00\x00" + bytes(120)
ELF = b"\x7fELF\x02\x01\x01" + bytes(60)
MACHO = b"\xcf\xfa\xed\xfe" + bytes(60)
SCRIPT = b"#!/bin/sh\nrm -rf /\n"
ZIP = b"PK\x03\x04\x14\x00" + bytes(40)
DOCX = b"PK\x03\x04\x14\x00\x06\x00\x08\x00" + bytes(16) + b"\x13\x00\x00\x00[Content_Types].xml"
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(20)
AMR = b"#!AMR\n" + bytes(20)


def iso(major: str, *compatible: str) -> bytes:
    """An ISO base media file that begins with its brands."""
    brands = b"".join(brand.encode() for brand in compatible)
    return (
        (16 + len(brands)).to_bytes(4, "big")
        + b"ftyp"
        + major.encode()
        + bytes(4)
        + brands
        + b"\x00\x00\x00\x08free"
    )


def matroska(kind: str) -> bytes:
    """An EBML header with a document type."""
    return (
        b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82"
        + bytes([0x80 | len(kind)])
        + kind.encode()
        + b"B\x87\x81\x04"
    )


MP4 = iso("isom", "isom", "mp42")
M4A = iso("M4A ", "isom", "mp42")
MOV = iso("qt  ", "qt  ")
GPP = iso("3gp5", "isom", "3gp5")
HEIC = iso("heic", "mif1", "heic")
WEBM = matroska("webm")
MKV = matroska("matroska")
