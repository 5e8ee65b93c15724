"""Recorded losses of the original and their gradients by the prediction."""

from __future__ import annotations

import re
from ast import literal_eval

import pytest
import torch
from support.conformance import ReferenceCase, assert_within, cases, not_built
from support.layout import channels_first, channels_last
from torch import Tensor
from VoxelMorphLib.core.losses.anatomy import dice_loss
from VoxelMorphLib.core.losses.intensity_difference import mse_loss, tukey_loss
from VoxelMorphLib.core.losses.mutual_information import MutualInformation
from VoxelMorphLib.core.losses.ncc import ncc_loss
from VoxelMorphLib.core.losses.regularisers import gradient_penalty, kl_loss, precision_penalty

#: "vxm.losses.NCC(eps=1e-3).loss(reduce=max): ..." -> NCC, eps=1e-3, loss, reduce=max
CALL = re.compile(r"losses\.(?P<name>\w+)(?:\((?P<options>[^)]*)\))?(?:\.(?P<method>\w+)(?:\((?P<call>[^)]*)\))?)?")


class LossCall:
    """What a case says was called."""

    def __init__(self, case: ReferenceCase):
        what = case.description["what"]
        match = CALL.search(what)
        self.name, self.method = match["name"], match["method"]
        self.legacy = what.startswith("legacy")
        self.options = _keywords(match["options"]) | case.args
        self.weights = channels_first(case.inputs["vox_weight"]) if "vox_weight" in case.inputs else None
        reduce = re.search(r"reduce=(\w+)", match["call"] or "")
        by_shape = "item" if case.outputs["loss"].ndim else "mean"
        self.reduction = {"None": "none", "max": "max"}[reduce[1]] if reduce else by_shape


def _keywords(text: str | None) -> dict:
    """Options written into the call as plain values; others are inputs."""
    found = {}
    for name, value in re.findall(r"(\w+)=([^,]+)", text or ""):
        try:
            found[name] = literal_eval(value)
        except (ValueError, SyntaxError):
            continue
    return found


def ncc(call: LossCall, fixed: Tensor, moved: Tensor) -> Tensor:
    options = call.options
    form = "legacy" if call.legacy else "signed" if options.get("signed", False) else "squared"
    return ncc_loss(fixed, moved, options.get("win") or 9, options.get("eps", 1e-5), form, reduction=call.reduction)


def mse(call: LossCall, fixed: Tensor, moved: Tensor) -> Tensor:
    return mse_loss(fixed, moved, call.options.get("image_sigma", 1.0), reduction=call.reduction)


def tukey(call: LossCall, fixed: Tensor, moved: Tensor) -> Tensor:
    return tukey_loss(fixed, moved, call.options["c"], reduction=call.reduction)


def dice(_call: LossCall, fixed: Tensor, moved: Tensor) -> Tensor:
    return dice_loss(fixed, moved)


def grad(call: LossCall, _fixed: Tensor, field: Tensor) -> Tensor:
    multiplier = call.options.get("loss_mult") or 1
    return gradient_penalty(field, call.options.get("penalty", "l1"), multiplier, call.weights, call.reduction)


def kl(call: LossCall, _fixed: Tensor, field: Tensor) -> Tensor:
    if call.method == "prec_loss":
        return precision_penalty(field)
    return kl_loss(field, call.options["prior_lambda"])


def miccai(call: LossCall, fixed: Tensor, predicted: Tensor) -> Tensor:
    return (kl if call.method == "kl_loss" else mse)(call, fixed, predicted)


def mutual_information(call: LossCall, fixed: Tensor, moved: Tensor) -> Tensor:
    options = call.options
    clip = (options.get("min_clip", -torch.inf), options.get("max_clip", torch.inf))
    bound = MutualInformation(options.get("nb_bins", 16), options.get("soft_bin_alpha"), clip, ranges="batch")
    return bound(fixed, moved, reduction=call.reduction)


LOSSES = {
    "NCC": ncc,
    "MSE": mse,
    "TukeyBiweight": tukey,
    "Dice": dice,
    "binary_dice": dice,
    "Grad": grad,
    "KL": kl,
    "Miccai2018": miccai,
    "MutualInformation": mutual_information,
}


def is_loss(case: ReferenceCase) -> bool:
    return CALL.search(case.description["what"]) is not None


@pytest.mark.parametrize("case", cases("C_functions", is_loss))
def test_loss(case: ReferenceCase) -> None:
    call = LossCall(case)
    if call.name not in LOSSES:
        not_built(case)
    predicted = channels_first(case.inputs["y_pred"]).requires_grad_()
    loss = LOSSES[call.name](call, channels_first(case.inputs["y_true"]), predicted)
    (gradient,) = torch.autograd.grad(loss.sum(), predicted)
    delicate = call.name in ("NCC", "MutualInformation")
    value = loss.detach() if loss.ndim < 2 else channels_last(loss)
    assert_within(value, case.outputs["loss"], 1e-4 if delicate else 1e-5)
    if "soft_bin_alpha" in call.options:  # the recorded one is noisy
        assert_within(channels_last(gradient), case.outputs["grad_y_pred"], 5e-4)
    else:
        assert_within(channels_last(gradient), case.outputs["grad_y_pred"], 1e-4, 1e-4 if delicate else 1e-6)
