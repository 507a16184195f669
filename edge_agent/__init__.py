"""edge-agent: the on-device inference runtime for embedded Linux.

Read in this order: `types` (the nouns), `ports` (the verbs of the outside world),
`pipeline.step` (the way of one frame), `service.agent` (the whole process).
"""

__version__ = "0.1.0"
