"""Every registry of abawfw and, in a comment line, what it holds.

A component registers itself with ``@REGISTRY.register_module()`` and is named in a config by its class
name. ``locations`` makes MMEngine import the package that defines a component when it is first looked up,
so no config needs ``custom_imports`` for what abawfw ships.
"""

import inspect
from typing import Any

from mmengine import registry as mmengine
from mmengine.registry import Registry


def _registry(name: str, *locations: str, parent: Registry | None = None) -> Registry:
    modules = [x if x.startswith('mmengine.') else f'abawfw.{x}' for x in locations]
    return Registry(name, parent=parent, scope='abawfw', locations=modules)


class BackboneRegistry(Registry):
    """Backbones by class name; ``timm:NAME`` is short for ``TimmBackbone`` with this ``name``."""

    def get(self, key: str) -> Any:
        """The component of this name, None if there is none."""
        library, colon, name = key.partition(':')
        if not (colon and library == 'timm'):
            return super().get(key)
        backbone: Any = super().get('TimmBackbone')

        def build(**arguments: Any) -> Any:
            return backbone(name=name, **arguments)

        build.__name__ = key
        signature = inspect.signature(backbone, eval_str=True)
        given = [p for p in signature.parameters.values() if p.name != 'name']
        build.__signature__ = signature.replace(parameters=given)  # type: ignore[attr-defined]
        return build


# --- data: where features lie, what is cut, what is done to a clip, and in which order clips come
STORES = _registry('store', 'datasets.stores')  # where features and labels lie
SPLITS = _registry('split', 'datasets.splits')  # which videos train, which validate
CLIPS = _registry('clip rule', 'datasets.clips')  # how a video is cut into clips
TRANSFORMS = _registry(
    'transform', 'datasets.transforms', parent=mmengine.TRANSFORMS
)  # what is done to a clip
SAMPLERS = _registry('sampler', 'datasets.samplers', parent=mmengine.DATA_SAMPLERS)  # clips -> batches
LOADINGS = _registry('loading policy', 'datasets.loading')  # whether data are read as needed or once
DATASETS = _registry('dataset', 'datasets.clip_dataset', parent=mmengine.DATASETS)  # clips of videos

# --- models: one registry per slot of the estimator
MODELS = _registry(
    'model', 'models', parent=mmengine.MODELS
)  # whole estimators, data preprocessors, wrappers
BACKBONES = BackboneRegistry(  # pixels or log-mel -> one vector per frame; timm:NAME is any network of timm
    'backbone', scope='abawfw', locations=['abawfw.models.backbones']
)
ENCODERS = _registry('encoder', 'models.encoders')  # temporal model of one modality
FUSIONS = _registry('fusion', 'models.fusions')  # modalities -> one sequence
CONTEXTS = _registry('context', 'models.contexts')  # temporal models after fusion, possibly stateful
HEADS = _registry('head', 'models.heads')  # sequence -> valence and arousal
LOSSES = _registry('loss', 'models.losses')  # what a head is trained with

WEIGHT_INITIALIZERS = _registry(  # how initial weights are drawn
    'weight initializer', 'mmengine.model', parent=mmengine.WEIGHT_INITIALIZERS
)

# --- extraction: from raw video and audio to a store
FACE_DETECTORS = _registry('face detector', 'extraction.faces.detectors')  # images -> faces
EXTRACTORS = _registry('extractor', 'extraction.extractors')  # faces, audio, transcript -> a vector per frame

# --- running: loops, hooks, optimisation, measuring
RUNNERS = _registry('runner', 'engine.va_runner', parent=mmengine.RUNNERS)  # builds and runs everything below
LOOPS = _registry(
    'loop', 'engine.loops', 'mmengine.runner', parent=mmengine.LOOPS
)  # training and evaluation loops
HOOKS = _registry(
    'hook', 'engine.hooks', 'mmengine.hooks', parent=mmengine.HOOKS
)  # what happens around iterations and epochs
OPTIM_WRAPPERS = _registry(
    'optim wrapper', 'engine.optim', parent=mmengine.OPTIM_WRAPPERS
)  # precision, clipping
OPTIM_WRAPPER_CONSTRUCTORS = _registry(  # parameter groups
    'optim wrapper constructor', 'engine.optim', parent=mmengine.OPTIM_WRAPPER_CONSTRUCTORS
)
OPTIMIZERS = _registry('optimizer', 'mmengine.optim', parent=mmengine.OPTIMIZERS)  # torch's optimisers
PARAM_SCHEDULERS = _registry(
    'parameter scheduler', 'engine.schedulers', 'mmengine.optim', parent=mmengine.PARAM_SCHEDULERS
)  # lr
LAUNCHERS = _registry('launcher', 'series.launchers')  # how many runs are started, here or on a cluster
POSTPROCESSORS = _registry('postprocessor', 'evaluation.postprocess')  # raw predictions -> better ones
RATER_FUSIONS = _registry('rater fusion', 'evaluation.raters')  # ratings of several persons -> one label
METRICS = _registry('metric', 'evaluation.va_metric', parent=mmengine.METRICS)  # predictions -> numbers
EVALUATORS = _registry(
    'evaluator', 'mmengine.evaluator', parent=mmengine.EVALUATOR
)  # MMEngine's bundle of metrics
LOG_PROCESSORS = _registry(
    'log processor', 'mmengine.runner', parent=mmengine.LOG_PROCESSORS
)  # MMEngine's log formatting
VISUALIZERS = _registry(
    'visualizer', 'mmengine.visualization', parent=mmengine.VISUALIZERS
)  # MMEngine's scalar recorder
VISBACKENDS = _registry(  # TensorBoard and other trackers
    'visualizer backend', 'engine.vis_backends', 'mmengine.visualization', parent=mmengine.VISBACKENDS
)
