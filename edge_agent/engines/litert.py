"""LiteRT (package ai-edge-litert): the engine that every supported Python has."""

from __future__ import annotations

from ai_edge_litert.interpreter import Interpreter, load_delegate

from edge_agent.engines.interpreter import Runtime

RUNTIME = Runtime("litert", Interpreter, load_delegate)
