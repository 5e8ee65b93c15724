"""The age of the patient that a volume shows, where the data tree knows it from DICOM."""

from __future__ import annotations

from datetime import date, datetime

import slicer

from .rollback import hierarchy_of

#: Attributes that Slicer's DICOM module gives the items above a volume.
BIRTH, STUDY = "DICOM.PatientBirthDate", "DICOM.StudyDate"
DAYS_PER_YEAR = 365.25


def patient_age(volume: slicer.vtkMRMLVolumeNode) -> float | None:
    """Years from the birth to the study; None where one of the dates is missing, hidden or no date."""
    found = {name: _attribute(volume, name) for name in (BIRTH, STUDY)}
    dates = [_date(text) for text in found.values()]
    if None in dates:
        return None
    years = (dates[1] - dates[0]).days / DAYS_PER_YEAR
    return years if 0 <= years < 150 else None


def _attribute(volume: slicer.vtkMRMLVolumeNode, name: str) -> str:
    """Of the volume's item in the data tree, or of the nearest one above that has it."""
    hierarchy = hierarchy_of(volume.GetScene())
    item = 0 if hierarchy is None else hierarchy.GetItemByDataNode(volume)
    while item and item != hierarchy.GetSceneItemID():
        if hierarchy.GetItemAttribute(item, name):
            return hierarchy.GetItemAttribute(item, name)
        item = hierarchy.GetItemParent(item)
    return ""


def _date(text: str) -> date | None:
    """Of YYYYMMDD, with or without dashes."""
    try:
        return datetime.strptime(text.replace("-", "").strip(), "%Y%m%d").date()
    except ValueError:
        return None
