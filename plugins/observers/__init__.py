"""Observers of benchmarks that tell experiment trackers: `magdr bench --observer NAME`.

A registry may name one, too: `[plugins] local = { tracker = "magdr_plugins.observers.mlflow" }`. None is
loaded unless it is asked for. Each tells everything when the run has ended, in one call: what a tracker
leaves behind (threads, a service, environment variables) would be the observer's fault.
"""
