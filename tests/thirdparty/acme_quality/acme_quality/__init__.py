"""Picture quality without a reference: a kind, measures of it, a role and a scenario."""
