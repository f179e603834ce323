"""Pictures and clips of the user's own: reading, writing, and where the face is.

Everything outside comes in through here, so this is where files are not trusted: a file that cannot be used
is a :class:`~magdr_core.errors.DataError` of one line that names it.
"""

from magdr_core.media.faces import Box, cut, face_cut, paste, paste_change, whole_cut
from magdr_core.media.finding import Cascade, find_faces
from magdr_core.media.formats import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from magdr_core.media.found import FaceFinder, FoundFace, faces_in, places_in
from magdr_core.media.pictures import Picture, picture_of, read_picture, without_colours, write_picture
from magdr_core.media.video import Video, read_video
from magdr_core.media.video_writer import video_writer, write_video

__all__ = [
    "PICTURE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Box",
    "Cascade",
    "FaceFinder",
    "FoundFace",
    "Picture",
    "Video",
    "cut",
    "face_cut",
    "faces_in",
    "find_faces",
    "paste",
    "paste_change",
    "picture_of",
    "places_in",
    "read_picture",
    "read_video",
    "video_writer",
    "whole_cut",
    "without_colours",
    "write_picture",
    "write_video",
]
