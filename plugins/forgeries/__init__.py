"""Forgery families: each makes pictures whose forged pixels are known exactly."""
