"""Go through a folder of any size, one picture after the other, and keep a csv of the verdicts.

    python examples/folder.py [FOLDER] [OUT]

Without FOLDER some drawn faces are used, every other one disrupted.
"""

import csv
import sys
from pathlib import Path

from drawn import EDITS, write_faces

from magdr_core import Toolkit


def main(folder: str | None = None, out: str = "magdr-out") -> None:
    toolkit = Toolkit.from_registry()
    magdr = toolkit.magdr("editing", photographs=folder is not None)
    drawn = folder is None
    folder = folder or str(write_faces(Path(out, "faces"), toolkit, magdr, 4))
    print(magdr)

    with Path(out, "verdicts.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["picture", "disrupted", "score", "guess", "error"])
        # An iterator: no more than a batch of pictures is in memory. A damaged one is told and passed over.
        for photo in magdr.photos(folder, edits=EDITS, whole=drawn):
            print(photo)
            if photo.error:
                table.writerow([photo.name, "", "", "", photo.error])
                continue
            verdict = photo.verdict
            table.writerow([photo.name, verdict.disrupted, f"{verdict.score:.3f}", verdict.guess, ""])
            if verdict.disrupted:
                photo.save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
