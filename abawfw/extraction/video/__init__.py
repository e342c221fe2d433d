"""Images of a video and the files they come from."""
