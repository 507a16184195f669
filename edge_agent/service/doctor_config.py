"""The configuration, and what it names: do the models run, do the sources deliver?

While the agent runs it is asked about its sources: a camera may have one reader only, and a
technician's question must not cost a picture.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic
from typing import Any

from edge_agent.bundles.find import find
from edge_agent.config.explain import pipeline_spec
from edge_agent.engines.choice import choose
from edge_agent.engines.measure import kept
from edge_agent.errors import EdgeError
from edge_agent.service.check import check
from edge_agent.service.control import ask
from edge_agent.service.doctor_finding import Case, Said, fail, ok, shell, warn
from edge_agent.service.input import source_of
from edge_agent.service.probe import document, probe
from edge_agent.service.signals import wanted_of_source
from edge_agent.service.trial import try_out

#: A source is watched for so long once it delivers, and given up after so long if it does not.
WATCH_S = 2.0
PATIENCE_S = 25.0


def configuration(case: Case) -> Iterator[Said]:
    """The file, every key of it, and whether what it names is there."""
    report = check(case.path, None, case.state)
    if not case.path.exists():
        hint = "name yours with -c, or make one: docs/configuration.md"
        yield fail(f"there is no configuration {case.path}", hint)
    elif report.config is None:
        first, more = report.mistakes[0], len(report.mistakes) - 1
        others = f" (and {more} more)" if more else ""
        yield fail(f"{first}{others}", f"edge-agent check -c {shell(case.path)}")
    else:
        case.config = report.config
        # Whether others may read a secret, the check of the permissions says.
        doubts = [each for each in report.warnings if not each.path.endswith(".password")]
        for doubt in doubts:
            yield warn(str(doubt), f"edge-agent check -c {shell(case.path)}")
        if not doubts:
            yield ok(f"{case.path}: no mistakes")


def models(case: Case) -> Iterator[Said]:
    """Each pipeline's model: its hash is right, and it runs on the engine that would be chosen.

    In a child process. Whatever the model is, nothing of it is loaded here.
    """
    for name in case.loaded.pipelines:
        spec = pipeline_spec(case.loaded, name)
        try:
            bundle = find(spec.model, case.state, case.path.absolute().parent)
            known = kept(case.state, bundle.manifest.sha256)
            plan = choose(spec.engine, spec.threads, known).plan  # type: ignore[arg-type]
            passed = try_out(bundle, (replace(plan, delegate=spec.delegate),))
        except EdgeError as fault:
            yield fail(fault.message, fault.next or "edge-agent models list", f"of {name}")
        else:
            hash_, speed = bundle.manifest.sha256[:12], passed.answer.invoke_ms
            about = f"{bundle.name} {bundle.manifest.version} ({hash_}…)"
            yield ok(f"{about} runs on {plan.engine}, {speed:.2f} ms an invoke", f"of {name}")


def sources(case: Case) -> Iterator[Said]:
    """Each source: by the running agent's word, else opened and watched for a moment.

    All at once, because a camera that is not there takes its whole time-out.
    """
    told = _running_sources(case)
    found: dict[str, Said] = {}
    threads = []
    for name in case.loaded.sources:
        if name in told:
            found[name] = _as_told(name, told[name])
            continue
        thread = threading.Thread(target=_watch, args=(name, case, found), daemon=True)
        thread.start()
        threads.append(thread)
    end = monotonic() + PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, end - monotonic()))
    for name in case.loaded.sources:
        yield replace(found.get(name) or _silent(name), part=name)


# --- below ---------------------------------------------------------------------------------------


def _running_sources(case: Case) -> dict[str, Any]:
    """What the running agent says of its sources; nothing where none runs."""
    try:
        told: dict[str, Any] = ask(case.state, "status")["sources"]
    except EdgeError:
        return {}  # it is down, or not ours to ask: the sources are free then
    return told


def _as_told(name: str, facts: dict[str, Any]) -> Said:
    match facts["state"]:
        case "delivering":
            return ok(f"the running agent has {facts['frames']} items of it")
        case "opening":
            return warn("the running agent is just opening it", "ask again in a moment")
        case "ended":
            return warn("it came to its end", "restart the agent, or say loop: true")
    hint = facts["next"] or f"edge-agent sources test {shell(name)}"
    return fail(f"the running agent has lost it: {facts['reason']}", hint)


def _watch(name: str, case: Case, found: dict[str, Said]) -> None:
    config = case.loaded.sources[name]
    test = f"edge-agent sources test {shell(name)}"
    try:
        beside = case.path.absolute().parent
        wanted = wanted_of_source(case.loaded, name, case.state, beside)
        delivery = probe(source_of(name, config, wanted), WATCH_S)
        about = document(name, config.kind, delivery)
    except EdgeError as fault:
        found[name] = fail(fault.message, fault.next or test)
        return
    except Exception as fault:  # of a thread of ours: the check says so
        found[name] = fail(f"{type(fault).__name__}: {fault}", test)
        return
    if not delivery.delivers:
        hint = (delivery.losses[-1].next if delivery.losses else "") or test
        found[name] = fail(about["reason"] or "it delivers nothing", hint)
        return
    size = " x ".join(str(side) for side in about["sizes"][0])
    came = f"{about['items']} items in {about['watched_s']:.1f} s, {size}"
    found[name] = warn(came, about["advice"][0]) if about["advice"] else ok(came)


def _silent(name: str) -> Said:
    test = f"edge-agent sources test {shell(name)}"
    return fail(f"it neither opens nor fails within {PATIENCE_S:g} s: it hangs", test)
