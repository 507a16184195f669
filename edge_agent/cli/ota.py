"""`edge-agent ota`: what a signed repository offers this device, and how the last check went."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.options import (
    config_option,
    default_state,
    existing_config,
    json_option,
    state_option,
    to_type,
)
from edge_agent.errors import NotRunning, UsageError
from edge_agent.frozen import frozen

if TYPE_CHECKING:
    from edge_agent.config.effective import Effective
    from edge_agent.config.schema import Config, Ota
    from edge_agent.service.moments import Zone
    from edge_agent.updates.checked import Checked
    from edge_agent.updates.offer import Offer, Order

DAY_S = 86_400


@frozen
class Here:
    """This device, as its configuration says."""

    config: Config
    device: str
    state: Path
    path: Path

    @property
    def over(self) -> Effective:
        """What lies over the configuration here."""
        from edge_agent.config.effective import read_effective
        from edge_agent.service.overlay import overlay

        return read_effective(self.path, overlay(self.path, self.state))

    @property
    def tags(self) -> Mapping[str, str]:
        return self.config.device.tags

    @property
    def zone(self) -> Zone:
        from edge_agent.service.moments import zone_of

        return zone_of(self.config.device.timezone)


@click.group()
def command() -> None:
    """Model and policy updates from a signed repository."""


@command.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@config_option
@state_option
@json_option
def check(folder: Path | None, config: Path | None, state: Path | None, as_json: bool) -> None:
    """What the repository offers this device now; FOLDER: the one on that stick.

    Looks and verifies, and changes nothing that runs.
    """
    from edge_agent.host.clock import TimeServer
    from edge_agent.policy.documents import dump
    from edge_agent.updates.built import built
    from edge_agent.updates.opening import check as look
    from edge_agent.updates.source import Now, Source, source_of

    here = _here(config, state)
    address = None if folder is None else str(folder.absolute())
    if here.config.ota is not None:
        source = source_of(here.config.ota, here.state, built(), address)
    elif address is not None:
        source = Source(address, str(here.state), built=built())
    else:
        raise UsageError(
            "no repository is configured", "add ota: {repository: ...}, or name a folder"
        )
    now = Now(time.time(), TimeServer()())
    offer = look(source, now)
    if as_json:
        click.echo(dump(_check_document(here, source.address, now.wall, offer)))
    else:
        _say_offer(here, source.address, offer)


@command.command()
@config_option
@state_option
@json_option
def status(config: Path | None, state: Path | None, as_json: bool) -> None:
    """How the last check went, what it found, and what is allowed when."""
    from edge_agent.policy.documents import dump
    from edge_agent.updates.checked import last_check

    here = _here(config, state)
    checked = last_check(here.state)
    if as_json:
        click.echo(dump(_status_document(here, checked, time.time())))
    else:
        _say_status(here, checked, time.time())


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@config_option
@state_option
@json_option
def install(folder: Path, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Carry out what the repository on a stick (FOLDER) orders this device.

    As a rollout over the network does, but at once, whatever the apply window says: the signatures,
    the bundle, its golden set and the pinned cases are tried first. Where the agent runs it swaps
    between two frames, on probation; else at its next start.
    """
    from edge_agent.policy.documents import dump
    from edge_agent.service.control import ask

    here = _here(config, state)
    place = folder.absolute()
    try:
        done = ask(here.state, "ota-install", path=str(place))
    except NotRunning:
        from edge_agent.service.ota_install import install as carry_out

        done = carry_out(here.config, existing_config(config), here.device, here.state, place)
    if as_json:
        click.echo(dump({"schema": "ota-installed/1", **done}))
        return
    click.echo("\n".join(done["done"]) or f"nothing in {folder} is ordered for {here.device}")


# --- below: this device ---------------------------------------------------------------------------


def _here(config: Path | None, state: Path | None) -> Here:
    from edge_agent.config.explain import resolve_id
    from edge_agent.config.load import load
    from edge_agent.host.board import read_board

    board = read_board()
    path = existing_config(config)
    loaded = load(path)
    stated = loaded.store.path
    folder = state or (Path(stated) if stated else default_state())
    device = resolve_id(loaded.device.id, board.hostname, board.serial or "")
    return Here(loaded, device, folder, path)


def _spent_mb(state: Path, now: float) -> float:
    from datetime import UTC, datetime

    from edge_agent.updates.budget import MB, spent_on
    from edge_agent.updates.source import ota_folder

    day = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
    return spent_on(ota_folder(state) / "spent.json", day) / MB


def _window_open(ota: Ota, now: float, zone: Zone) -> bool:
    from edge_agent.updates.window import is_open

    return is_open(ota.window, now, zone.tz)


# --- documents ------------------------------------------------------------------------------------


def _check_document(here: Here, address: str, at: float, offer: Offer) -> dict[str, Any]:
    from edge_agent.policy.documents import rfc3339

    return {
        "schema": "ota-check/1",
        "at": rfc3339(at),
        "repository": address,
        "device": here.device,
        **_offered(here, offer),
        "damaged": list(offer.damaged),
    }


def _offered(here: Here, offer: Offer | None) -> dict[str, Any]:
    from edge_agent.policy.documents import rfc3339

    if offer is None:
        return {"orders": [], "versions": {}, "expires": {}}
    return {
        "orders": [_order_document(here, order) for order in offer.orders],
        "versions": dict(offer.versions),
        "expires": {role: rfc3339(at) for role, at in offer.expires.items()},
    }


def _order_document(here: Here, order: Order) -> dict[str, Any]:
    from edge_agent.updates.offer import target_document

    rollout = order.rollout
    document: dict[str, Any] = {"path": order.path, "rollout": None, "fault": order.fault or None}
    document["target"] = None if order.target is None else target_document(order.target)
    if rollout is None:
        return {**document, "member": False, "mode": None}
    mode = rollout.mode_for(here.device, here.tags)
    document["rollout"] = {
        "id": rollout.id,
        "serial": rollout.serial,
        "state": rollout.state.value,
        "kind": rollout.kind.value,
        "name": rollout.name,
        "version": rollout.version,
        "sha256": rollout.sha256,
        "stage": rollout.stages[rollout.stage].name,
    }
    return {**document, "member": mode is not None, "mode": None if mode is None else mode.value}


def _views(here: Here) -> dict[str, Any]:
    """What is so of each model and policy: from the running agent, else from the slots."""
    from edge_agent.service.control import ask
    from edge_agent.service.outlook import documents, stored_views

    try:
        found: dict[str, Any] = ask(here.state, "status")["ota"]
    except NotRunning:
        found = documents(stored_views(here.state))
    return {kind: found[kind] for kind in ("models", "policies")}


def _status_document(here: Here, checked: Checked | None, now: float) -> dict[str, Any]:
    from edge_agent.policy.documents import rfc3339
    from edge_agent.service.verdicts import shadow_of

    ota, views = here.config.ota, _views(here)
    failure = None if checked is None else checked.failure
    return {
        "schema": "ota-status/1",
        "repository": None if ota is None else ota.repository,
        "device": here.device,
        "hold": ota is not None and ota.hold,
        "window": None if ota is None else ota.window,
        "window_open": ota is None or _window_open(ota, now, here.zone),
        "check_every_s": None if ota is None else ota.check_every_s,
        "spent_mb": round(_spent_mb(here.state, now), 3),
        "max_mb_per_day": None if ota is None else ota.max_mb_per_day,
        "checked": None if checked is None else rfc3339(checked.at),
        "good": None if checked is None or checked.good is None else rfc3339(checked.good),
        "failure": None
        if failure is None
        else {"code": failure.code, "message": failure.message, "next": failure.next or None},
        **_offered(here, None if checked is None else checked.offer),
        "overridden": [asdict(each) for each in here.over.overridden],
        **views,
        "shadows": {name: shadow_of(here.state, name) for name in views["models"]},
    }


# --- text -----------------------------------------------------------------------------------------


def _say_offer(here: Here, address: str, offer: Offer) -> None:
    from edge_agent.cli.render import say, wrapped

    for line in wrapped("repository  ", f"{address}, every signature is good"):
        say(line)
    if offer.damaged:
        text = f"set aside and fetched anew: {', '.join(offer.damaged)}"
        for line in wrapped("damaged     ", text):
            say(line)
    _say_expiries(offer, time.time(), here.zone)
    _say_orders(here, offer.orders)


def _say_expiries(offer: Offer, now: float, zone: Zone) -> None:
    """The first to expire: before that somebody must have signed it anew."""
    from edge_agent.cli.render import say
    from edge_agent.service.moments import local

    if offer.expires:
        role, at = min(offer.expires.items(), key=lambda pair: pair[1])
        say(f"good until  {local(at, zone)} ({role}), {(at - now) / DAY_S:.1f} days from now")


def _say_orders(here: Here, orders: Iterable[Order]) -> None:
    from edge_agent.cli.render import say, table, wrapped

    orders = tuple(orders)
    say()
    if not orders:
        say(f"no rollout is there for anybody; this device is {here.device}")
        return
    rows = [_row(here, order) for order in orders]
    table(("rollout", "what", "stage", "state", f"for {here.device}"), rows, fold="what")
    for order in orders:
        if order.fault:
            say()
            for line in wrapped(f"{order.path}: ", order.fault):
                say(line)


def _row(here: Here, order: Order) -> tuple[str, str, str, str, str]:
    rollout = order.rollout
    if rollout is None:
        return (order.path.rpartition("/")[2], "", "", "", "not understood")
    mode = rollout.mode_for(here.device, here.tags)
    stage = f"{rollout.stages[rollout.stage].name} ({rollout.stage + 1} of {len(rollout.stages)})"
    what = f"{rollout.kind} {rollout.name} {rollout.version}"
    return (rollout.id, what, stage, rollout.state, "no member" if mode is None else mode)


def _say_status(here: Here, checked: Checked | None, now: float) -> None:
    from edge_agent.cli.render import say, wrapped
    from edge_agent.service.moments import local

    ota = here.config.ota
    for head, text in (*_settings(here, now), *_laid_over(here)):
        for line in wrapped(f"{head:12}", text):
            say(line)
    _say_views(here)
    if checked is None:
        say(f"checked     never; next: {to_type('ota check')}" if ota else "checked     never")
        return
    good = "" if checked.failure is None else f"; last good {_ago(checked.good, now)}"
    say(f"checked     {local(checked.at, here.zone)}, {_ago(checked.at, now)}{good}")
    if checked.failure is not None:
        for line in wrapped("failed      ", checked.failure.message):
            say(line)
        for line in wrapped("next        ", checked.failure.next) if checked.failure.next else ():
            say(line)
    if checked.offer is not None:
        _say_expiries(checked.offer, now, here.zone)
        _say_orders(here, checked.offer.orders)


def _laid_over(here: Here) -> Iterable[tuple[str, str]]:
    """The policies in charge, and what was set by hand over them."""
    from edge_agent.cli.status import overridden_words
    from edge_agent.service.overlay import policies_document

    over = here.over
    for policy in policies_document(over.overlay):
        yield "policy", f"{policy['name']} {policy['version']}"
    for each in over.overridden:
        yield "by hand", overridden_words(asdict(each))


def _say_views(here: Here) -> None:
    """Of each model and policy that is more than in charge: what is so, and how a shadow went."""
    from edge_agent.cli.render import say, wrapped
    from edge_agent.cli.shadow_report import sentences
    from edge_agent.service.outlook import lines as told
    from edge_agent.service.verdicts import shadow_of

    views = _views(here)
    for name, model in views["models"].items():
        for sentence in told(name, model):
            for line in wrapped("model       ", sentence):
                say(line)
        for sentence in sentences(report) if (report := shadow_of(here.state, name)) else ():
            for line in wrapped("in shadow   ", sentence):
                say(line)
    for name, policy in views["policies"].items():
        for sentence in told(name, policy):
            for line in wrapped("policy      ", sentence):
                say(line)


def _settings(here: Here, now: float) -> Iterable[tuple[str, str]]:
    ota = here.config.ota
    if ota is None:
        yield "repository", "none is configured (ota.repository)"
        return
    yield "repository", ota.repository
    if ota.hold:
        yield "held", "nothing takes charge by itself (ota.hold)"
    state = "open" if _window_open(ota, now, here.zone) else "closed"
    yield "window", f"{ota.window or 'at any time'}, {state} now"
    limit = "no limit" if ota.max_mb_per_day is None else f"of {ota.max_mb_per_day:g} MB"
    yield "today", f"{_spent_mb(here.state, now):.2f} MB {limit} (by UTC)"


def _ago(at: float | None, now: float) -> str:
    from edge_agent.service.moments import duration

    if at is None:
        return "never"
    return f"{duration(now - at)} ago" if now >= at else "in the future by this clock"
