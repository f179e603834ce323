"""registry.toml: read, checked against the components' schemas."""

from magdr_core.registry.parsed import Instance, Registry
from magdr_core.registry.read import default_registry, packaged_registry, parse_registry, read_registry

__all__ = ["Instance", "Registry", "default_registry", "packaged_registry", "parse_registry", "read_registry"]
