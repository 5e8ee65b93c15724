"""What shows a training: the table of curves, the summary page, TensorBoard and the bar in a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_training import SHAPE, tiny_trainer
from VoxelMorphLib.core.errors import Cancelled, OutputError
from VoxelMorphLib.training.monitors import available, curves
from VoxelMorphLib.training.monitors.available import TensorBoard, Terminal, make_monitors
from VoxelMorphLib.training.monitors.curves import Curves, read_curves, write_curves
from VoxelMorphLib.training.monitors.pictures import Throttle, space_geometry
from VoxelMorphLib.training.monitors.summary import Summary
from VoxelMorphLib.training.validation import Pictures

matplotlib = pytest.importorskip("matplotlib")


def a_row(epoch: int, **values) -> dict:
    return {"epoch": epoch, "step": 4 * epoch, "seconds": 0.5, "lr": 1e-3, "loss": 1 / epoch, **values}


def test_one_row_per_epoch_with_the_validation_in_it(a_config):
    config = a_config(epochs=3, validate_every=2)
    trainer = tiny_trainer(config, curves=True)
    result = trainer.run()
    rows = read_curves(Path(config.output_dir) / "curves.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["step"] for row in rows] == [4, 8, 12]
    assert list(rows[0]) == ["epoch", "step", "seconds", "lr", "loss", "loss_image", "loss_penalty"]
    assert {"val_dice", "val_dice_1", "val_dice_2", "val_folded_percent", "val_image_loss"} <= set(rows[1])
    assert rows[2]["loss"] == result.losses["loss"]
    assert {"val_back_dice", "val_back_dice_1", "val_back_dice_2", "val_back_image_loss"} <= set(rows[1])
    both = [(row["val_dice"] + row["val_back_dice"]) / 2 for row in rows if "val_dice" in row]
    assert max(both) == pytest.approx(result.best_value)


@pytest.mark.slow
def test_a_resumed_training_repeats_no_row(a_config):
    whole = a_config("whole")
    tiny_trainer(whole, curves=True).run()

    def stopper(fraction, _text):
        if round(fraction * 12) == 6:
            raise Cancelled("enough")

    parts = a_config("parts")
    with pytest.raises(Cancelled):
        tiny_trainer(parts, progress=stopper, curves=True).run()
    file = Path(parts.output_dir) / "curves.csv"
    write_curves(file, [*read_curves(file), a_row(2, loss=99.0)])  # written, but not in a checkpoint any more
    tiny_trainer(parts, resume=True, curves=True).run()
    expected, rows = read_curves(Path(whole.output_dir) / "curves.csv"), read_curves(file)
    for row in (*expected, *rows):
        del row["seconds"]
    assert rows == expected


def test_a_table_keeps_words_and_empty_cells(tmp_path):
    rows = [a_row(1), a_row(2, val_variant="0.5")]
    write_curves(tmp_path / "a.csv", rows)
    assert read_curves(tmp_path / "a.csv") == [rows[0], {**rows[1], "val_variant": 0.5}]
    assert read_curves(tmp_path / "none.csv") == []


def test_a_new_training_begins_a_new_table(tmp_path):
    write_curves(tmp_path / "curves.csv", [a_row(1), a_row(2)])
    monitor = Curves(tmp_path / "curves.csv")
    monitor.begin(0, 5)
    monitor.epoch(a_row(1, loss=3.0), Pictures())
    assert [row["loss"] for row in read_curves(monitor.path)] == [3.0]


def test_a_table_that_is_being_read_is_written_next_time(tmp_path, monkeypatch):
    monitor = Curves(tmp_path / "curves.csv")

    def locked(*_arguments):
        raise OutputError("locked") from PermissionError()

    with monkeypatch.context() as patch:
        patch.setattr(curves, "write_curves", locked)
        monitor.epoch(a_row(1), Pictures())
    monitor.epoch(a_row(2), Pictures())
    assert len(read_curves(monitor.path)) == 2


def test_a_table_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        Curves(tmp_path / "no folder" / "curves.csv").epoch(a_row(1), Pictures())


@pytest.fixture(scope="module")
def a_watched_training(tmp_path_factory):
    """A finished training with all monitors and something learned to show."""
    from support.tiny_training import TinyConfig

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("watched")
    config = TinyConfig(output_dir=str(folder), epochs=2, pictures=1, voxel_size=2.0)
    monitors = make_monitors(config, SHAPE, {"broken.nii": "broken.nii is <empty>."})
    trainer = tiny_trainer(config, monitors=monitors)
    trainer.task.images = lambda: {"template": torch.rand(1, *SHAPE)}
    trainer.run()
    return folder


def test_the_summary_holds_everything(a_watched_training):
    page = (a_watched_training / "summary.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4
    for text in (
        "Training: tiny",
        "2 of 2",
        "best mean Dice",
        "fixed to moving by the inverse",
        "m10000.nii f10000.nii",
        "Learned: template",
    ):
        assert text in page
    assert "broken.nii is &lt;empty&gt;." in page
    assert "steps_per_epoch" in page
    assert "http" not in page.replace("http-equiv", "")


def test_tensorboard_reads_curves_and_pictures(a_watched_training):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(a_watched_training / "tensorboard"))
    events.Reload()
    rows = read_curves(a_watched_training / "curves.csv")
    assert [event.step for event in events.Scalars("loss")] == [4, 8]
    assert [event.value for event in events.Scalars("validation/dice")] == pytest.approx(
        [row["val_dice"] for row in rows]
    )
    assert set(events.Tags()["images"]) == {"pair 1/images", "pair 1/agreement", "learned/template"}
    picture = events.Images("pair 1/images")[0]
    array = matplotlib.image.imread(io.BytesIO(picture.encoded_image_string))
    assert array.shape[:2] == (picture.height, picture.width)
    assert array.std() > 0.1


def test_tensorboard_drops_what_is_computed_again(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for first, last in ((0, 3), (1, 2)):
        monitor = TensorBoard(tmp_path, geometry=None, steps_per_epoch=4)
        monitor.begin(first, 9)
        for epoch in range(first, last):
            monitor.epoch(a_row(epoch + 1), Pictures())
        monitor.end()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [4, 8]


def test_variants_have_curves_and_a_table(a_config, tmp_path):
    rows = [
        a_row(
            e,
            **{"val_image_loss": 0.1, "val_back_image_loss": 0.3 / e, "val_folded_percent": 0.0, "val_variant": "b"},
            **{**_of("a"), **_of("b")},
        )
        for e in (1, 2)
    ]
    write_curves(tmp_path / "curves.csv", rows)
    config = a_config()
    page = Summary(tmp_path / "s.html", tmp_path / "curves.csv", config, space_geometry(config, SHAPE), {})
    page.begin(0, 2)
    page.end()
    text = page.path.read_text(encoding="utf-8")
    assert "<h2>Variants</h2>" in text
    assert "best image loss, epoch 2" in text
    assert ">0.375</td>" in text, "of a variant, fixed to moving"


def _of(variant: str) -> dict:
    measures = {"image_loss": 0.2, "back_image_loss": 0.375, "folded_percent": 0.0}
    return {f"val_{name}@{variant}": value for name, value in measures.items()}


def test_a_table_of_one_direction_still_has_a_summary(a_config, tmp_path):
    """A training that an earlier version began, resumed."""
    rows = [a_row(e, val_dice=d, val_folded_percent=0.0, val_image_loss=0.1) for e, d in ((1, 0.7), (2, 0.6))]
    write_curves(tmp_path / "curves.csv", rows)
    config = a_config()
    page = Summary(tmp_path / "s.html", tmp_path / "curves.csv", config, space_geometry(config, SHAPE), {})
    page.begin(0, 2)
    page.end()
    assert "best mean Dice, epoch 1" in page.path.read_text(encoding="utf-8")


def test_a_training_that_ended_in_its_first_epoch_has_no_summary(a_config, tmp_path):
    config = a_config()
    Summary(tmp_path / "s.html", tmp_path / "curves.csv", config, space_geometry(config, SHAPE), {}).end()
    assert not (tmp_path / "s.html").exists()


@pytest.mark.parametrize("orientation", ["RAS", "LIA", "PSR"])
def test_pictures_know_the_directions_of_the_space(a_config, orientation):
    geometry = space_geometry(a_config(orientation=orientation, voxel_size=1.5), (12, 16, 20))
    assert geometry.orientation == orientation
    assert np.allclose(geometry.spacing, 1.5)
    assert np.allclose(geometry.centre, 0)


def test_the_bar_stands_where_the_training_is(capsys):
    pytest.importorskip("tqdm")
    bar = Terminal(4)
    bar.begin(1, 3)
    for step in range(5, 9):
        bar.step(step, 12)
    bar.epoch(a_row(2, val_dice=0.75, val_back_dice=0.5), Pictures())
    bar.end()
    assert "8/12" in capsys.readouterr().err
    assert bar._shown == {"loss": "0.5", "val_dice": "0.75", "val_back_dice": "0.5"}


def test_a_terminal_gets_a_bar_and_a_file_none(a_config, monkeypatch):
    assert not any(isinstance(monitor, Terminal) for monitor in make_monitors(a_config(), SHAPE, {}))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert any(isinstance(monitor, Terminal) for monitor in make_monitors(a_config(), SHAPE, {}))


def test_packages_that_are_missing_cost_only_their_monitors(a_config, monkeypatch):
    monkeypatch.setattr(available, "find_spec", lambda _name: None)
    assert [type(monitor) for monitor in make_monitors(a_config(), SHAPE, {})] == [Curves]


def test_what_takes_long_is_done_rarely():
    often, rarely = Throttle(0.0), Throttle(60.0)
    assert [often(), often()] == [True, True]
    assert [rarely(), rarely()] == [True, False]


HEADER = b"epoch,step,seconds,lr,loss\n"
DAMAGE = {
    "other columns": (b"a,b\n1,2\n", 0),
    "words": (b"these are words, and more of them\n", 0),
    "binary": (bytes(range(256)) * 8, 0),
    "nothing": (b"", 0),
    "a header alone": (HEADER, 0),
    "Latin-1": (HEADER + b"1,4,0.5,0.001,1.0\n2,8,\xe9,0.001,0.5\n", 1),
    "more cells than columns": (HEADER + b"1,4,0.5,0.001,1.0\n2,8,0.5,0.001,0.5,7,8\n", 1),
    "NUL": (HEADER + b"1,4,0.5,0.001,1.0\n\0\0\0\n", 1),
    "an epoch in words": (HEADER + b"one,4,0.5,0.001,1.0\n2,8,0.5,0.001,0.5\n", 1),
    "a negative epoch": (HEADER + b"-1,4,0.5,0.001,1.0\n2,8,0.5,0.001,0.5\n", 1),
    "a cell without end": (HEADER + b'1,4,0.5,0.001,1.0\n"' + b"x" * 140_000, 1),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_table_ends_no_training(tmp_path, kind):
    content, kept = DAMAGE[kind]
    (tmp_path / "curves.csv").write_bytes(content)
    monitor = Curves(tmp_path / "curves.csv")
    with pytest.warns(UserWarning, match=r"of .*curves\.csv cannot be read and is left out; the training goes on"):
        monitor.begin(2, 5)
    assert len(monitor.rows) == kept
    monitor.epoch(a_row(3), Pictures())
    assert [row["epoch"] for row in read_curves(monitor.path)][-1] == 3


def test_a_sound_table_is_kept_without_a_word(tmp_path, recwarn):
    write_curves(tmp_path / "curves.csv", [a_row(1), a_row(2, val_variant="best of all", val_dice=0.5), a_row(3)])
    monitor = Curves(tmp_path / "curves.csv")
    monitor.begin(2, 5)
    assert [row["epoch"] for row in monitor.rows] == [1, 2]
    assert not recwarn.list
