"""Sources of frames, one file a kind: `video`, `images`, `scene`.

All implement `ports.Source`. Read `video.py` next.
"""
