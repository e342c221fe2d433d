"""Audio of a video, as samples and as a stream."""
