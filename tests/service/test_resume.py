"""What a start does about models: an uncommitted one goes back, a committed one stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yard

from edge_agent.bundles import slots
from edge_agent.bundles.guess import NO_WISH
from edge_agent.errors import Refused
from edge_agent.policy.ota import Step, Verdict
from edge_agent.service.charge import CLI, OTA, Reason, Request, go_back, take_charge
from edge_agent.service.install import Activation, activate_model, import_model
from edge_agent.service.marker import LastEnd
from edge_agent.service.resume import begin, resume
from edge_agent.service.start import Start

ASKED, DIED = LastEnd(asked=True), LastEnd(asked=False)


def test_after_a_clean_stop_a_probation_goes_on(tmp_path: Path) -> None:
    yard.installed(tmp_path, "1", "2")
    yard.on_probation(tmp_path, "2")
    assert resume(tmp_path, ASKED) == ()
    assert yard.in_charge(tmp_path) == "2"


def test_after_an_end_from_outside_the_one_before_is_in_charge_again(tmp_path: Path) -> None:
    yard.installed(tmp_path, "1", "2")
    yard.on_probation(tmp_path, "2")
    (step,) = resume(tmp_path, DIED)
    assert (step.step, step.verdict, step.who) == ("rolled_back", Verdict.WAITING, "start")
    assert step.before is not None
    assert (step.target.version, step.before.version) == ("2", "1")
    found = slots.read_slots(tmp_path, "yard")
    assert (found.candidate, found.broken, found.may_begin_again) == ("2-x", {}, True)
    assert resume(tmp_path, DIED) == ()


def test_a_model_that_was_at_work_when_the_process_died_never_comes_back(tmp_path: Path) -> None:
    yard.installed(tmp_path, "1", "2")
    yard.on_probation(tmp_path, "2")
    sha256 = yard.sha256_of(tmp_path, "2")
    (step,) = resume(tmp_path, LastEnd(False, frozenset({sha256})))
    assert step.verdict is Verdict.FAILED
    assert yard.in_charge(tmp_path) == "1"
    with pytest.raises(Refused, match="it is broken: the agent died while it was at work"):
        activate_model("yard", "2", tmp_path)
    copy = yard.offered(tmp_path / "again", "2", version="3")  # the same bytes, another version
    with pytest.raises(Refused, match="is not taken again"):
        import_model(copy, NO_WISH, tmp_path)


def test_what_no_process_has_put_in_charge_yet_is_taken_by_the_next_start(tmp_path: Path) -> None:
    yard.installed(tmp_path, "1", "2")
    yard.on_probation(tmp_path, "2", begun=False)
    assert resume(tmp_path, DIED) == ()
    begin(tmp_path, frozenset({"yard", "another"}))
    assert len(resume(tmp_path, DIED)) == 1
    assert yard.in_charge(tmp_path) == "1"


@pytest.mark.parametrize("damage", ["model", "folder"])
def test_what_is_in_charge_and_cannot_be_used_gives_way(tmp_path: Path, damage: str) -> None:
    yard.installed(tmp_path, "1", "2")
    yard.on_probation(tmp_path, "2")
    slots.change(tmp_path, "yard", lambda found: found.with_committed())
    folder = tmp_path / "models/yard/2-x"
    if damage == "model":
        (folder / "model.tflite").write_bytes(b"cut off")
    else:
        shutil.rmtree(folder)
    (step,) = resume(tmp_path, ASKED)
    assert "cannot be used" in step.reason
    assert yard.in_charge(tmp_path) == "1"


def test_with_nobody_to_go_back_to_it_stays(tmp_path: Path) -> None:
    yard.installed(tmp_path, "1")
    (tmp_path / "models/yard/1-x/model.tflite").write_bytes(b"cut off")
    assert resume(tmp_path, DIED) == ()


def test_back_onto_a_damaged_one_goes_on_to_the_factory_model(tmp_path: Path) -> None:
    factory = tmp_path / "models/scene-detector"
    yard.installed(tmp_path, "1", "2")
    (tmp_path / "models/yard").rename(factory)
    for version in ("1", "2"):
        manifest = factory / f"{version}-x/manifest.yaml"
        manifest.write_text(manifest.read_text().replace("name: yard", "name: scene-detector"))
    slots.change(tmp_path, "scene-detector", lambda found: found.with_active("2-x", 3.0, None))
    (factory / "1-x/model.tflite").write_bytes(b"cut off")
    told: list[str] = []
    reason = Reason("asked for", CLI, Verdict.OK)
    bundle = go_back("scene-detector", reason, tmp_path, lambda step: told.append(step.step))
    assert bundle.shipped
    assert slots.read_slots(tmp_path, "scene-detector").active is None
    assert told == ["rolled_back"]


def test_a_lower_version_is_only_taken_when_asked_for_and_back_needs_no_asking(
    tmp_path: Path,
) -> None:
    yard.installed(tmp_path, "2", "1")
    with pytest.raises(Refused, match="version 2 is in charge, which is newer"):
        activate_model("yard", "1", tmp_path)
    activate_model("yard", "1", tmp_path, Activation(downgrade=True))
    assert yard.in_charge(tmp_path) == "1"


def test_while_another_agent_is_at_work_nothing_is_touched(tmp_path: Path) -> None:
    from edge_agent.store.record import open_store

    yard.installed(tmp_path, "1", "2")
    yard.on_probation(tmp_path, "2")
    start = Start(tmp_path / "config.yaml", tmp_path)
    with open_store(tmp_path) as store:
        store.start()
        start.resume()
        assert yard.in_charge(tmp_path) == "2"
    start.resume()
    assert yard.in_charge(tmp_path) == "1"


def test_ota_hold_lets_nothing_take_charge_by_itself_and_speaks_against_nobody(
    tmp_path: Path,
) -> None:
    yard.installed(tmp_path, "1", "2")
    folder = tmp_path / "models/yard/2-x"
    told: list[Step] = []
    with pytest.raises(Refused, match=r"nothing takes charge by itself \(ota\.hold\)"):
        take_charge(Request(folder, OTA, (), held=True), tmp_path, told.append)
    assert [(step.step, step.verdict) for step in told] == [("refused", Verdict.WAITING)]
    assert yard.in_charge(tmp_path) == "1"
