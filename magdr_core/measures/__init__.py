"""Figures of merit: per-image measures, thresholds, statistics with their intervals."""
