"""From raw video and audio to features."""
