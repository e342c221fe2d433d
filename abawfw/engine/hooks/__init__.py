"""What happens around iterations and epochs."""

import abawfw.quick_mmengine
from abawfw.engine.hooks.checkpoint_hook import VACheckpointHook
from abawfw.engine.hooks.early_stop_hook import EarlyStopHook
from abawfw.engine.hooks.ema_hook import EMAHook
from abawfw.engine.hooks.epoch_log_hook import EpochLogHook
from abawfw.engine.hooks.gradual_release_hook import GradualReleaseHook
from abawfw.engine.hooks.interrupt_hook import InterruptHook
from abawfw.engine.hooks.non_finite_loss_hook import NonFiniteLossHook
from abawfw.engine.hooks.param_scheduler_hook import ParamSchedulerHook
from abawfw.engine.hooks.progress_hook import ProgressHook
from abawfw.engine.hooks.pruning_hook import PruningHook
from abawfw.engine.hooks.reload_best_hook import ReloadBestHook
from abawfw.engine.hooks.summary_hook import SummaryHook
from abawfw.engine.hooks.time_budget_hook import TimeBudgetHook
from abawfw.engine.hooks.training_log_hook import TrainingLogHook
from abawfw.engine.hooks.training_metric_hook import TrainingMetricHook
from abawfw.engine.hooks.validation_loss_hook import ValidationLossHook

__all__ = [
    'EMAHook',
    'EarlyStopHook',
    'EpochLogHook',
    'GradualReleaseHook',
    'InterruptHook',
    'NonFiniteLossHook',
    'ParamSchedulerHook',
    'ProgressHook',
    'PruningHook',
    'ReloadBestHook',
    'SummaryHook',
    'TimeBudgetHook',
    'TrainingLogHook',
    'TrainingMetricHook',
    'VACheckpointHook',
    'ValidationLossHook',
]
