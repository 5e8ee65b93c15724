"""The judgement of the recorded cases itself: tolerance, count, what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support import conformance
from support.conformance import ReferenceCase, assert_within, cases, recorded, summary


def a_case(name: str, group: str = "C_functions") -> ReferenceCase:
    return ReferenceCase(group, name, {"args": {}}, Path("absent.npz"))


@pytest.fixture
def five_cases(monkeypatch):
    recordings = {
        "C_functions": [a_case("vecint_2d_ss_7"), a_case("vecint_3d_ss_7"), a_case("py_dice")],
        "B_networks": [a_case("unet_2d", "B_networks")],
        "A_full_size": [a_case("vxm__fixed_b", "A_full_size")],
    }
    monkeypatch.setattr(conformance, "recorded", recordings.__getitem__)
    return [case.key for group in recordings.values() for case in group]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("vecint_3d_ss_7", "vecint"),
        ("legacy_vecint_2d_xy_5", "legacy_vecint"),
        ("py_dice", "py_dice"),
        ("vxmdense_1d", "vxmdense"),
    ],
)
def test_a_family_is_the_name_before_the_dimension(name, family):
    assert a_case(name).family == family


@pytest.mark.parametrize(
    ("built", "kind"),
    [("voxelmorph.networks.Unet", "Unet"), ("legacy networks.cvpr2018_net (xy indexing)", "cvpr2018_net")],
)
def test_the_kind_of_a_network_is_its_class(built, kind):
    assert ReferenceCase("B_networks", "a", {"cls": built}, Path("absent.npz")).kind == kind


def test_a_result_may_differ_by_the_tolerance_and_no_more():
    reference = np.array([0.0, 10.0])
    assert_within(torch.tensor([1.0e-4, 10.0]), reference, 1e-5)
    with pytest.raises(AssertionError, match=r"largest difference 0\.000"):
        assert_within(np.array([1.2e-4, 10.0]), reference, 1e-5)
    with pytest.raises(AssertionError, match=r"shape \(3,\), recorded \(2,\)"):
        assert_within(np.zeros(3), reference, 1e-5)


def test_absolute_and_relative_tolerance_may_differ():
    assert_within(np.array([100.0]), np.array([100.5]), relative=0, absolute=0.6)
    with pytest.raises(AssertionError, match="largest difference"):
        assert_within(np.array([100.0]), np.array([100.5]), relative=0, absolute=0.4)


def test_nan_is_never_within_tolerance():
    with pytest.raises(AssertionError, match="beyond"):
        assert_within(np.array([np.nan, 1.0]), np.array([1.0, 1.0]), 1e-5)
    with pytest.raises(AssertionError, match="NaN or infinity elsewhere"):
        assert_within(np.array([1.0, 1.0]), np.array([np.nan, 1.0]), 1e-5)
    assert_within(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), 1e-5)


def test_a_stated_fraction_may_flip():
    reference = np.zeros(1000)
    result = reference.copy()
    result[0] = 1
    assert_within(result, reference, 1e-5, flips=1e-3)
    with pytest.raises(AssertionError, match="values beyond"):
        assert_within(result, reference, 1e-5, flips=1e-4)


def test_skipped_failed_and_untried_cases_are_missing(five_cases):
    outcomes = [(five_cases[0], True), (five_cases[1], False), (five_cases[3], True)]
    assert summary(outcomes) == [
        "reference: 2 of 5 cases",
        "missing: A_full_size/vxm 1, C_functions/py_dice 1, C_functions/vecint 1",
    ]


def test_a_case_passes_when_all_its_tests_do(five_cases):
    assert summary([(key, True) for key in five_cases]) == ["reference: 5 of 5 cases"]
    assert summary([(key, True) for key in five_cases] + [(five_cases[0], False)])[0] == "reference: 4 of 5 cases"


def test_runs_without_any_case_say_nothing(five_cases):
    assert summary([]) == []


def test_an_absent_folder_skips_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("VXM_REFERENCE", str(tmp_path / "nowhere"))
    assert recorded("C_functions") == []
    (parameter,) = cases("C_functions")
    assert "no recorded C_functions" in parameter.marks[0].kwargs["reason"]


def test_a_folder_with_some_of_the_groups_gives_those(monkeypatch, tmp_path):
    (tmp_path / "B_networks").mkdir()
    (tmp_path / "B_networks" / "unet_2d.json").write_text('{"cls": "Unet"}', encoding="utf-8")
    monkeypatch.setenv("VXM_REFERENCE", str(tmp_path))
    assert [len(recorded(group)) for group in conformance.GROUPS] == [0, 1, 0]


@pytest.mark.parametrize("group", conformance.GROUPS)
def test_the_recordings_can_be_read(group):
    found = recorded(group)
    if not found:
        pytest.skip(f"no recorded {group} to read")
    case = found[0]
    assert case.group == group and case.key == f"{group}/{case.name}"
    if group != "A_full_size":
        assert case.inputs and case.outputs
