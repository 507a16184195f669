"""A policy's way to charge and back, as the disk has it; and what a start does about it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from policies import Site

from edge_agent.bundles import policies, slots
from edge_agent.bundles.slots import POLICIES
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.policy.ota import Step, Verdict
from edge_agent.policy.slots import Broken, Hold
from edge_agent.service.charge import CLI, Reason
from edge_agent.service.check import check
from edge_agent.service.marker import LastEnd
from edge_agent.service.overlay import overlay
from edge_agent.service.policies import Policing, Reach
from edge_agent.service.policy_charge import (
    Request,
    commit,
    go_back,
    in_charge,
    must_fit,
    take_charge,
)
from edge_agent.service.resume import begin_policies, resume_policies
from edge_agent.service.start import Start

ASKED, DIED = LastEnd(asked=True), LastEnd(asked=False)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def charge(site: Site, version: str = "1", *changes: tuple[str, str], begun: bool = True) -> None:
    request = Request(site.kept(version, *changes), CLI, begun)
    take_charge(request, site.config, site.state, lambda step: None)


def version(site: Site) -> str | None:
    found = in_charge("night", site.state)
    return None if found is None else found.version


def test_a_policy_takes_charge_on_probation_and_goes_back(site: Site) -> None:
    steps: list[Step] = []
    kept = site.kept()
    take_charge(Request(kept, CLI), site.config, site.state, steps.append)
    assert version(site) == "1"
    assert site.found().probation is not None
    assert overlay(site.config, site.state).policies == (kept.file,)
    assert go_back("night", Reason("why", CLI, Verdict.OK), site.state, steps.append) is None
    assert version(site) is None
    assert overlay(site.config, site.state).policies == ()
    told = [(each.kind, each.step, each.target.sha256, each.before) for each in steps]
    assert told == [
        ("policy", "swapped", kept.sha256, None),
        ("policy", "rolled_back", kept.sha256, None),
    ]
    with pytest.raises(UsageError, match="policy night is not in charge"):
        go_back("night", Reason("why", CLI), site.state, steps.append)


def test_back_leads_to_the_last_one_that_was_committed(site: Site) -> None:
    charge(site)
    commit("night", {}, site.state, lambda step: None)
    charge(site, "2")
    charge(site, "3")
    assert sorted(each.name[0] for each in slots.installed(site.state, "night", POLICIES)) == [
        "1", "3",
    ]  # fmt: skip
    go_back("night", Reason("why", CLI), site.state, lambda step: None)
    assert version(site) == "1"


def test_one_that_does_not_fit_is_refused_with_its_line(site: Site) -> None:
    with pytest.raises(Refused) as refused:
        charge(site, "1", ("label: person", "label: preson"))
    file = site.kept("1", ("label: person", "label: preson")).file
    place = f"{file}:7:29: pipelines.yard.rules[0].label: model scene-detector has no label"
    assert place in refused.value.message
    assert version(site) is None


def test_a_device_whose_own_files_are_wrong_waits(site: Site) -> None:
    site.config.write_text(site.config.read_text().replace("count: 1", "cuont: 1"))
    with pytest.raises(EdgeError, match="this device's own files have mistakes") as fault:
        must_fit(site.kept(), site.config, site.state)
    assert not isinstance(fault.value, Refused)


def test_what_is_held_or_broken_is_refused(site: Site) -> None:
    kept = site.kept("2")
    held, broken = Hold("1", 0.0, CLI), Broken("it is", 0.0, kept.sha256)
    for changed, code in (
        (lambda found: found.with_hold(held), "held"),
        (lambda found: found.with_broken("2-another", broken), "broken"),
    ):
        slots.change(site.state, "night", changed, POLICIES)
        steps: list[Step] = []
        with pytest.raises(Refused) as refused:
            take_charge(Request(kept, CLI), site.config, site.state, steps.append)
        assert refused.value.code == code
        expected = Verdict.WAITING if code == "held" else Verdict.FAILED
        assert [(each.step, each.verdict) for each in steps] == [("refused", expected)]


def test_a_lower_version_needs_to_be_asked_for(site: Site) -> None:
    charge(site, "2")
    with pytest.raises(Refused, match="version 2 is in charge, which is newer"):
        charge(site, "1")
    request = Request(site.kept("1"), CLI, downgrade=True)
    take_charge(request, site.config, site.state, lambda step: None)
    assert version(site) == "1"


def test_keeping_the_same_twice_keeps_one(site: Site) -> None:
    assert site.kept() == site.kept()
    assert len(slots.installed(site.state, "night", POLICIES)) == 1


def test_a_damaged_one_is_never_used(site: Site) -> None:
    charge(site)
    commit("night", {}, site.state, lambda step: None)
    file = policies.stated(site.state)[0][1]
    file.write_text(file.read_text().replace("0.4", "0.1"))
    (mistake,) = check(site.config, site.state).mistakes
    assert "policy night is damaged or gone" in str(mistake)
    (step,) = resume_policies(site.state, ASKED)
    assert (step.step, step.verdict) == ("rolled_back", Verdict.FAILED)
    assert check(site.config, site.state).mistakes == ()


def test_what_went_back_does_not_stay_at_work_when_its_reload_was_refused(site: Site) -> None:
    charge(site)
    laid = [each for _, each in policies.stated(site.state)]
    reloads: list[list[Path]] = []

    def reload() -> None:
        reloads.append(list(laid))
        if len(reloads) == 1:
            raise EdgeError("a reload is under way already")
        laid.clear()

    policing = Policing(
        Reach(
            state=site.state,
            config_path=site.config,
            story=SimpleNamespace(tell=lambda step: None),  # type: ignore[arg-type]
            watch=lambda: SimpleNamespace(runners={}),  # type: ignore[arg-type,return-value]
            reload=reload,
            laid=lambda: tuple(laid),
            unsettled=lambda: "",
        )
    )
    policing.look()
    assert reloads == []  # it is in charge, and at work
    file = site.state / "policies" / "night" / "slots.json"
    text = file.read_text()
    file.write_text("")
    policing.look()
    assert reloads == []  # nothing is known of it, so nothing is undone
    file.write_text(text)
    with pytest.raises(EdgeError, match="under way"):
        policing.back("night", Reason("why", CLI))
    assert (version(site), len(laid)) == (None, 1)
    policing.look()
    assert laid == []
    policing.look()
    assert len(reloads) == 2


# --- a start -------------------------------------------------------------------------------------


def test_after_a_clean_stop_a_probation_goes_on(site: Site) -> None:
    charge(site)
    assert resume_policies(site.state, ASKED) == ()
    assert version(site) == "1"


def test_an_uncommitted_one_goes_back_and_a_committed_one_stays(site: Site) -> None:
    charge(site)
    commit("night", {}, site.state, lambda step: None)
    assert resume_policies(site.state, DIED) == ()
    charge(site, "2")
    (step,) = resume_policies(site.state, DIED)
    assert (step.target.version, step.verdict, step.who) == ("2", Verdict.WAITING, "start")
    assert version(site) == "1"
    assert site.found().may_begin_again
    charge(site, "2")
    resume_policies(site.state, DIED)
    assert not site.found().may_begin_again


def test_what_no_process_has_put_in_charge_yet_is_taken_by_the_next_start(site: Site) -> None:
    charge(site, begun=False)
    assert resume_policies(site.state, DIED) == ()
    begin_policies(site.state)
    assert len(resume_policies(site.state, DIED)) == 1


def test_a_start_watches_without_policies_that_do_not_fit_any_more(site: Site) -> None:
    charge(site)
    commit("night", {}, site.state, lambda step: None)
    text = site.config.read_text().replace("zones: {gate:", "zones: {dock:")
    site.config.write_text(text)
    start = Start(site.config, site.state)
    assert len(start.first().pipelines["yard"].rules) == 2
    assert start.overlay.policies == ()
    start.marker.begin("")
    (notice,) = start.begin(start.first()).notices
    assert notice.code == "policy_left_out"
    assert 'there is no zone "gate", allowed: dock' in notice.message
    with pytest.raises(UsageError, match="there is no zone"):
        start.read()  # a reload says so instead
    site.config.write_text(text.replace("count: 1", "cuont: 1"))
    with pytest.raises(UsageError, match="unknown key"):
        Start(site.config, site.state).first()


def test_the_file_has_to_be_right_without_its_policies(site: Site) -> None:
    charge(site)
    site.config.write_text(site.config.read_text().replace("label: person", "label: preson"))
    found = [str(each) for each in check(site.config, site.state).mistakes]
    assert len(found) == 1
    assert found[0].startswith(f"{site.config}:11:")
