"""What all of the house agrees on about videos and their labels."""

TARGETS = ('valence', 'arousal')
"""What is estimated, and the order of the columns of labels and predictions."""
NO_LABEL = -5.0
"""What Aff-Wild2 writes for a frame that could not be annotated (docs/challenge.md)."""
FRAMES_APART = 2
"""By which labels, features, crops or a sample may miss the frames of their video: off by one is the normal
case in Aff-Wild2 (docs/challenge.md)."""
