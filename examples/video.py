"""Judge a clip frame by frame, restore its disrupted stretch, and keep the sound and the times.

    python examples/video.py [CLIP] [OUT]

Without CLIP a second of a drawn face is written first, disrupted in its second half. Needs `magdr[video]`.
"""

import sys
from pathlib import Path

import torch
from drawn import EDITS, FIRST

from magdr_core import Pipeline, Toolkit, build_objective
from magdr_core.media import write_video

FRAMES, FPS = 24, 24


def write_clip(path: Path, toolkit: Toolkit, magdr: Pipeline) -> Path:
    """A drawn face that gets brighter, disrupted for the edit from the middle on."""
    face = toolkit.build("dataset", "faces").split("test")[[FIRST]].images
    gains = torch.linspace(0.9, 1.0, FRAMES).view(-1, 1, 1, 1)
    frames = (face.cpu() * gains * 255).round() / 255
    disrupted = frames[FRAMES // 2 :].to(magdr.device)
    condition = magdr.asked(len(disrupted), edits=EDITS)
    objective = build_objective("untargeted", magdr.generator, disrupted, condition)
    pgd = toolkit.sibling("attack", "pgd", eps="6/255", steps=10)
    names = [f"frame-{i}" for i in range(len(disrupted))]
    attacked = pgd(disrupted, objective, rng=toolkit.rng("example", names)).cpu()
    write_video(path, [*frames[: FRAMES // 2], *attacked], FPS)
    return path


def main(clip: str | None = None, out: str = "magdr-out") -> None:
    toolkit = Toolkit.from_registry()
    magdr = toolkit.magdr("editing", photographs=clip is not None)
    drawn = clip is None
    clip = clip or str(write_clip(Path(out, "clip.mkv"), toolkit, magdr))

    found = magdr.video(clip, edits=EDITS, whole=drawn, out=out)
    print(found)
    for begin, end in found.stretches:
        print(f"restored from {begin:g} to {end:g} s by {' then '.join(found.verdict.plan) or 'nothing'}")
    flagged = sum(frame.flagged for frame in found.frames)
    print(f"{flagged} of {len(found.frames)} frames are flagged on their own")
    for name, path in found.files.items():
        print(f"{name}: {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
