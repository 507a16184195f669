"""Sources of frames, one file a kind: `video`, `images`, `camera`, `scene`, and `signal`.

All implement `ports.Source`. What delivers samples, `signal_<kind>` and the built-in `machine`,
implements `signal.Samples`; `recordings` opens a file for one model. Read `video.py` next.
"""
