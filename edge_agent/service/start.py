"""Which configuration is run, and with what in the place of what: at a start, and at a reload.

A start that follows a series of ends leaves out what ended the agent (`standin.py`); a reload,
which a person asks for, tries everything anew. Read `marker.py` first: how a start learns of the
one before it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edge_agent.bundles.slots import MODELS, POLICIES
from edge_agent.config.effective import NOTHING, Overlay
from edge_agent.config.layers import Overridden
from edge_agent.config.load import refusal
from edge_agent.config.schema import Config
from edge_agent.errors import EdgeError, UsageError
from edge_agent.policy.ota import Step
from edge_agent.service.check import check
from edge_agent.service.known import keep
from edge_agent.service.marker import Marker
from edge_agent.service.overlay import overlay, policies_document
from edge_agent.service.resume import begin, begin_policies, resume, resume_policies
from edge_agent.service.standin import Notice, StoodIn, config_notice, stand_in
from edge_agent.store.db import hold

log = logging.getLogger("edge_agent.start")


class Start:
    """The file of a configuration and the state directory; `beside` is where its names lie."""

    def __init__(self, path: Path, state: Path) -> None:
        self._path = path
        self._state = state
        self._sha = ""
        self.beside = path.absolute().parent
        self.marker = Marker(state)
        self.resumed: tuple[Step, ...] = ()  # what was done with models and policies, not yet told
        self.overlay, self.overridden = NOTHING, tuple[Overridden, ...]()  # of what was read last
        self._left_out: tuple[Notice, ...] = ()

    def resume(self) -> None:
        """Before anything is read: a model that had not proved itself when the agent died goes.
        Where another agent is at work on that directory, nothing is touched."""
        if not any((self._state / shelf.folder).is_dir() for shelf in (MODELS, POLICIES)):
            return
        try:
            held = hold(self._state)
        except EdgeError:
            return
        try:
            end = self.marker.last_end()
            self.resumed = resume(self._state, end) + resume_policies(self._state, end)
        finally:
            os.close(held)

    def read(self) -> Config:
        """The file, joined with its models. Raises UsageError with the first mistake."""
        self._sha = hashlib.sha256(self._path.read_bytes()).hexdigest()
        report = check(self._path, self._state)
        if report.config is None:
            raise refusal(self._path, report.mistakes)
        self.overlay, self.overridden = report.overlay, report.overridden
        return report.config

    def first(self) -> Config:
        """The same for a start, which has nothing to go on with: where it is the policies that do
        not fit any more (somebody changed the file), it watches without them, and says so."""
        try:
            return self.read()
        except UsageError:
            over = overlay(self._path, self._state)
            report = check(self._path, self._state, over=replace(over, policies=(), mistakes=()))
            if report.config is None or not over.policies:
                raise
            whole = check(self._path, self._state, over=over)
            self._left_out = (_left_out(over, str(whole.mistakes[0])),)
            self.overlay, self.overridden = report.overlay, report.overridden
            return report.config

    def begin(self, config: Config) -> StoodIn:
        """The state directory is held: what is run of `config`, which was just read."""
        marker = self.marker
        marker.begin(self._sha)
        notices = self._left_out
        blamed = [each for each in marker.asides if each.blame.what == self._sha]
        if blamed and (good := self._good()) is not None:
            config, notices = good, (*notices, config_notice(self._path, blamed[0].since))
        stood = stand_in(config, self._state, self.beside, marker)
        stood = StoodIn(stood.config, (*notices, *stood.notices))
        begin(self._state, frozenset(each.model for each in stood.config.pipelines.values()))
        begin_policies(self._state)
        for notice in stood.notices:
            log.error("%s code=%s next=%r", notice.message, notice.code, notice.next)
        return stood

    @contextmanager
    def anew(self) -> Iterator[Config]:
        """A reload: the file is read, and whatever was blamed gets another chance.

        What fails inside leaves everything as it was. Raises as `read`.
        """
        asides, sha, beside = self.marker.asides, self._sha, self.beside
        over, overridden = self.overlay, self.overridden
        try:
            config = self.read()
            self.marker.asides, self.beside = (), self._path.absolute().parent
            yield config
        except BaseException:
            self.marker.asides, self._sha, self.beside = asides, sha, beside
            self.overlay, self.overridden = over, overridden
            raise
        finally:
            self.marker.running(self._sha)
        keep(self._state)

    @property
    def blamed(self) -> str:
        """Why a reload should wait for a person; "" where it need not."""
        return "a part of this device is set aside until a reload" if self.marker.asides else ""

    def told(self) -> dict[str, Any]:
        """What lies over the file, for `status/1`."""
        return {
            "policies": policies_document(self.overlay),
            "overridden": [asdict(each) for each in self.overridden],
        }

    def running(self) -> None:
        """Everything is at work."""
        self.marker.running(self._sha)
        keep(self._state)

    def look(self) -> None:
        """From time to time: has it held for long enough?"""
        self.marker.look(time.monotonic(), self._path)

    def _good(self) -> Config | None:
        """The configuration that held before; None where there is none, or it does not fit now."""
        if self.marker.good_config is None:
            return None
        copy, beside = self.marker.good_config
        over = overlay(self._path, self._state)
        report = check(copy, self._state, beside=beside, over=over)
        if report.config is None:
            log.error(
                "the last good configuration does not fit mistake=%r", str(report.mistakes[0])
            )
            return None
        self.beside = beside
        self.overlay, self.overridden = report.overlay, report.overridden
        return report.config


def _left_out(over: Overlay, mistake: str) -> Notice:
    names = ", ".join(file.parent.parent.name for file in over.policies)
    return Notice(
        "policy_left_out",
        f"it watches without its policies ({names}): {mistake}",
        "correct the configuration, then: edge-agent reload",
        time.time(),
    )
