"""Model bundles: what they are, where they lie, whether they can be trusted.

Read `manifest.py` next, then `bundle.py` and `find.py`.
"""
