"""How clips come into memory: read as they are needed, or once."""

from abawfw.datasets.loading.auto import Auto
from abawfw.datasets.loading.resident import Resident
from abawfw.datasets.loading.stream import Stream

__all__ = ['Auto', 'Resident', 'Stream']
