"""The shipped components, MagDR, a benchmark and an adaptive step on a CUDA device that is not there.

What these tests can show: no operation mixes devices; the host waits for the device in the listed places
only; nothing is computed in double precision elsewhere than listed; the branches for CUDA give what the
CPU gives.

What they cannot show: the kernels are the CPU's, so neither a card's rounding nor its speed, its memory, its
autocast, `torch.compile` and several streams. Those are the tests with the marker `cuda`, which need a card.
"""
