"""Is this photo disrupted, and if so, what does it look like repaired?

    python examples/one_photo.py [PHOTO] [OUT]

Without PHOTO a drawn face is disrupted and used. OUT is a folder (default: magdr-out).
"""

import sys
from pathlib import Path

from drawn import EDITS, write_faces

from magdr_core import Toolkit


def main(photo: str | None = None, out: str = "magdr-out") -> None:
    toolkit = Toolkit.from_registry()
    magdr = toolkit.magdr("editing", photographs=photo is not None)
    drawn = photo is None
    if photo is None:
        photo = str(write_faces(Path(out), toolkit, magdr, 2) / "face-1.png")

    # The verdict is about one generator and one edit. `has` would say what the picture shows already.
    (verdict,) = magdr.detect(photo, edits=EDITS, whole=drawn)
    print(verdict)
    if verdict.guess:
        print("a guess, since the calibration does not cover this kind of picture")
    for part, distortion in sorted(verdict.regions.items(), key=lambda item: -item[1])[:3]:
        print(f"  {part}: {distortion:+.1f} spreads of clean faces")

    # `photos` puts the repaired face back into the picture, whatever its size.
    (result,) = magdr.photos(photo, edits=EDITS, whole=drawn)
    if result.error:
        raise SystemExit(result.error)
    steps = ", then ".join(result.verdict.plan)
    print(f"{f'restored by {steps}' if steps else 'handed back as it came'}: {result.save(out)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
