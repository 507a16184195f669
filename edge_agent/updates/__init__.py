"""Updates: bytes and trust. What a signed repository offers this device, and files from it.

TUF (theupdateframework.io) over python-tuf; docs/decisions/0009-how-a-model-comes.md has the
documents, docs/ota.md the whole. Nothing here knows what a model means. Rules: what was not
verified has no name; what was refused changes nothing that was trusted; every wait has an end; tuf
is imported only by what talks to a repository, 140 ms on a desk's processor.

Who runs for long calls `errand.check` and `errand.fetch`, which do their work in a short-lived
process; when, says `policy/checking.py`; whether a model may take charge now, `window.is_open`;
what the last check came to, `checked.last_check`. Who is called once may use `opening.py` itself.

Read `offer.py` (the nouns), `repository.py` (the story), then `trust.py`, `line.py`, `download.py`.
"""
