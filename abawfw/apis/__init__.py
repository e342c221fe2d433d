"""What the command lines and notebooks call."""
