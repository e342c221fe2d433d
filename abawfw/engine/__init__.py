"""Running: the runner, loops, hooks and optimisation, and the repairs of MMEngine they need."""
