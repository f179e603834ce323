"""Any number of pictures takes the memory of a batch of them."""

import gc
import threading
import time

import pytest
import torch
from PIL import Image

from magdr_core.cli.common import ProgressDisplay
from magdr_core.cli.media_commands import FileReport
from magdr_core.cli.paths import Input
from magdr_core.functional import batch_size
from magdr_core.inference.treated import ahead
from magdr_core.media import write_picture
from tests.api.conftest import EDITS

BATCH = batch_size((64, 64), "deliver")
FEW, MANY = BATCH, 5 * BATCH


@pytest.fixture(scope="module")
def folder(faces, tmp_path_factory):
    """`MANY` pictures, no two alike, so that nothing is answered from memory."""
    place = tmp_path_factory.mktemp("pictures")
    for i in range(MANY):
        picture = faces[i % len(faces)].clone()
        picture[:, 0, 0] = torch.tensor([i % 256, i // 256, 0]) / 255
        write_picture(place / f"{i:04}.png", picture)
    return place


def held():
    """Bytes of all tensors that are alive."""
    gc.collect()
    # Other tests' tensors without storage are of no account.
    alive = (o for o in gc.get_objects() if type(o) is torch.Tensor and torch._C._has_storage(o))
    return sum({t.data_ptr(): t.untyped_storage().nbytes() for t in alive}.values())


def most_held(photos, every=BATCH - 1):
    """The most that is held while going through them, and how many there were."""
    before, most, count = held(), 0, 0
    for photo in photos:
        assert not photo.error
        del photo
        if count % every == 0:
            most = max(most, held() - before)
        count += 1
    return most, count


@pytest.mark.parametrize(
    ("flags", "restore"), [pytest.param("never", False, marks=pytest.mark.slow), ("always", True)]
)
def test_a_folder_of_any_size_takes_the_same_memory(calibrated, folder, flags, restore):
    magdr = calibrated(flags)
    files = sorted(folder.iterdir())
    magdr.generator.memory.capacity = 2**18  # less than a few pictures leave behind

    def run(pictures):
        return most_held(magdr.photos(pictures, edits=EDITS, whole=True, restore=restore))

    run(files[:FEW])
    few, count = run(files[:FEW])
    assert count == FEW
    many, count = run(folder)
    assert count == MANY
    assert many < 1.2 * few


def test_pictures_are_read_as_they_are_asked_for(calibrated, faces):
    read = []

    def endless():
        while True:
            read.append(None)
            yield Image.new("RGB", (40, 40), (len(read) % 256, 90, 60))

    photos = calibrated().photos(endless(), edits=EDITS, whole=True, restore=False)
    for _ in range(BATCH + 1):
        next(photos)
    assert len(read) == 2 * BATCH


def test_only_a_program_is_told_everything_at_the_end(tmp_path, capsys):
    def told(as_json):
        class Silent(ProgressDisplay):
            def say(self, message):
                said.append(message)

        from rich.console import Console

        said = []
        head = {"command": "detect", "assumed_absent": [], "false_alarms": 0.01}
        one = FileReport(Silent(Console(stderr=True)), as_json, head)
        for i in range(3):
            facts = {
                "covered_by_calibration": True,
                "verdict": "disrupted" if i else "not disrupted",
                "flagged": bool(i),
                "score": 2.0 * bool(i),
                "threshold": 1.0,
            }
            one.done(Input(tmp_path / f"{i}.png", f"{i}.png"), facts)
        one.finish()
        return one, said

    one, said = told(False)
    assert one.results == []
    assert said[-1] == "3 done, 2 disrupted"
    assert len(told(True)[0].results) == 3


# -- reading ahead ------------------------------------------------------------------------------------------


def test_reading_ahead_keeps_the_order_and_the_bound():
    made, taken = [], 0

    def source():
        for i in range(8):
            made.append(i)
            yield i

    for i in ahead(source()):
        assert i == taken
        taken += 1
        time.sleep(0.01)
        assert len(made) <= taken + 1, "one is read while one is worked on"
    assert taken == 8


def test_reading_ahead_works_while_the_other_waits():
    started = threading.Event()

    def source():
        yield 0
        started.set()
        yield 1

    found = ahead(source())
    assert next(found) == 0
    assert started.wait(5), "the second one is read although nobody asked yet"
    assert list(found) == [1]


def test_reading_ahead_passes_faults_on_and_can_be_left():
    def source():
        yield 0
        raise ValueError("broken")

    found = ahead(source())
    assert next(found) == 0
    with pytest.raises(ValueError, match="broken"):
        next(found)
    threads = threading.active_count()
    left = ahead(iter(range(100)))
    next(left)
    left.close()
    assert threading.active_count() <= threads
