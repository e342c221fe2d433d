"""The errors that abawfw raises on purpose; their text names what is at fault and the way out."""


class AbawfwError(Exception):
    """Base of all errors that a command line prints as one message, without a traceback."""


class ConfigError(AbawfwError):
    """A config cannot be built. Carries every problem found, one per line."""


class DataError(AbawfwError):
    """Stored data are missing, damaged or contradict one another."""


class CheckpointError(AbawfwError):
    """A checkpoint cannot be read, is not trusted, or belongs to another architecture."""


class TrainingError(AbawfwError):
    """Training cannot go on; what was saved and how to continue is in the message."""


class Interrupted(KeyboardInterrupt):
    """The user stopped a run; the message says what was saved and which command continues it."""
