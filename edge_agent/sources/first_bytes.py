"""What a file really is, whatever its name says: by its first bytes, in words for a person.

Pure. It is for the one sentence that helps: a picture for a model of signals, a text that a
spreadsheet saved as UTF-16. Read `recordings.py` and `signal_csv.py` next.
"""

from __future__ import annotations

#: So many bytes tell it.
TELLING = 4096
#: Of text in UTF-16 without a mark at least this part of every other byte is nought.
_WIDE = 0.7

_PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")
_OTHERS = {
    b"\x93NUMPY": "a NumPy file, name it .npy",
    b"PK\x03\x04": "a zip or a spreadsheet, save it as CSV in UTF-8",
    b"\x1f\x8b": "packed by gzip, unpack it first",
    b"SQLite format 3\0": "a database",
}


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is one."""
    bitmap = head[:2] == b"BM" and head[6:10] == bytes(4)
    return bitmap or head.startswith(_PICTURES) or (_riff(head) == b"WEBP")


def not_text(head: bytes) -> str:
    """Why a file that begins so holds no lines of numbers, as a sentence about `it`; "" where it
    may."""
    if is_picture(head):
        return "it is a picture, not lines of numbers"
    if _riff(head) == b"WAVE":
        return "it is a WAV file, name it .wav"
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            return f"it is {what}"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or _is_wide(head):
        return "it is UTF-16, save it as UTF-8"
    return "it is binary, not lines of numbers" if b"\0" in head else ""


def _riff(head: bytes) -> bytes:
    return head[8:12] if head.startswith(b"RIFF") else b""


def _is_wide(head: bytes) -> bool:
    half = len(head) // 2
    return half > 0 and any(head[odd::2].count(0) >= _WIDE * half for odd in (0, 1))
