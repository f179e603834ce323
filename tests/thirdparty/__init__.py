"""Plugins of third parties, as they would write them."""
