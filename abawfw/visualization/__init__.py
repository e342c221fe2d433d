"""Pictures of what a run has learnt."""
