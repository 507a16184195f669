"""Whether a configuration and what it names fit together: sources, models and their labels.

`config` judges the file alone; here it meets the world outside of it, for `check`, `run` and
`reload`. Every mistake is reported at its line, even when other parts of the file are wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.find import find
from edge_agent.config.camera_uri import device_path, is_device
from edge_agent.config.effective import NOTHING, Overlay, read_effective
from edge_agent.config.layers import Overridden
from edge_agent.config.load import Mistake, in_file_order, mistake, tree_of
from edge_agent.config.lookup import items, mapping
from edge_agent.config.rules import plain_rule_spec
from edge_agent.config.schema import Config
from edge_agent.config.values import file_beside
from edge_agent.config.wording import did_you_mean, listed, printable, quoted
from edge_agent.config.yaml_text import Fault
from edge_agent.config.yaml_text import Path as Where
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.host.gpio import LineSpec
from edge_agent.pipeline.decode import says_background
from edge_agent.pipeline.decode.anomaly import LABEL as ANOMALY
from edge_agent.pipeline.decode.pose import COCO
from edge_agent.pipeline.family import family_fault
from edge_agent.pipeline.rulespec import RuleSpec, threshold_fault
from edge_agent.service.check_ota import missing_root
from edge_agent.service.check_recording import listen
from edge_agent.service.check_signal import fit_faults, uri_faults
from edge_agent.service.check_speed import AlertTime, alert_times
from edge_agent.service.overlay import overlay
from edge_agent.service.signals import absent_place


@frozen
class Report:
    """What `check` found. `config` is there exactly when there are no mistakes."""

    file: Path
    config: Config | None
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]
    alerts: tuple[AlertTime, ...]
    #: What lies over the file, and what was set by hand in it.
    overlay: Overlay = NOTHING
    overridden: tuple[Overridden, ...] = ()


def check(
    path: Path,
    state: Path | None,
    otherwise: Path | None = None,
    beside: Path | None = None,
    over: Overlay | None = None,
) -> Report:
    """Judge the configuration in `path` together with everything that it names.

    Installed models, and the policies in charge, are looked for in `state`, else in the file's
    `store.path`, else in `otherwise`; shipped models are always there. Files that it names lie in
    `beside`, by default its own folder. `over` is what lies over it, by default what does on this
    device; then the file has to be right without that, too, so that it can be gone back to. Never
    raises for what a person wrote.
    """
    beside = beside or path.absolute().parent
    if over is None:
        state = state or _stated_state(tree_of(path, "a configuration").data, beside) or otherwise
        over = overlay(path, state)
    report = _checked(path, state or otherwise, beside, over)
    if over == NOTHING:
        return report
    alone = _checked(path, state or otherwise, beside, NOTHING)
    if not alone.mistakes:
        return report
    mistakes = in_file_order([*alone.mistakes, *report.mistakes])
    return replace(report, config=None, mistakes=mistakes, warnings=(), alerts=())


def _checked(path: Path, state: Path | None, beside: Path, over: Overlay) -> Report:
    effective = read_effective(path, over, beside)
    loaded = effective.loaded
    sources, pipelines = _entries(loaded.data, "sources"), _entries(loaded.data, "pipelines")
    bundles: dict[str, Bundle] = {}
    faults = [
        *_scene_faults(sources),
        *uri_faults(sources),
        *_model_faults(pipelines, state, beside, bundles),
        *fit_faults(pipelines, bundles, sources),
    ]
    heard = listen(sources, pipelines, bundles, beside)
    faults += heard.faults
    found = [mistake(path, fault, loaded.marks) for fault in faults]
    mistakes = in_file_order([*loaded.mistakes, *found])
    if mistakes or loaded.config is None:
        return Report(path, None, mistakes, (), (), over, effective.overridden)
    missing = (_missing_footage, _missing_outputs, missing_root)
    doubts = [*(fault for look in missing for fault in look(loaded.config)), *heard.doubts]
    doubted = (mistake(path, fault, loaded.marks) for fault in doubts)
    warnings = in_file_order([*loaded.warnings, *doubted])
    alerts = tuple(alert_times(loaded.config, bundles, heard.rates))
    return Report(path, loaded.config, (), warnings, alerts, over, effective.overridden)


def misfit(path: Path, bundle: Bundle, state: Path) -> str | None:
    """What the rules of the pipelines that name a model ask of this version in vain, the first
    thing; None: it answers them all."""
    loaded = read_effective(path, overlay(path, state)).loaded
    for name, pipeline in _entries(loaded.data, "pipelines").items():
        if pipeline.get("model") == bundle.name:
            for fault in _rules_faults(pipeline, ("pipelines", name), bundle):
                return fault.message
    return None


def _stated_state(data: object, beside: Path) -> Path | None:
    stated = mapping(data, "store").get("path")
    return Path(file_beside(stated, beside)) if isinstance(stated, str) and stated else None


# --- sources -------------------------------------------------------------------------------------


def _scene_faults(sources: dict[str, Any]) -> Iterator[Fault]:
    for name, source in sources.items():
        uri = source.get("uri")
        if source.get("kind") == "scene" and isinstance(uri, str):
            from edge_agent.sources.scene import SceneSpec  # draws: only where it is asked for

            try:
                SceneSpec.parse(uri)
            except EdgeError as fault:
                yield Fault(("sources", name, "uri"), fault.in_one_line)


def _missing_footage(config: Config) -> Iterator[Fault]:
    """Files that are not there yet: no mistake of the text, and perhaps another machine's."""
    for name, source in config.sources.items():
        if source.kind == "video" and not Path(source.uri).is_file():
            yield Fault(("sources", name, "uri"), f"there is no file {printable(source.uri)} yet")
        if source.kind == "images":
            from edge_agent.sources.images import find as find_pictures

            if not find_pictures(source.uri):
                message = f"there is no picture at {printable(source.uri)} yet"
                yield Fault(("sources", name, "uri"), message)
        if source.kind == "camera" and is_device(source.uri):
            path = device_path(source.uri)
            if not Path(path).exists():
                yield Fault(("sources", name, "uri"), f"there is no device {printable(path)} yet")
        if source.kind == "signal" and (absent := absent_place(source)) is not None:
            yield Fault(("sources", name, "uri"), f"there is no {absent} yet")


def _missing_outputs(config: Config) -> Iterator[Fault]:
    """Programs and pins that are not there: this may be another machine than the device."""
    for name, output in config.outputs.items():
        where: Where = ("outputs", name)
        if output.kind == "gpio":
            chip = LineSpec(output.chip, output.line).path
            if not os.path.exists(chip):
                yield Fault((*where, "chip"), f"there is no {printable(chip)} here")
            continue
        program = output.argv[0]
        if not os.path.isabs(program):
            message = f"{printable(program)} is no absolute path, the service may not find it"
            yield Fault((*where, "argv"), message)
        elif not os.path.isfile(program):
            yield Fault((*where, "argv"), f"there is no program {printable(program)} here")
        elif not os.access(program, os.X_OK):
            message = f"{printable(program)} may not be executed (chmod +x helps)"
            yield Fault((*where, "argv"), message)


# --- models --------------------------------------------------------------------------------------


def _model_faults(
    pipelines: dict[str, Any], state: Path | None, beside: Path, bundles: dict[str, Bundle]
) -> Iterator[Fault]:
    """What is wrong with models and rules; `bundles` gets those models that were found."""
    for name, pipeline in pipelines.items():
        path: Where = ("pipelines", name)
        reference = pipeline.get("model")
        if not isinstance(reference, str) or not reference.strip():
            continue  # the schema says so
        try:
            bundle = find(reference, state, beside)
        except EdgeError as fault:
            yield Fault((*path, "model"), fault.in_one_line)
            continue
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
            yield Fault((*path, "model"), f"cannot be read: {reason}")
            continue
        bundles[name] = bundle
        yield from _rules_faults(pipeline, path, bundle)


def _rules_faults(pipeline: dict[str, Any], path: Where, bundle: Bundle) -> Iterator[Fault]:
    defaults = mapping(pipeline, "defaults")
    yield from _label_faults(defaults.get("label"), (*path, "defaults", "label"), bundle)
    for index, rule in enumerate(items(pipeline, "rules")):
        if isinstance(rule, dict):
            here: Where = (*path, "rules", index)
            yield from _label_faults(rule.get("label"), (*here, "label"), bundle)
            meant = plain_rule_spec(rule, defaults)
            if meant is not None:
                yield from _meaning_faults(meant, rule, here, bundle)


def _meaning_faults(
    meant: RuleSpec, rule: dict[str, Any], path: Where, bundle: Bundle
) -> Iterator[Fault]:
    """A rule that the model's family cannot answer, or a threshold that it does not have."""
    fault = family_fault(meant, bundle.manifest.family)
    if fault is not None:
        key, sentence = fault
        yield Fault((*path, key) if key in rule else path, f"model {bundle.name} {sentence}")
        return
    wanting = threshold_fault(meant, getattr(bundle.manifest.output, "threshold", None))
    if wanting is not None:
        here = (*path, "score_above") if "score_above" in rule else path
        yield Fault(here, f"{wanting} (model {bundle.name})")


def _label_faults(stated: object, path: Where, bundle: Bundle) -> Iterator[Fault]:
    several = isinstance(stated, list)
    for index, label in enumerate(stated if isinstance(stated, list) else [stated]):
        word = str(label) if isinstance(label, int) and not isinstance(label, bool) else label
        if not isinstance(word, str):
            continue
        here: Where = (*path, index) if several else path
        if not _known(word, bundle):
            yield Fault(here, _no_label(word, bundle))
        elif _is_background(word, bundle):
            message = (
                f"{quoted(word)} is the background of model {bundle.name}, which is no finding"
            )
            yield Fault(here, f"{message}, allowed: {_things(bundle)}")


def _known(label: str, bundle: Bundle) -> bool:
    """Without labels the label is the index; how the outputs of a generic model are called then,
    only the engine knows."""
    if label in _labels(bundle):
        return True
    family = bundle.manifest.family
    if bundle.labels or family == "anomaly":
        return False
    return family == "generic" or (label.isascii() and label.isdigit())


def _is_background(label: str, bundle: Bundle) -> bool:
    """What a decoder never gives out: a rule about it would be silent for ever."""
    family, labels = bundle.manifest.family, bundle.labels
    stated = getattr(bundle.manifest.output, "background", "auto")
    if family not in _WITH_BACKGROUND or stated is False:
        return False
    if labels:
        return says_background(labels) and label == labels[0]
    return family != "ssd" and label.isdigit() and int(label) == 0


_WITH_BACKGROUND = ("fomo", "segmentation", "ssd")


def _things(bundle: Bundle) -> str:
    return listed(bundle.labels[1:]) if bundle.labels else "an index from 1 on"


def _labels(bundle: Bundle) -> Sequence[str]:
    """What the findings of the model are called, as far as can be known without running it."""
    match bundle.manifest.family:
        case "anomaly":
            return bundle.labels[:1] or (ANOMALY,)
        case "pose":
            return bundle.labels or COCO
    return bundle.labels


def _no_label(label: str, bundle: Bundle) -> str:
    labels = _labels(bundle)
    sentence = f"model {bundle.name} has no label {quoted(label)}"
    if not labels:
        return f"{sentence}, allowed: the index of a class, such as 0 (it has no labels)"
    return f"{sentence}, allowed: {listed(labels)}{did_you_mean(label, labels)}"


# --- below ---------------------------------------------------------------------------------------


def _entries(data: object, key: str) -> dict[str, Any]:
    """Those entries of a mapping by name that are mappings themselves."""
    found = mapping(data, key).items()
    return {name: entry for name, entry in found if isinstance(entry, dict)}
