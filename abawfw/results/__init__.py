"""The folder of a run: what is written into it after training, and read from it by anyone."""
