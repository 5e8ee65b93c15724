"""PythonQt's rules for what is no mistake: properties, names, lists, enumerations, signals, children."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)


@pytest.fixture
def qt(scene):
    """The module `qt`."""
    import qt

    return qt


def test_a_property_is_read_and_written_as_attribute(qt):
    button = qt.QPushButton("Apply")
    button.text = "Register"
    assert (button.text, button.enabled, button.isEnabled()) == ("Register", True, True)


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("text", 5, "5"),
        ("text", None, "None"),
        ("enabled", 0, False),
        ("enabled", "no", True),
        ("minimumWidth", 9.9, 9),
    ],
)
def test_values_are_converted_without_asking(qt, name, given, stored):
    button = qt.QPushButton()
    setattr(button, name, given)
    assert getattr(button, name) == stored


def test_name_is_the_object_name_and_children_are_attributes(qt):
    box = qt.QGroupBox()
    label = qt.QLabel("x", box)
    label.name = "title"
    assert label.objectName == "title"
    assert box.title == ""  # a property goes before a child
    label.name = "caption"
    assert box.caption is label


def test_a_dynamic_property_is_an_attribute(qt):
    label = qt.QLabel()
    label.setProperty("SlicerParameterName", "fixedVolume")
    assert label.SlicerParameterName == "fixedVolume"
    label.SlicerParameterName = "movingVolume"
    assert label.property("SlicerParameterName") == "movingVolume"


def test_a_python_class_may_have_its_own_attributes(qt):
    class Panel(qt.QWidget):
        def __init__(self):
            super().__init__()
            self.logic = "logic"

        def describe(self):
            return f"{self.logic} of {self.objectName}"

    panel = Panel()
    panel.name = "panel"
    assert panel.describe() == "logic of panel"


def test_a_property_behind_a_virtual_method_is_read(qt):
    class Panel(qt.QWidget):
        def sizeHint(self):
            return qt.QSize(70, 50)

    panel = Panel()
    assert panel.minimumSizeHint.width() == -1
    assert panel.sizeHint().width() == 70
    panel.adjustSize()
    assert panel.width == 70


def test_lists_come_back_as_tuples(qt):
    widget = qt.QWidget()
    children = [qt.QLabel("a", widget), qt.QLabel("b", widget)]
    assert widget.children() == tuple(children)
    assert widget.findChildren(qt.QLabel) == tuple(children)
    assert widget.findChild(qt.QLabel) is children[0]


def test_classes_are_recognised(qt):
    button = qt.QPushButton()
    assert isinstance(button, qt.QWidget)
    assert not isinstance(button, qt.QLabel)
    assert type(button) is qt.QPushButton
    assert button.className() == "QPushButton"


def test_objects_that_qt_made_follow_the_rules_too(qt):
    menu = qt.QMenu()
    action = menu.addAction("Open")
    assert isinstance(action, qt.QAction)
    assert action.text == "Open"
    assert menu.actions() == (action,)
    with pytest.raises(AttributeError, match="no new attributes"):
        action.caption = "x"
    with pytest.raises(AttributeError, match="'caption'"):
        action.caption  # noqa: B018


def test_an_object_that_qt_made_can_be_handed_back(qt):
    menu, other = qt.QMenu(), qt.QMenu()
    other.addAction(menu.addAction("Open"))
    assert other.actions()[0].text == "Open"


def test_signals_are_connected_both_ways(qt):
    box, one, other = qt.QCheckBox(), [], []
    box.connect("toggled(bool)", one.append)
    box.toggled.connect(other.append)
    box.checked = True
    assert (one, other) == ([True], [True])
    assert box.toggled.disconnect(one.append)
    assert box.disconnect("toggled(bool)", other.append)
    assert not box.toggled.disconnect(one.append)
    box.checked = False
    assert (one, other) == ([True], [True])


def test_a_slot_receives_what_it_can_take(qt):
    button, heard = qt.QPushButton(), []
    button.clicked.connect(lambda: heard.append("none"))
    button.connect("clicked()", lambda *values: heard.append(values))
    button.connect("clicked(bool)", lambda *values: heard.append(values))
    button.click()
    assert heard == ["none", (), (False,)]


def test_a_signal_hands_over_objects_with_the_rules(qt):
    menu, heard = qt.QMenu(), []
    menu.connect("triggered(QAction*)", heard.append)
    action = menu.addAction("Open")
    action.trigger()
    assert heard == [action]


def test_overloads_are_told_apart_by_their_types(qt):
    group, heard = qt.QButtonGroup(), []
    button = qt.QPushButton()
    group.addButton(button, 7)
    group.connect("idClicked(int)", heard.append)
    group.connect("buttonClicked(QAbstractButton*)", heard.append)
    button.click()
    assert set(heard) == {7, button}


def test_a_slot_of_cpp_can_be_connected(qt):
    slider, bar = qt.QSlider(), qt.QProgressBar()
    slider.connect("valueChanged(int)", bar.setValue)
    slider.value = 40
    assert bar.value == 40


def test_enumerations_have_unscoped_values(qt):
    assert qt.Qt.Vertical == qt.QSlider().orientation
    assert isinstance(qt.Qt.Vertical, qt.Qt.Orientation)


def test_settings_are_kept_during_the_run(qt):
    import slicer

    slicer.app.settings().setValue("Demo/Test", "kept")
    assert slicer.util.settingsValue("Demo/Test", "") == "kept"
    slicer.app.settings().remove("Demo/Test")
    assert not qt.QSettings().contains("Demo/Test")
