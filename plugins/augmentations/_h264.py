"""H.264 there and back, in memory (extra `video`: PyAV)."""

from __future__ import annotations

import io
from collections.abc import Mapping

import torch
from torch import Tensor

from magdr_core.api import DataError

FRAMES_PER_SECOND = 25


def through_h264(levels: Tensor, crf: int, options: Mapping[str, str]) -> Tensor:
    """The frames of a clip, uint8 `[n,H,W,3]` with even sides, n > 0, encoded by x264 and decoded.

    The codec converts to 4:2:0 and back itself. It works in one thread, by which its results are the same
    in every run.

    Args:
        crf: constant rate factor, 0 (nothing is lost but colour resolution) to 51.
        options: of x264 besides that.

    Raises:
        DataError: PyAV is missing, or cannot do it.
    """
    try:
        import av
    except ImportError:
        raise DataError("h264 needs PyAV: pip install 'magdr[video]'") from None
    stored = io.BytesIO()
    try:
        with av.open(stored, "w", format="h264") as container:
            stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
            stream.height, stream.width = levels.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": str(crf), "preset": "medium", **options}
            stream.codec_context.thread_count = 1
            for frame in levels.numpy():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        stored.seek(0)
        with av.open(stored, "r", format="h264") as container:
            container.streams.video[0].codec_context.thread_count = 1
            frames = [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    except av.error.FFmpegError as e:
        raise DataError(f"h264: the codec cannot be used ({e})") from None
    if len(frames) != len(levels):
        raise DataError(f"h264: the codec gave {len(frames)} frames back of {len(levels)}")
    return torch.stack(frames)
