"""Pages, figures and annotated videos of what a run predicts."""
