"""The First Order Motion Model once more: convolutions keyed by the published names, all that has to do with
places in NumPy, one keypoint and one pixel after the other, in double precision."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.plugins.layouts import batch_normalised, invented, norm_keys

PARTS = ("generator", "kp_detector")


def published(*, width=64, blocks=6, depth=5, keypoints=10, reduced=4, jacobians="each", occlusion=True):
    """State-dict keys and shapes of the public networks, by their entry in the file."""
    side = 4 * (reduced - 1) + 1
    down = {"down.weight": (3, 1, side, side)} if reduced > 1 else {}

    def conv(name, before, after, side):
        return {f"{name}.weight": (after, before, side, side), f"{name}.bias": (after,)}

    def block(name, before, after, side=3):
        return conv(f"{name}.conv", before, after, side) | norm_keys(f"{name}.norm", after)

    def hourglass(name, inputs, first):
        keys, widths = {}, [min(1024, first * 2**i) for i in range(depth + 1)]
        for i in range(depth):
            before = inputs if i == 0 else widths[i]
            keys |= block(f"{name}.encoder.down_blocks.{i}", before, widths[i + 1])
            last = depth - 1 - i
            given = widths[last + 1] * (1 if i == 0 else 2)
            keys |= block(f"{name}.decoder.up_blocks.{i}", given, widths[last])
        return keys, first + inputs

    keys, channels = hourglass("predictor", 3, width // 2)
    detector = keys | conv("kp", channels, keypoints, 7) | down
    if jacobians != "none":
        detector |= conv("jacobian", channels, 4 * keypoints if jacobians == "each" else 4, 7)

    keys, channels = hourglass("hourglass", 4 * (keypoints + 1), width)
    motion = keys | conv("mask", channels, keypoints + 1, 7) | down
    if occlusion:
        motion |= conv("occlusion", channels, 1, 7)
    generator = {f"dense_motion_network.{key}": shape for key, shape in motion.items()}
    generator |= block("first", 3, width, 7) | conv("final", width, 3, 7)
    for i in range(2):
        generator |= block(f"down_blocks.{i}", width * 2**i, width * 2 ** (i + 1))
        generator |= block(f"up_blocks.{i}", width * 2 ** (2 - i), width * 2 ** (1 - i))
    for i in range(blocks):
        for j in (1, 2):
            generator |= conv(f"bottleneck.r{i}.conv{j}", 4 * width, 4 * width, 3)
            generator |= norm_keys(f"bottleneck.r{i}.norm{j}", 4 * width)
    return dict(zip(PARTS, (generator, detector), strict=True))


def trained(**made):
    """Values for them as after a training: Jacobians near the identity."""
    states = {part: invented(shapes, seed) for seed, (part, shapes) in enumerate(published(**made).items())}
    detector = states["kp_detector"]
    if "jacobian.weight" in detector:
        detector["jacobian.weight"] *= 0.3
        detector["jacobian.bias"] += torch.tensor([1.0, 0, 0, 1]).repeat(len(detector["jacobian.bias"]) // 4)
    return states


class Reference:
    """Both networks.

    Args:
        states: their state dicts, by entry.
        reduced, align_corners: as the registry has them.
    """

    def __init__(self, states, *, reduced=4, align_corners=True):
        self.state = {
            f"{part}.{key}": value.double() for part, state in states.items() for key, value in state.items()
        }
        self.reduced, self.align_corners = reduced, align_corners

    def conv(self, name, y, **how):
        return F.conv2d(y, self.state[f"{name}.weight"], self.state[f"{name}.bias"], **how)

    def block(self, name, y):
        side = self.state[f"{name}.conv.weight"].shape[-1]
        y = self.conv(f"{name}.conv", y, padding=side // 2)
        return batch_normalised(self.state, f"{name}.norm", y).relu()

    def small(self, name, x):
        if self.reduced == 1:
            return x
        kernel = self.state[f"{name}.down.weight"]
        y = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2, groups=3)
        return y[:, :, :: self.reduced, :: self.reduced]

    def hourglass(self, name, x):
        kept, i = [x], 0
        while f"{name}.encoder.down_blocks.{i}.conv.weight" in self.state:
            y = self.block(f"{name}.encoder.down_blocks.{i}", kept[-1])
            kept.append(y.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)))
            i += 1
        y = kept[i]
        for j in range(i):
            y = self.block(f"{name}.decoder.up_blocks.{j}", twice(y))
            y = torch.cat([y, kept[i - 1 - j]], 1)
        return y

    def keypoints(self, x):
        """Of each picture a list of (place, Jacobian or None)."""
        y = self.hourglass("kp_detector.predictor", self.small("kp_detector", x.double()))
        logits = self.conv("kp_detector.kp", y).numpy()
        learned = "kp_detector.jacobian.weight" in self.state
        maps = self.conv("kp_detector.jacobian", y).numpy() if learned else None
        found = []
        for b, rows in enumerate(logits):
            found.append([])
            for k, one in enumerate(rows):
                heat = np.exp((one - one.max()) / 0.1)
                heat /= heat.sum()
                place, matrix = np.zeros(2), np.zeros(4)
                which = min(k, maps.shape[1] // 4 - 1) if learned else 0
                for (r, c), share in np.ndenumerate(heat):
                    place += share * np.array([between(c, heat.shape[1]), between(r, heat.shape[0])])
                    if learned:
                        matrix += share * maps[b, 4 * which : 4 * which + 4, r, c]
                found[b].append((place, matrix.reshape(2, 2) if learned else None))
        return found

    def animate(self, x, driving, source):
        """Pictures whose keypoints go to where those of `driving` are."""
        x = x.double()
        y = self.block("generator.first", x)
        for i in range(2):
            y = self.block(f"generator.down_blocks.{i}", y).unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
        flow, seen = self.motion(x, driving, source)
        flow = resized(flow.transpose(0, 3, 1, 2), y.shape[2:]).transpose(0, 2, 3, 1)
        warped = [self.sampled(one.numpy(), places) for one, places in zip(y, flow, strict=True)]
        y = torch.from_numpy(np.stack(warped))
        if seen is not None:
            y = y * torch.from_numpy(resized(seen, y.shape[2:]))
        i = 0
        while (name := f"generator.bottleneck.r{i}") + ".conv1.weight" in self.state:
            z = y
            for j in (1, 2):
                z = batch_normalised(self.state, f"{name}.norm{j}", z).relu()
                z = self.conv(f"{name}.conv{j}", z, padding=1)
            y, i = y + z, i + 1
        for i in range(2):
            y = self.block(f"generator.up_blocks.{i}", twice(y))
        return 1 / (1 + torch.exp(-self.conv("generator.final", y, padding=3)))

    def motion(self, x, driving, source):
        """Where each place comes from, and what of it is seen, as arrays."""
        name = "generator.dense_motion_network"
        small = self.small(name, x).numpy()
        height, width = small.shape[2:]
        rows = [[[between(c, width), between(r, height)] for c in range(width)] for r in range(height)]
        grid = np.array(rows)
        flows, inputs = [], []
        for picture, there, here in zip(small, driving, source, strict=True):
            flows.append([grid])
            given = [np.zeros((1, height, width)), self.sampled(picture, grid)]
            for (to, to_matrix), (of, of_matrix) in zip(there, here, strict=True):
                matrix = np.eye(2) if of_matrix is None else of_matrix @ np.linalg.inv(to_matrix)
                flow, heat = np.zeros_like(grid), np.zeros((1, height, width))
                for r in range(height):
                    for c in range(width):
                        flow[r, c] = of + matrix @ (grid[r, c] - to)
                        near = (math.exp(-(((grid[r, c] - p) ** 2).sum()) / 0.02) for p in (to, of))
                        heat[0, r, c] = next(near) - next(near)
                flows[-1].append(flow)
                given += [heat, self.sampled(picture, flow)]
            inputs.append(np.concatenate(given))
        y = self.hourglass(f"{name}.hourglass", torch.from_numpy(np.stack(inputs)))
        logits = self.conv(f"{name}.mask", y, padding=3).numpy()
        share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        flow = np.einsum("bkrc,bkrcd->brcd", share, np.array(flows))
        if f"{name}.occlusion.weight" not in self.state:
            return flow, None
        return flow, 1 / (1 + np.exp(-self.conv(f"{name}.occlusion", y, padding=3).numpy()))

    def sampled(self, picture, places):
        """A picture `[C,h,w]` at places `[H,W,2]`, bilinearly; nothing outside."""
        height, width = picture.shape[1:]
        found = np.zeros((len(picture), *places.shape[:2]))
        for (r, c), _ in np.ndenumerate(places[..., 0]):
            u, v = places[r, c]
            if self.align_corners:
                column, row = (u + 1) / 2 * (width - 1), (v + 1) / 2 * (height - 1)
            else:
                column, row = ((u + 1) * width - 1) / 2, ((v + 1) * height - 1) / 2
            for y in (math.floor(row), math.floor(row) + 1):
                for x in (math.floor(column), math.floor(column) + 1):
                    if 0 <= y < height and 0 <= x < width:
                        found[:, r, c] += (1 - abs(row - y)) * (1 - abs(column - x)) * picture[:, y, x]
        return found


def between(i, count):
    """Where pixel `i` of so many is, from -1 to 1."""
    return -1 + 2 * i / (count - 1)


def twice(y):
    return y.repeat_interleave(2, 2).repeat_interleave(2, 3)


def resized(y, size):
    """`[B,C,h,w]` bilinearly, pixels as squares, edges repeated."""
    for dim, count in zip((2, 3), size, strict=True):
        old = y.shape[dim]
        place = np.clip((np.arange(count) + 0.5) * old / count - 0.5, 0, old - 1)
        before = np.floor(place).astype(int)
        part = (place - before).reshape([-1 if d == dim else 1 for d in range(4)])
        after = np.minimum(before + 1, old - 1)
        y = y.take(before, dim) * (1 - part) + y.take(after, dim) * part
    return y


def as_code(keypoints):
    """Keypoints of B pictures as a condition's code, `[B,K,6]` or `[B,K,2]`."""
    rows = [
        [np.concatenate([p, m.ravel()]) if m is not None else p for p, m in picture] for picture in keypoints
    ]
    return torch.from_numpy(np.array(rows)).float()
