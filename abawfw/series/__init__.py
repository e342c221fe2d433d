"""Many runs: launchers, sweeps, and their tables."""
