"""What travels with a clip through the whole house."""

from mmengine.structures import BaseDataElement


class VADataSample(BaseDataElement):
    """One clip of a video, its labels, and on the way back its predictions.

    Meta information (``sample.video_id`` ...):
        video_id (str): the video the clip is cut from.
        start (int): index of the clip's first frame in the video.
        num_frames (int): frames of the clip that exist; 0 for a filler that only keeps ranks in step.
        video_length (int): frames of the whole video.
        lane (int): which stream of a lane batch the clip belongs to (0 outside lane batches).
        starts_video (bool): True if carried state must be reset before this clip.

    Data:
        gt_va (Tensor): labels, (time, 2), float32, columns valence and arousal, NaN where there is none.
        valid (Tensor): (time,), bool, True where the frame exists, False for padding.
        observed (Tensor): (time, modalities), bool, columns in the order of the inputs: False where there is
            nothing to see of a modality, such as a missing face, and for padding.
        pred_va (Tensor): predictions without padding, (num_frames, number of targets), float32, set by the
            estimator.

    ``time`` is the length of the batch the clip stands in, ``num_frames`` or more.
    """
