"""Which finder of faces is used, and what core asks of it."""

import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest
import torch

from magdr_core.errors import ComponentError, MagdrError
from magdr_core.guards import GuardedFinder
from magdr_core.media import Box, FoundFace, find_faces
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit

PLUGIN = '''
from magdr_core.api import Box, FinderSpec, FoundFace, hookimpl

MAGDR_API = 1


class Corner:
    """A face in the upper left corner."""

    def __init__(self, *, side: int = 8):
        self.side = side

    def __call__(self, picture):
        return [FoundFace(Box(0, 0, self.side))]


@hookimpl
def magdr_finders():
    return [FinderSpec(name="corner", build=Corner)]
'''


def kit(folder, text=""):
    (folder / "own.py").write_text(PLUGIN)
    text = f'[plugins]\nlocal = {{ own = "./own.py" }}\n{text}'
    return Toolkit(parse_registry(text, folder / "registry.toml"), device="cpu")


GREY = torch.full((3, 40, 60), 128, dtype=torch.uint8)


def test_the_cascade_is_there_without_any_table(astronaut, tmp_path):
    levels = (astronaut * 255).round().byte()
    finder = kit(tmp_path).finder()
    assert finder.label == "cascade"
    assert finder(levels) == [FoundFace(box) for box in find_faces(levels)]
    assert finder.places(levels) == [FoundFace(box) for box in find_faces(levels, aligned=False)]


def test_the_first_table_of_the_registry_is_the_finder_unless_another_is_named(tmp_path):
    toolkit = kit(
        tmp_path,
        '[finder.small]\nuse = "own/corner"\n[finder.large]\nuse = "own/corner"\nparams = { side = 20 }\n',
    )
    assert toolkit.finder()(GREY)[0].box.side == 8
    assert toolkit.finder("large")(GREY)[0].box.side == 20
    assert toolkit.finder("cascade")(GREY) == []
    assert toolkit.finder("own/corner")(GREY)[0].box.side == 8
    with pytest.raises(MagdrError, match=r"no finder named 'larg'.*large"):
        toolkit.finder("larg")


# -- what is asked of a finder ---------------------------------------------------------------------------


def guarded(result):
    return GuardedFinder(result if callable(result) else lambda picture: result, "finder acme of acme")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returned a NoneType, expected a list of FoundFace"),
        (torch.zeros(1, 4), "returned a Tensor, expected a list"),
        ([Box(0, 0, 8)], "returned a Box in its list, expected a FoundFace"),
        ([FoundFace(Box(0, 0, 8), 1.5)], r"score = 1.5, expected a number in \[0,1\]"),
        ([FoundFace(Box(0, 0, 8), float("nan"))], "score = nan"),
        ([FoundFace(Box(0, 0, 0))], "a side of at least 1"),
        ([FoundFace(Box(0.5, 0, 8))], "whole pixels"),
        ([FoundFace(Box(0, 0, 8, float("inf")))], "an angle from -180 to 180 degrees"),
        ([FoundFace(Box(40, 0, 8))], "lies beside the picture of 40 x 60"),
        ([FoundFace(Box(0, 0, 8), 0.2), FoundFace(Box(9, 9, 8), 0.3)], "0.3 after 0.2"),
        (lambda picture: list(picture.zero_()[:0]), "edits its input in place"),
        (lambda picture: [][0], "failed on 3x40x60: IndexError"),
        (lambda picture: [torch.rand(1)][1:], "draws from the global random generator"),
    ],
)
def test_what_a_finder_must_not_give_is_said_in_one_line(result, words):
    with pytest.raises(ComponentError, match=words) as error:
        guarded(result)(GREY)
    assert str(error.value).startswith("finder acme of acme: ")
    assert "\n" not in str(error.value)
    assert int(GREY.min()) == 128


def test_a_finder_may_count_in_numpy(tmp_path):
    import numpy as np

    face = FoundFace(Box(np.int64(1), np.int32(2), np.int64(9), np.float32(3)), np.float32(0.5))
    (found,) = guarded([face])(GREY)
    assert found == FoundFace(Box(1, 2, 9, 3.0), 0.5)
    assert type(found.box.top) is int


def test_where_others_work_only_what_is_found_is_judged():
    told = []

    def ask(finder):
        try:
            told.append(finder(GREY))
        except Exception as e:
            told.append(str(e))

    begun, changed = threading.Event(), threading.Event()

    def looking(picture):
        begun.set()
        assert changed.wait(60)
        return [FoundFace(Box(0, 0, 8))]

    precision = torch.get_float32_matmul_precision()
    for result in (looking, lambda picture: [][0], lambda picture: sys.exit(3), None):
        reader = threading.Thread(target=ask, args=(guarded(result),))
        reader.start()
        try:
            assert begun.wait(60)
            torch.set_float32_matmul_precision("medium")  # as a pipeline does meanwhile
            changed.set()
            reader.join()
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            torch.set_float32_matmul_precision(precision)
    assert told[0] == [FoundFace(Box(0, 0, 8))]
    assert told[1] == "finder acme of acme: failed on 3x40x60: IndexError: list index out of range"
    assert told[2].startswith("finder acme of acme: failed on 3x40x60: SystemExit")
    assert told[3] == "finder acme of acme: returned a NoneType, expected a list of FoundFace"


# -- MediaPipe, which need not be there ------------------------------------------------------------------

POINTS = [(0.26, 0.30), (0.34, 0.30), (0.30, 0.34), (0.30, 0.38), (0.2, 0.3), (0.4, 0.3)]


def detection(score, shift=0.0, points=POINTS):
    return SimpleNamespace(
        categories=[SimpleNamespace(score=score)],
        keypoints=[SimpleNamespace(x=x + shift, y=y) for x, y in points],
    )


@pytest.fixture
def mediapipe(monkeypatch):
    """A stand-in with the calls that MediaPipe's face detector has; `seen` is what it detects."""
    module = ModuleType("mediapipe")
    module.given, module.seen = SimpleNamespace(), []

    class Detector:
        def detect(self, image):
            module.given.image = image
            return SimpleNamespace(detections=module.seen)

    def create(options):
        module.given.options = options
        return Detector()

    module.Image = lambda image_format, data: SimpleNamespace(format=image_format, data=data)
    module.ImageFormat = SimpleNamespace(SRGB="srgb")
    module.tasks = SimpleNamespace(
        BaseOptions=lambda model_asset_path: model_asset_path,
        vision=SimpleNamespace(
            FaceDetectorOptions=lambda **told: SimpleNamespace(**told),
            RunningMode=SimpleNamespace(IMAGE="image"),
            FaceDetector=SimpleNamespace(create_from_options=create),
        ),
    )
    monkeypatch.setitem(sys.modules, "mediapipe", module)
    return module


TABLE = '[finder.blaze]\nuse = "mediapipe"\nparams = { model = "net.tflite", confidence = 0.25 }\n'


def test_mediapipe_s_eyes_and_mouth_become_an_aligned_square(mediapipe, tmp_path):
    (tmp_path / "net.tflite").write_bytes(b"a network")
    finder = kit(tmp_path, TABLE).finder()
    options = mediapipe.given.options
    assert options.base_options == str(tmp_path / "net.tflite")
    assert (options.min_detection_confidence, options.running_mode) == (0.25, "image")

    picture = torch.arange(3 * 1000 * 1000).reshape(3, 1000, 1000).remainder(251).byte()
    mediapipe.seen[:] = [detection(0.6, 0.4), detection(0.9)]
    faces = finder(picture)
    assert (mediapipe.given.image.data == picture.permute(1, 2, 0).numpy()).all()
    assert [face.score for face in faces] == [0.9, 0.6]
    assert [face.box.side for face in faces] == [200, 200]
    assert faces[0] == FoundFace.from_landmarks((260, 300), (340, 300), (300, 380), score=0.9)


def test_what_mediapipe_sees_beside_the_picture_is_left_out(mediapipe, tmp_path):
    (tmp_path / "net.tflite").write_bytes(b"a network")
    mediapipe.seen[:] = [detection(0.9, 5.0), detection(0.5)]
    faces = kit(tmp_path, TABLE).finder()(torch.zeros(3, 1000, 1000, dtype=torch.uint8))
    assert [face.score for face in faces] == [0.5]


def test_a_network_that_tells_no_eyes_is_refused(mediapipe, tmp_path):
    (tmp_path / "net.tflite").write_bytes(b"a network")
    mediapipe.seen[:] = [detection(0.9, points=())]
    with pytest.raises(MagdrError, match="tells no eyes and mouth; take BlazeFace"):
        kit(tmp_path, TABLE).finder()(GREY)


def test_mediapipe_says_what_it_lacks(mediapipe, monkeypatch, tmp_path):
    with pytest.raises(MagdrError, match=r'say where the network is, params = \{ model = "blaze_face'):
        kit(tmp_path).finder("mediapipe")
    with pytest.raises(MagdrError, match=r"\[finder.blaze\]: .*net.tflite is no file"):
        kit(tmp_path, TABLE).finder()
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MagdrError, match=r"mediapipe needs mediapipe, not installed.*magdr\[mediapipe\]"):
        kit(tmp_path, TABLE).finder()


def test_mediapipe_is_imported_by_whoever_builds_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mediapipe", None)  # an import of it fails
    toolkit = kit(tmp_path, TABLE)
    assert toolkit.finder("cascade")(GREY) == []
    assert [entry.name for entry in toolkit.host.entries("finder")][:2] == ["cascade", "mediapipe"]
    assert toolkit.host.failures == []
