"""Equals of layers that are faster on CPUs, each tested against its plain one."""
