"""Forensics: is this face forged, and where? A task of a benchmark as kinds, scenarios and a role.

- A *forgery* (kind `forgery`) makes fakes of the real pictures of a dataset, with exact masks; a *forensic
  model* (kind `forensic`) scores a picture, and may say where it is forged. Both are components like others.
- The scenario `forged` has a slice of images for each forgery that a profile lists under `forgeries`; the
  scenario `picture-quality` has each of those, and the real pictures, again as an augmentation or a
  restoration under `picture_qualities` leaves them: reals and fakes alike, with the same random draws.
- The role `forensic` measures the models that a profile lists under `forensics`. A fake is judged beside its
  own real picture. Each model's rows say whether it has seen such a family, and such a quality, before. So
  in-family results, families or groups left out, other qualities and other datasets are rows of one table.

A profile runs them on a generator's task. Where no generator matters it is that of the generator `untouched`.
On a generator's own task the role also looks at what attacks leave: real pictures, disturbed.

Nothing else in core knows of any of this.
"""
