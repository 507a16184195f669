"""What is secret in a text is taken out of it, in whatever way it is written down there.

Two layers. Secrets that are known (a password's file was read) are looked for as themselves and
percent-encoded, as JSON, YAML, HTML, base64 and hexadecimal write them, so also where nothing else
tells them. What only looks like a secret is found by its surroundings: `password=`, `token:`, a URL
with a user, an `Authorization` header, a private key. References such as `${file:NAME}` stay.
Pure. Read `service/support.py` next.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
#: A shorter one is taken out only where it stands alone: `a` is in every word.
SHORT = 4
_WORD = (
    r"(?:(?<![a-z])pass|passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|"
    r"private[_-]?key|auth[_-]?key|credential|signature|cookie)s?"
)
#: A name that says that a secret follows: mqtt_password, X-Api-Key, --token.
_NAME = re.compile(rf"(?i){_WORD}$")
_REFERENCE = r"\$\{(?:file|credential):"
#: A value in double quotes (escaped ones too, as in JSON within JSON), in single ones, or bare.
_VALUE = r"""(?:\\*"(?:[^"\\]|\\(?!")[^\n])*\\*"|'(?:[^'\n]|'')*'|[^\s"'&;,}\])]+)"""
_NO_SECRET = rf"""(?!\\*["']?(?:{_REFERENCE}|{re.escape(MASK)})|null\b)"""
_ASSIGNED = rf"""(?i)((?<!\$\{{){_WORD}\\*["']*\s*(?:[:=]|%3D|%3A)+\s*){_NO_SECRET}{_VALUE}"""
_FLAGGED = rf"""(?i)(--?{_WORD}["']?,?\s+){_NO_SECRET}{_VALUE}"""
_WITHIN_URL = r"""(?i)([a-z][a-z\d+.-]*%3A%2F%2F)(?:(?!%2F|%3F|%23)[^\s"'&])*?%40"""
_KEY_FILE = r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
#: What looks like a secret, and what stands there instead.
_PATTERNS = (
    (re.compile(_KEY_FILE, re.DOTALL), MASK),
    (re.compile(r"""(?i)([a-z][a-z\d+.-]*://)[^\s/?#"'<>]*@"""), rf"\1{MASK}@"),
    (re.compile(_WITHIN_URL), rf"\1{MASK}%40"),
    (re.compile(r"(?i)\b(bearer|basic|digest)\s+[\w+/.~=-]{6,}"), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[\w-]{6,}\.[\w-]+\.[\w-]*"), MASK),  # a JSON web token
    (re.compile(_ASSIGNED), rf"\1{MASK}"),
    (re.compile(_FLAGGED), rf"\1{MASK}"),
)


class Scrubber:
    """Takes known secrets and what looks like one out of texts and documents."""

    def __init__(self, known: Iterable[str]) -> None:
        forms = {form for secret in known if secret.strip() for form in written(secret)}
        long = sorted((form for form in forms if len(form) >= SHORT), key=len, reverse=True)
        short = sorted((form for form in forms if len(form) < SHORT), key=len, reverse=True)
        parts = [re.escape(form) for form in long]
        parts += [rf"(?<!\w){re.escape(form)}(?!\w)" for form in short]
        self._known = re.compile("|".join(parts), re.IGNORECASE) if parts else None

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text

    def document(self, value: Any) -> Any:
        """A JSON value, still one afterwards: keys and values, at any depth."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): MASK
                if is_secret_name(str(key)) and _says_something(inner)
                else self.document(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.document(inner) for inner in value]
        return value


def is_secret_name(name: str) -> bool:
    """Whether what bears this name is a secret: `password`, `MQTT_TOKEN`, `--api-key`."""
    return bool(_NAME.search(name))


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """Secrets that somebody wrote into plain values: by their names, and in URLs."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secrets_in(inner, str(key))
    elif isinstance(value, list | tuple):
        for before, inner in zip(("", *value), value, strict=False):
            follows = isinstance(before, str) and before.startswith("-")
            yield from secrets_in(inner, before if follows else name)
    elif value is not None and not isinstance(value, bool):
        text = str(value)
        if is_secret_name(name) and _says_something(text):
            yield text
        yield from _in_url(text)


def written(secret: str) -> set[str]:
    """The ways in which a secret may stand in a text."""
    import html  # with two thousand names of characters: only where there is a secret

    forms = {secret, secret.strip(), unquote(secret)}
    for plain in tuple(forms):
        forms |= {quote(plain, safe=""), quote_plus(plain), quote(plain)}
        forms |= {json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
        forms |= {repr(plain)[1:-1], html.escape(plain), plain.replace("'", "''")}
        raw = plain.encode("utf-8", "replace")
        forms |= {raw.hex(), *_base64(raw)}
    forms |= {quote(form, safe="") for form in tuple(forms)}  # a URL within a URL
    return {form for form in forms if form and form != MASK}


# --- below ---------------------------------------------------------------------------------------


def _base64(raw: bytes) -> Iterator[str]:
    """What does not depend on the bytes before and after it, at each of the three offsets."""
    for shift in range(3):
        padded = b"\0" * shift + raw
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(padded).decode().rstrip("=")
            first = -(-shift * 8 // 6)  # the first letter made of the secret alone
            last = len(padded) * 8 // 6
            inner = text[first:last]
            if len(inner) >= 2 * SHORT:
                yield inner


def _in_url(text: str) -> Iterator[str]:
    """Passwords in URLs: before the host, and in the query."""
    for user in re.findall(r"(?i)[a-z][a-z\d+.-]*://([^\s/?#\"'<>]*)@", text):
        _, colon, password = user.partition(":")
        yield from (password,) if colon and password and not _is_place(password) else ()
    for password in re.findall(rf"(?i)[?&;][\w-]*?{_WORD}=([^&;\s]+)", text):
        if not _is_place(password):
            yield password


def _is_place(text: str) -> bool:
    return text in ("{password}", "{username}", MASK)


def _says_something(value: Any) -> bool:
    """Neither empty nor a reference."""
    if isinstance(value, str):
        return bool(value.strip()) and not re.match(rf"{_REFERENCE}[^}}]*\}}$", value.strip())
    return isinstance(value, int | float) and not isinstance(value, bool)
