"""Updates: bytes and trust. What a signed repository offers this device, and files from it.

TUF (theupdateframework.io) over python-tuf; docs/decisions/0009-how-a-model-comes.md has the
documents, docs/ota.md the whole. Nothing here knows what a model means. Rules: what was not
verified has no name; what was refused changes nothing that was trusted; every wait has an end; tuf
is imported only by what talks to a repository, 140 ms on a desk's processor.

Read `offer.py` (the nouns), `repository.py` (the story), then `trust.py`, `line.py`, `download.py`.
"""
