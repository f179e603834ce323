"""The hooks, and the plugins that implement them: found, imported, registered."""
