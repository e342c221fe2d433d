"""Made-up data whose features carry valence and arousal."""
