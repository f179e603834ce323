"""An attacker who knows the whole defended pipeline, for any detector and any defense plugin.

**What is attacked.** A :class:`Target`: a generator behind a detector, a defense, or both. What counts is the
final output (the generator's on the restored input, or the defense's own `output`), every round and every
branch of the defense included. An attack that is flagged has failed.

**The problem.** Per image, maximise the gain (an aim, Eq. 1 or 2, in units of the most that is gained on the
undefended generator) with the score at or under the threshold, in the eps ball after rounding to 8 bits.
:func:`~magdr_core.adaptive.aims.attack_all` takes several aims. All values are of the rounded image; rounding
itself passes gradients straight through. Suspicion is counted in units of how much more suspicious than the
clean image the oblivious attack is.

**Policies.** `penalty=B` ascends `gain - B * excess`, with the excess of the score over the threshold; a
range of B gives the trade-off curve. `lagrangian` is a penalty whose B each image has for itself: it rises
while the image is flagged and falls while it is not (as Carlini and Wagner, S&P 2017, look for their
constant, but within one run); the best feasible image is kept. `tries`, where there is nothing to follow,
ascends the gain with some pixels going anywhere and keeps what passed.

**Gradients** are tried, not believed. A component's gradient is taken as it comes (`autograd`); with its
`no_grad` blocks and roundings undone (`lifted`); and with its detached tensors attached again (`uncut`). A
probe on faces of the calibration split keeps every way that gives another direction than those before.
Defenses are also passed straight through (BPDA, `bpda`), those without any gradient also with that of a
network that was fitted to them (`bpda-fitted`). A defense that chooses among candidates (Rec-Net) is attacked
with its choice frozen and refreshed every few steps (`frozen`), through the expectation over the softmin of
its candidates' scores in every round (`softmin`), by staying under its own gate (`evade`), and through a soft
gate (`joint`). A detector without any gradient gets a differentiable stand-in, distilled on calibration faces
and once more on attacked ones (`surrogate`), and an estimate from paired queries (`queries`). Where a spec
says `stochastic`, gradients and verdicts are means over `draws` draws (EOT).

**Runs.** Steps go along the signs of a momentum of gradients that are divided by their mean size (Dong et
al., CVPR 2018), and get shorter by a fixed schedule: one that looks whether the objective rises (APGD, Croce
and Hein, ICML 2020) stops at the threshold. Every mode starts from the oblivious images; the first one also
from other images, half-way, and at random, and once with smooth and once with concentrated perturbations.
Then each image goes on from its best, all the steps, in the mode that found it (`finish`).

**Beside the gradients**: the oblivious images themselves (`oblivious`), the same scaled down until they are
not flagged (`scaled`), images of other attacks that the caller adds (the paper's Eq. 3), and a random search
over squares that sees nothing but the pipeline's scores and outputs (`square`, after Andriushchenko et al.,
ECCV 2020).

Every mode is reported; then the best image per sample is pooled over all of them. Everything is per sample:
results depend on no other image of the batch.

Other sources: BPDA and EOT, Athalye et al., ICML 2018; how to attack a defense, Carlini et al., arXiv
1902.06705, and Tramer et al., NeurIPS 2020.
"""

from magdr_core.adaptive.attack import AdaptiveAttack, Attacked, Found
from magdr_core.adaptive.victim import PipelineVerdict, Target

__all__ = ["AdaptiveAttack", "Attacked", "Found", "PipelineVerdict", "Target"]
