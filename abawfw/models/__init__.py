"""Models: the estimator and what stands in its slots.

Importing the package registers the estimator and its data preprocessor; what stands in a slot is registered
by the slot's own package when a config first names it.
"""

import abawfw.quick_mmengine
from abawfw.models.data_preprocessor import VADataPreprocessor
from abawfw.models.estimator import VAEstimator

__all__ = ['VADataPreprocessor', 'VAEstimator']
