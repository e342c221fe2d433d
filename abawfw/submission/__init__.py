"""From the prediction files of runs to what a challenge accepts."""
