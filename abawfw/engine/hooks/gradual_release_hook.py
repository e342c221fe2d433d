"""Frozen parts that are trained one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import MinLen
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.components import Positive
from abawfw.engine.hooks.checkpoint_hook import VACheckpointHook
from abawfw.engine.schedulers import WarmupPlateauLR
from abawfw.engine.training_state import Resumable, bare_model
from abawfw.errors import ConfigError, nearest
from abawfw.registry import HOOKS


@HOOKS.register_module()
class GradualReleaseHook(Resumable, Hook):
    """Train frozen parts of the model stage by stage (docs/tagf.md, Training).

    The first stage is released before the first epoch, the next one each time the learning rate has fallen
    below ``min_lr`` after the warm-up. With each release but the first the best weights so far are reloaded,
    the optimiser starts without a state and the schedule with its warm-up, and ``EarlyStopHook`` counts from
    0. When the rate has fallen once more after the last stage, training ends. Needs ``WarmupPlateauLR`` as
    ``param_scheduler`` and ``VACheckpointHook``.

    Args:
        stages: names of the parts that each stage releases, such as ``backbones.video.output_layer``; they
            lie within parts that ``model.frozen`` names, or are such parts.
        min_lr: the rate that the schedule must have fallen below.
        monitor: the score of the best weights: 'ccc', 'ccc_valence' or 'ccc_arousal'.

    Raises:
        ConfigError: ``stages`` is not a list of lists of names, or there is none.
    """

    position = ('stage',)
    priority = 80  # between epochs: after EarlyStopHook has counted and ParamSchedulerHook set the rate

    def __init__(
        self,
        stages: Annotated[Sequence[Sequence[str]], MinLen(1)],
        min_lr: Positive = 1e-8,
        monitor: str = 'ccc',
    ) -> None:
        if not stages or any(isinstance(names, str) or not names for names in stages):
            raise ConfigError(
                f'GradualReleaseHook.stages: a list of lists of part names, one list for each release, not '
                f'{stages!r}'
            )
        self.stages, self.min_lr, self.monitor = [list(names) for names in stages], min_lr, monitor
        self.stage = 0

    def before_train(self, runner: Runner) -> None:
        """Release the first stage; a resumed run has done so.

        Raises:
            ConfigError: a stage names a part that does not exist or is not frozen, and the check of the
                config could not build the model.
        """
        self.check_parts(bare_model(runner))
        schedule = _schedule(runner)
        if not self.stage:
            self._release(runner)
        runner.train_loop.stop_training |= self.stage >= len(self.stages) and schedule.is_below(self.min_lr)

    def between_epochs(self, runner: Runner) -> None:
        """Release the next stage, or end training, if the rate asks for it."""
        if runner.train_loop.stop_training or not _schedule(runner).is_below(self.min_lr):
            return
        if self.stage >= len(self.stages):
            runner.logger.info(
                f'the learning rate has fallen below {self.min_lr:g} after the last of {len(self.stages)} '
                f'stages: stopping'
            )
            runner.train_loop.stop_training = True
            return
        VACheckpointHook.of(runner, 'GradualReleaseHook').reload_best(runner, self.monitor)
        runner.optim_wrapper.forget()
        self._release(runner)
        runner.call_hook('after_release')

    def _release(self, runner: Runner) -> None:
        names = self.stages[self.stage]
        self.stage += 1
        runner.release(names)
        runner.logger.info(
            f'stage {self.stage} of {len(self.stages)}: {", ".join(names)} trained from here on'
        )

    def check_parts(self, model: Any) -> None:
        """ConfigError if a stage names a part that the model does not have, or that is not frozen."""
        trainable = [n for n, m in model.named_modules() if n and any(True for _ in m.parameters())]
        problems = []
        for number, names in enumerate(self.stages, 1):
            for name in names:
                if name not in trainable:
                    problem = f'is no part of the model with parameters: {nearest(name, trainable)}'
                elif not any(_overlap(name, part) for part in model.frozen):
                    problem = 'is not frozen, so it is trained from the start: name it in model.frozen'
                else:
                    continue
                problems.append(f'GradualReleaseHook, stage {number}: {name!r} {problem}')
        if problems:
            raise ConfigError('\n'.join(problems))


def _overlap(part: str, other: str) -> bool:
    """Whether one of two parts lies within the other, or is it."""
    return f'{part}.'.startswith(f'{other}.') or f'{other}.'.startswith(f'{part}.')


def _schedule(runner: Runner) -> WarmupPlateauLR:
    for schedule in runner.param_schedulers or []:
        if isinstance(schedule, WarmupPlateauLR):
            return schedule
    raise ConfigError("GradualReleaseHook needs param_scheduler=[dict(type='WarmupPlateauLR', ...)]")
