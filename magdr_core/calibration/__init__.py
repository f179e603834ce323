"""Fitting and thresholds of detectors and defenses, on the calibration split only."""

from magdr_core.calibration.calibrator import CalibratedToolkit, Calibrator, Progress, wants_oracle
from magdr_core.calibration.file import SCHEMA, calibration_file, read_calibration, write_calibration
from magdr_core.calibration.from_pictures import PictureCalibration, calibrate_on_pictures
from magdr_core.calibration.partition import CalibrationPart, CalibrationPartition
from magdr_core.measures.thresholds import (
    best_f1_threshold,
    promised_fpr,
    rate_kept,
    scores_needed,
    threshold_at_fpr,
)

__all__ = [
    "SCHEMA",
    "CalibratedToolkit",
    "CalibrationPart",
    "CalibrationPartition",
    "Calibrator",
    "PictureCalibration",
    "Progress",
    "best_f1_threshold",
    "calibrate_on_pictures",
    "calibration_file",
    "promised_fpr",
    "rate_kept",
    "read_calibration",
    "scores_needed",
    "threshold_at_fpr",
    "wants_oracle",
    "write_calibration",
]
