"""Where a repository of updates may be: an http(s) address, or a folder such as a mounted stick."""

from __future__ import annotations

from urllib.parse import urlsplit

ADDRESS = "https://HOST/PATH, http://HOST/PATH, or a folder"


def is_folder(text: str) -> bool:
    return "://" not in text


def address_fault(text: str) -> str | None:
    """What is wrong with an http(s) address; of a folder only the disk knows."""
    if is_folder(text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # looked at only when it is asked for
    except ValueError as fault:
        return f"the address cannot be read ({fault}), allowed: {ADDRESS}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"this is no address of a repository, allowed: {ADDRESS}"
    if parts.username is not None or parts.password is not None:
        return f"a login stands in the address, which anybody may read here; allowed: {ADDRESS}"
    if parts.query or parts.fragment:
        return f"the address has a ? or # in it, allowed: {ADDRESS}"
    return None
