"""A config: loaded, resolved, checked, compared, overridden."""
