"""Fitting and thresholds of detectors and defenses, on the calibration split only."""

from magdr_core.calibration.calibrator import SCHEMA, Calibrator, Progress, calibration_file, read_calibration
from magdr_core.calibration.calibrator import Parts as Parts
from magdr_core.calibration.calibrator import wants_oracle as wants_oracle
from magdr_core.calibration.thresholds import best_f1_threshold, threshold_at_fpr

__all__ = [
    "SCHEMA",
    "Calibrator",
    "Progress",
    "best_f1_threshold",
    "calibration_file",
    "read_calibration",
    "threshold_at_fpr",
    "wants_oracle",
]
