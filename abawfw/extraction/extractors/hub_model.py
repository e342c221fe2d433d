"""A model of transformers, from a folder or the hub."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from abawfw.devices import find_device
from abawfw.errors import DataError
from abawfw.extraction.extractors.base import fingerprint
from abawfw.extraction.packages import optional_package


class HubModel:
    """What transformers loads by a folder or a name; loaded when first used, in evaluation mode.

    Args:
        feature: that it makes, for errors.
        model: folder written by ``save_pretrained``, or name on the hub, from where it is downloaded once.
        example: name of a model that fits, for the error if none is given.
        prepares: class of transformers that prepares the input: 'AutoTokenizer' or 'AutoFeatureExtractor'.
        device: where it runs, as `find_device` takes it.
    """

    def __init__(
        self, feature: str, model: str | Path | None, example: str, prepares: str, device: str
    ) -> None:
        self._feature, self._example = feature, example
        self._model = None if model is None else str(model)
        self._prepares, self._device = prepares, device

    def settings(self) -> dict[str, Any]:
        """See `Extractor.settings`: a folder by what is in it, another one by its name.

        Raises:
            DataError: no model is given, or its folder is missing.
        """
        name = self._name()
        return {'model': fingerprint(Path(name)) if Path(name).is_dir() else name}

    def check(self) -> None:
        """Load it.

        Raises:
            DataError: transformers is not installed, no model is given, or it cannot be loaded.
        """
        _ = self.config, self.model, self.prepare

    @cached_property
    def config(self) -> Any:
        """Its config, without its weights."""
        return self._load('AutoConfig')

    @cached_property
    def prepare(self) -> Any:
        """Its tokenizer or feature extractor."""
        return self._load(self._prepares)

    @cached_property
    def model(self) -> Any:
        """The network in float32."""
        return self._load('AutoModel').float().eval().requires_grad_(False).to(find_device(self._device))

    def _name(self) -> str:
        if self._model is None:
            raise DataError(
                f'feature {self._feature!r} needs model=FOLDER or the name of a model on the hub, such as '
                f'{self._example}'
            )
        path = Path(self._model)
        # a name on the hub is NAME or OWNER/NAME
        if not path.is_dir() and (len(path.parts) > 2 or self._model.startswith(('.', '/', '~'))):
            raise DataError(f'feature {self._feature!r}: {self._model}: no such folder with a model')
        return self._model

    def _load(self, component: str) -> Any:
        name = self._name()
        what = f'feature {self._feature!r}'
        transformers: Any = optional_package('transformers', 'speech', what)
        logging = transformers.utils.logging
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()  # heads of other tasks in the file are of no interest
        logging.disable_progress_bar()
        try:
            return getattr(transformers, component).from_pretrained(
                name, local_files_only=Path(name).is_dir()
            )
        except Exception as error:  # every kind of model raises something else
            reason = f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'
            raise DataError(
                f'{what}: {name}: {component} cannot be loaded ({reason}); give the folder of a model '
                f'written by save_pretrained, or the name of one on the hub, such as {self._example}'
            ) from error
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
