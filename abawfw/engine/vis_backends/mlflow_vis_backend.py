"""Figures of a run for MLflow."""

from __future__ import annotations

import http.client
import importlib
import os
import re
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.visualization.vis_backend import BaseVisBackend, force_init_env

from abawfw.errors import ConfigError
from abawfw.registry import VISBACKENDS

BATCH = 100  # parameters that MLflow takes at once
PATIENCE = 5.0  # seconds that a server has to answer before the run begins
# MLflow's own limits let a run stand still for many minutes each time a server does not answer.
LIMITS = {'MLFLOW_HTTP_REQUEST_TIMEOUT': '10', 'MLFLOW_HTTP_REQUEST_MAX_RETRIES': '2'}


@VISBACKENDS.register_module()
class MLflowVisBackend(BaseVisBackend):
    """Figures of every epoch, and the config as parameters, for MLflow.

    MMEngine's writes to folders of files, which MLflow refuses now, and too many parameters at once.
    Every value of the config is a parameter under its dotted key; the tag ``work_dir`` says where
    checkpoints and predictions lie.

    Args:
        save_dir: folder of this start of the run, RUN/DATE/vis_data.
        tracking_uri: database or server, such as ``sqlite:///work_dirs/mlflow.db``.
        experiment: name under which runs are listed together.

    Raises:
        ConfigError: with the first use, the database or the server takes no run.
    """

    needs = (('mlflow', 'sqlalchemy', 'alembic'), 'mlflow')

    def __init__(self, save_dir: str, tracking_uri: str, experiment: str = 'abawfw') -> None:
        super().__init__(save_dir)
        self._tracking_uri, self._experiment = tracking_uri, experiment

    @staticmethod
    def problem(backend: dict[str, Any]) -> str | None:
        """Why the server that a config names cannot be used, found out in some seconds; None if it can."""
        uri = backend.get('tracking_uri')
        if not isinstance(uri, str) or not uri.startswith(('http://', 'https://')):
            return None
        uri = _without_password(uri)
        why: list[str] = [f'no answer in {PATIENCE:g} s']
        # in a thread, since looking up a name has no time limit
        asking = threading.Thread(target=_ask, args=(uri, why), daemon=True)
        asking.start()
        asking.join(PATIENCE)
        said = list(why)  # the thread may still come to its end
        if not said:
            return None
        return (
            f'the MLflow server at tracking_uri {uri} cannot be reached ({said[-1]}): start it, or name '
            'another with --cfg-options mlflow_uri=..., such as sqlite:///work_dirs/mlflow.db'
        )

    def _init_env(self) -> None:
        for name, value in LIMITS.items():
            os.environ.setdefault(name, value)
        try:
            self._begin(importlib.import_module('mlflow'))
        except Exception as error:  # of MLflow, of the database behind it, of the network
            place, reason = _without_password(self._tracking_uri), str(error).strip().partition('\n')[0]
            raise ConfigError(
                f'MLflow at tracking_uri {place} accepts no run ({reason}): name another place with '
                '--cfg-options mlflow_uri=...'
            ) from error

    def _begin(self, mlflow: Any) -> None:
        path = self._tracking_uri.removeprefix('sqlite:///')
        if path != self._tracking_uri:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._client = mlflow.MlflowClient(tracking_uri=self._tracking_uri)
        found = self._client.get_experiment_by_name(self._experiment)
        number = found.experiment_id if found else self._client.create_experiment(self._experiment)
        work_dir = Path(self._save_dir).resolve().parents[1]
        run = self._client.create_run(number, run_name=work_dir.name, tags={'work_dir': str(work_dir)})
        self._run = run.info.run_id

    @property
    @force_init_env
    def experiment(self) -> Any:
        """MLflow's client."""
        return self._client

    @force_init_env
    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Record every value of the config as it was given, overrides included."""
        entities = importlib.import_module('mlflow.entities')
        params = [entities.Param(key, str(value)) for key, value in _flat(config.to_dict(), '')]
        for i in range(0, len(params), BATCH):
            self._client.log_batch(self._run, params=params[i : i + BATCH])

    @force_init_env
    def add_scalars(
        self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Record the figures of an epoch, ``step``."""
        entities = importlib.import_module('mlflow.entities')
        now = round(time.time() * 1000)
        metrics = [entities.Metric(key, float(value), now, step) for key, value in scalar_dict.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self) -> None:
        """End MLflow's run; as failed while an exception is being handled."""
        if hasattr(self, '_run'):
            failed = sys.exc_info()[0] is not None
            self._client.set_terminated(self._run, 'FAILED' if failed else 'FINISHED')


def _ask(uri: str, why: list[str]) -> None:
    """Leave nothing in ``why`` if a server answers, whatever it says, or else the reason at its end."""
    try:
        urllib.request.urlopen(f'{uri.rstrip("/")}/health', timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        pass
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, 'reason', error)
        if not isinstance(reason, ssl.SSLError):  # whose certificates to trust is MLflow's matter
            why.append(str(reason))
            return
    why.clear()


def _without_password(uri: str) -> str:
    return re.sub(r'(?<=://)[^/@]*@', '', uri)


def _flat(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Values by dotted key; a list with components in it by their number."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _flat(value, f'{place}.{key}' if place else str(key))
    elif isinstance(node, (list, tuple)) and any(isinstance(item, dict) for item in node):
        for i, item in enumerate(node):
            yield from _flat(item, f'{place}.{i}')
    else:
        yield place, node
