"""Networks that components of several kinds are made of; no kind's folder, so nothing in it is a plugin."""
