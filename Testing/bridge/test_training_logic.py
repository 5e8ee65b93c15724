"""Trainings from the console: options, words of the command, curves as nodes; no widget is needed."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support import fake_trainer
from VoxelMorphLib.bridge.actions import training_settings
from VoxelMorphLib.bridge.background.child_process import LIBRARY_FOLDER
from VoxelMorphLib.bridge.logic import VoxelMorphLogic
from VoxelMorphLib.bridge.scene import curve_nodes
from VoxelMorphLib.core.errors import ConfigError, WorkerError
from VoxelMorphLib.training.checkpoint import BEST, FOLDER, LAST
from VoxelMorphLib.training.recipes import RECIPES, make_config


@pytest.fixture
def logic():
    return VoxelMorphLogic()


@pytest.fixture
def curves(scene, tmp_path):
    """Of four epochs, two of which were validated."""
    fake_trainer.write_curves(tmp_path / "brains", 4)
    return curve_nodes.Curves(tmp_path / "brains", scene)


def values(table, column):
    return list(slicer.util.arrayFromTableColumn(table, column))


def test_a_training_from_the_console(logic, scene, tmp_path):
    progress = []
    lines = logic.train(
        logic.trainingConfig(image_list="/data", output_dir=str(tmp_path / "out")),
        progress=lambda *news: progress.append(news),
        command=fake_trainer.command("finish"),
    )
    assert progress[-1] == (1.0, "Training")
    assert lines == ("100 steps done",)
    curves = logic.curves(tmp_path / "out")
    assert curves.refresh() and curves.last("loss") == pytest.approx(0.275)


def test_a_check_from_the_console(logic, tmp_path):
    config = logic.trainingConfig("atlas", image_list="/data", atlas="/data/a.nii", output_dir=str(tmp_path))
    lines = logic.checkTraining(config, command=fake_trainer.command("finish"))
    assert "\n".join(lines) == fake_trainer.PLAN


def test_all_recipes_are_named(logic):
    assert [recipe.name for recipe in logic.recipes()] == list(RECIPES)


def test_an_impossible_option_is_refused(logic):
    with pytest.raises(ConfigError, match="epochs is 0"):
        logic.trainingConfig(epochs=0)


def test_a_model_needs_a_name_and_a_free_id(logic, tmp_path, monkeypatch):
    monkeypatch.setenv("VXM_CACHE", str(tmp_path))
    assert logic.modelId("My brains, 2nd") == "My-brains-2nd"
    with pytest.raises(ConfigError, match="no name for a model"):
        logic.modelId("?!")
    with pytest.raises(ConfigError, match="The extension itself has a model 'optimise'"):
        logic.addTrainedModel(tmp_path / "best.pt", "optimise")


def test_a_process_that_does_not_start(logic, tmp_path):
    with pytest.raises(WorkerError, match="could not be started"):
        logic.train(logic.trainingConfig(output_dir=str(tmp_path)), command=[str(tmp_path / "nothing")])


@pytest.mark.parametrize("recipe", RECIPES)
def test_settings_of_a_scene_come_back(recipe):
    config = make_config(recipe, {"image_list": "/data/list", "epochs": 7, "labels": (1, 2), "output_dir": ""})
    assert training_settings.read_settings(training_settings.settings_text(config)) == config


def test_settings_that_cannot_be_used_are_refused():
    with pytest.raises(ConfigError, match="The configuration of this scene cannot be read"):
        training_settings.read_settings("{")


def test_the_command_gets_what_differs_from_the_defaults():
    chosen = {"image_list": "/a b", "labels": (1, 2), "flips": True, "output_dir": "/out"}
    config = make_config("semisupervised", chosen)
    assert training_settings.arguments_of(config) == [
        "--recipe=semisupervised",
        "--imageList=/a b",
        "--labels=1,2",
        "--flips=True",
        "--outputDir=/out",
    ]
    resumed = training_settings.arguments_of(make_config("pairwise", {"epochs": 3, "output_dir": "/out"}), resume=True)
    assert resumed == ["--epochs=3", "--outputDir=/out", "--resume"]


def test_another_recipe_keeps_what_it_knows():
    config = make_config("semisupervised", {"image_list": "/a", "dice_weight": 2.0})
    assert training_settings.with_recipe(config, "template") == make_config("template", {"image_list": "/a"})


def test_checkpoints_have_the_names_that_the_trainer_gives():
    assert (training_settings.CHECKPOINTS, training_settings.BEST, training_settings.LAST) == (FOLDER, BEST, LAST)


def test_the_section_needs_no_torch():
    code = (
        "import sys; from VoxelMorphLib.bridge.actions import training_settings; "
        "from VoxelMorphLib.bridge.background import child_process; "
        "from VoxelMorphLib.training.monitors import curves; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=LIBRARY_FOLDER).returncode == 0


def test_curves_become_tables_series_and_charts(curves):
    assert curves.refresh()
    assert values(curves.table("loss"), "loss_image") == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert values(curves.table("dice"), "epoch") == [2, 4]
    assert values(curves.table("dice"), "val_dice_7") == pytest.approx([0.75, 0.825])
    chart = curves.chart("dice")
    series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [item.GetName() for item in series] == ["mean", "mean, back", "label 3", "label 7"]
    assert all(item.GetTableNode() is curves.table("dice") for item in series)
    assert chart.GetTitle() == "brains dice" and chart.GetXAxisTitle() == "Epoch"


def test_curves_grow_with_the_training_in_the_same_nodes(curves, scene, tmp_path, monkeypatch):
    monkeypatch.setattr(curve_nodes, "REFRESH_S", 0.0)
    monkeypatch.setattr(curve_nodes, "REFRESH_SHARE", 0)
    curves.refresh()
    count = scene.GetNumberOfNodes()
    assert not curves.refresh()
    fake_trainer.write_curves(tmp_path / "brains", 6)
    assert curves.refresh() and len(values(curves.table("loss"), "loss")) == 6
    assert curve_nodes.Curves(tmp_path / "brains", scene).refresh() and scene.GetNumberOfNodes() == count


def test_curves_are_read_at_most_every_two_seconds(curves, tmp_path):
    assert curves.refresh()
    fake_trainer.write_curves(tmp_path / "brains", 6)
    assert not curves.refresh()
    assert curves.refresh(force=True)


def test_a_training_without_curves_makes_no_nodes(scene, tmp_path):
    curves = curve_nodes.Curves(tmp_path, scene)
    assert not curves.refresh() and curves.chart("loss") is None and curves.last("loss") is None


def test_nodes_that_were_removed_come_back(curves, scene):
    curves.refresh()
    for node in (curves.chart("loss"), curves.table("loss")):
        scene.RemoveNode(node)
    curves.refresh(force=True)
    assert curves.chart("loss").GetNumberOfPlotSeriesNodes() == 3


def test_cells_without_a_number_are_not_drawn(curves, tmp_path):
    path = tmp_path / "brains" / "curves.csv"
    path.write_text("epoch,loss,loss_extra\n1,2.0,\n2,1.0,0.5\n", encoding="utf-8")
    curves.refresh()
    assert math.isnan(values(curves.table("loss"), "loss_extra")[0])
