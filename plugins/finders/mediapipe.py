"""BlazeFace through MediaPipe's face detector task, which tells eyes and mouth, so that every cut is aligned.

The network comes in a file of its own, which neither MediaPipe nor magdr brings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from torch import Tensor

from magdr_core.api import DataError, DataPath, Field, FinderSpec, FoundFace, hookimpl

MAGDR_API = 1

EYES, MOUTH = (0, 1), 3
"""Among the six points that the network gives, after which come the ears."""

Share = Annotated[float, Field(ge=0, le=1)]


class MediaPipe:
    """MediaPipe's face detector, BlazeFace, whose network is in a file of one's own.

    Args:
        model: that file, `blaze_face_short_range.tflite`, say.
        confidence: least score of a face.
        suppression: faces that overlap by more, as the intersection over the union, are one.
        upright: a face that is turned by fewer degrees is cut out upright.

    Raises:
        DataError: there is no such file.
    """

    def __init__(
        self,
        *,
        model: DataPath = "",
        confidence: Share = 0.5,
        suppression: Share = 0.3,
        upright: Annotated[float, Field(ge=0, le=180)] = 10.0,
    ) -> None:
        if not model:
            raise DataError(
                'mediapipe: say where the network is, params = { model = "blaze_face_short_range.tflite" }; '
                "it is to be had at https://ai.google.dev/edge/mediapipe/solutions/vision/face_detector"
            )
        if not Path(model).is_file():
            raise DataError(f"mediapipe: model {model} is no file")
        import mediapipe

        self.upright = upright
        self._image, self._rgb = mediapipe.Image, mediapipe.ImageFormat.SRGB
        tasks = mediapipe.tasks
        options = tasks.vision.FaceDetectorOptions(
            base_options=tasks.BaseOptions(model_asset_path=model),
            running_mode=tasks.vision.RunningMode.IMAGE,
            min_detection_confidence=confidence,
            min_suppression_threshold=suppression,
        )
        self._detector: Any = tasks.vision.FaceDetector.create_from_options(options)

    def __call__(self, picture: Tensor) -> list[FoundFace]:
        """The faces of a picture `[3,H,W]` uint8, the surest one first.

        Raises:
            DataError: the network tells no eyes and mouth.
        """
        pixels = picture.cpu().permute(1, 2, 0).contiguous().numpy()
        seen = self._detector.detect(self._image(image_format=self._rgb, data=pixels)).detections
        height, width = picture.shape[1:]
        faces = [self._face(one, height, width) for one in seen]
        # The task gives an order, and promises none. What it sees beyond the picture has no pixel to show.
        faces = [face for face in faces if face.box.side >= 1 and face.box.reaches(height, width)]
        return sorted(faces, key=lambda face: -face.score)

    def _face(self, seen: Any, height: int, width: int) -> FoundFace:
        points = [(point.x * width, point.y * height) for point in seen.keypoints or ()]
        if len(points) <= MOUTH:
            raise DataError("mediapipe: the network of this file tells no eyes and mouth; take BlazeFace")
        score = min(1.0, max(0.0, float(seen.categories[0].score)))
        return FoundFace.from_landmarks(
            points[EYES[0]], points[EYES[1]], points[MOUTH], score=score, upright=self.upright
        )


@hookimpl
def magdr_finders() -> list[FinderSpec]:
    return [
        FinderSpec(
            name="mediapipe",
            build=MediaPipe,
            cite="Bazarevsky et al., BlazeFace, CVPR workshops 2019; google-ai-edge/mediapipe",
            requires=("mediapipe",),
            extra="magdr[mediapipe]",
        )
    ]
