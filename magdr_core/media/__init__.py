"""Pictures and clips of the user's own: reading, writing, and where the face is.

Everything outside comes in through here, so this is where files are not trusted: a file that cannot be used
is a :class:`~magdr_core.errors.DataError` of one line that names it.
"""

from magdr_core.media.pictures import PICTURE_SUFFIXES, Picture, read_picture, write_picture
from magdr_core.media.video import VIDEO_SUFFIXES, Video, read_video, write_video

__all__ = [
    "PICTURE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Picture",
    "Video",
    "read_picture",
    "read_video",
    "write_picture",
    "write_video",
]
