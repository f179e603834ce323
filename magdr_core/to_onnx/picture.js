// A picture as the networks take it, cut and made smaller as the toolkit does it.

const MOST = 4096;

/** The middle square of a picture as [1,3,S,S] in [0,1], of 8-bit levels. */
export async function readPicture(file, size) {
  const picture = await createImageBitmap(file), side = Math.min(picture.width, picture.height);
  const kept = Math.min(side, MOST);
  const canvas = new OffscreenCanvas(kept, kept), context = canvas.getContext("2d", { willReadFrequently: true });
  const from = (length) => halfEven((length - side) / 2);
  context.drawImage(picture, from(picture.width), from(picture.height), side, side, 0, 0, kept, kept);
  const levels = context.getImageData(0, 0, kept, kept).data, values = new Float32Array(3 * size * size);
  const taps = tapsOf(kept, size);
  for (let c = 0; c < 3; c++) {
    const plane = Float32Array.from({ length: kept * kept }, (_, i) => levels[4 * i + c] / 255);
    const across = alongRows(plane, kept, taps);  // [size,kept]: the second pass turns it back
    const done = alongRows(across, kept, taps);
    done.forEach((value, i) => { values[c * size * size + i] = Math.round(255 * Math.min(Math.max(value, 0), 1)) / 255; });
  }
  return values;
}

function halfEven(value) {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 ? near - 1 : near;
}

/** By output pixel: the first input pixel and the weights, of a bicubic filter as wide as what it leaves out. */
function tapsOf(length, size) {
  const scale = length / size, stretch = Math.max(scale, 1), reach = 2 * stretch;
  return Array.from({ length: size }, (_, i) => {
    const centre = scale * (i + 0.5);
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0), end = Math.min(Math.trunc(centre + reach + 0.5), length);
    const weights = Array.from({ length: end - first }, (_, j) => cubic((first + j + 0.5 - centre) / stretch));
    const total = weights.reduce((sum, w) => sum + w, 0);
    return { first, weights: weights.map((w) => w / total) };
  });
}

/** Keys' kernel with a = -1/2. */
function cubic(x) {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
}

/** Rows of `length` filtered and laid down as columns: [n,length] -> [taps,n]. */
function alongRows(plane, length, taps) {
  const rows = plane.length / length, done = new Float32Array(taps.length * rows);
  for (let row = 0; row < rows; row++) {
    taps.forEach(({ first, weights }, i) => {
      let sum = 0;
      for (let j = 0; j < weights.length; j++) sum += weights[j] * plane[row * length + first + j];
      done[i * rows + row] = sum;
    });
  }
  return done;
}
