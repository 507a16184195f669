"""The operator's desk: receives what devices send, and proves that nothing is missing.

It knows devices only by the contract (docs/mqtt.md, docs/fleet.md) and may use the pure parts of
`edge_agent`; `edge_agent` never imports it. Read `message.py`, `archive.py`, `completeness.py`.
"""
