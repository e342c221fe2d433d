"""What the command lines and notebooks call: one file per verb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.apis.annotate import write_annotation_page
    from abawfw.apis.check import check_config
    from abawfw.apis.check_data import check_data
    from abawfw.apis.compare import compare, comparison_text
    from abawfw.apis.compare_configs import compare_configs, protocol_text, read_protocol
    from abawfw.apis.convert import (
        convert_rucaim3_checkpoint,
        convert_state_dict,
    )
    from abawfw.apis.cross_validate import cross_validate
    from abawfw.apis.export import export
    from abawfw.apis.extract_embeddings import extract_embeddings
    from abawfw.apis.extract_features import extract_features
    from abawfw.apis.fuse_raters import fuse_raters
    from abawfw.apis.infer import find_sources, infer, infer_store, infer_video
    from abawfw.apis.inferencer import VAInferencer
    from abawfw.apis.network import NetworkInferencer
    from abawfw.apis.rater_frames import frames_at_rate, frames_of_store, frames_of_videos
    from abawfw.apis.report import write_comparison, write_data_report, write_run_report
    from abawfw.apis.stream import VAStream
    from abawfw.apis.sweep import search, sweep
    from abawfw.apis.test import test
    from abawfw.apis.train import train

lazy(__name__)
