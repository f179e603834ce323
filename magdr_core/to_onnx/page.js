// Runs the networks of models.json on a picture, with the onnxruntime-web that the user names.
const told = await (await fetch("models.json")).json();
const runtime = document.getElementById("runtime");
const said = document.getElementById("said");
const sessions = new Map();
let ort = null;

runtime.value = new URLSearchParams(location.search).get("ort") ?? "";

async function session(model) {
  if (!sessions.has(model.file)) {
    sessions.set(model.file, await ort.InferenceSession.create(model.file, { executionProviders: ["wasm"] }));
  }
  return sessions.get(model.file);
}

/** The middle square of a picture as [1,3,S,S] in [0,1]. */
async function readPicture(file) {
  const picture = await createImageBitmap(file);
  const side = Math.min(picture.width, picture.height), size = told.size;
  const canvas = new OffscreenCanvas(size, size), context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, (picture.width - side) / 2, (picture.height - side) / 2, side, side, 0, 0, size, size);
  const levels = context.getImageData(0, 0, size, size).data, values = new Float32Array(3 * size * size);
  for (let i = 0; i < size * size; i++) for (let c = 0; c < 3; c++) values[c * size * size + i] = levels[4 * i + c] / 255;
  return values;
}

/** Values [3,S,S] in [0,1] onto a canvas. */
function show(id, values) {
  const size = told.size, canvas = document.getElementById(id), image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * values[c * size * size + i]);
    image.data[4 * i + 3] = 255;
  }
  canvas.width = canvas.height = size;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The likeliest part of each pixel, in a colour of its own; the names of those that are there. */
function showParts(masks) {
  const size = told.size, values = new Float32Array(3 * size * size), seen = new Map();
  for (let i = 0; i < size * size; i++) {
    let best = 0;
    for (let part = 1; part < told.parts.length; part++) {
      if (masks[part * size * size + i] > masks[best * size * size + i]) best = part;
    }
    seen.set(best, (seen.get(best) ?? 0) + 1);
    for (let c = 0; c < 3; c++) values[c * size * size + i] = best ? 0.5 + 0.45 * Math.sin(2.4 * best + 2.1 * c) : 0.1;
  }
  show("parts", values);
  const large = [...seen].filter(([, count]) => count > size).map(([part]) => told.parts[part]);
  document.getElementById("legend").textContent = `its parts: ${large.join(", ")}`;
}

async function run(values) {
  const input = new ort.Tensor("float32", values, [1, 3, told.size, told.size]), results = {};
  for (const model of told.models) results[model.kind] = (await (await session(model)).run({ images: input })).result.data;
  return results;
}

document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    said.textContent = "Reading the networks …";
    ort ??= await import(new URL(runtime.value, location.href).href);
    ort.env.wasm.numThreads = 1;
    for (const model of told.models) await session(model);
    const values = await readPicture(document.getElementById("picture").files[0]), start = performance.now();
    const results = await run(values), words = [];
    show("received", values);
    if (results.restoration) {
      show("restored", results.restoration);
      const change = results.restoration.reduce((sum, value, i) => sum + Math.abs(value - values[i]), 0) / values.length;
      words.push(`the purifier moved values by ${(255 * change).toFixed(1)} of 255 levels on average`);
    }
    if (results.parser) showParts(results.parser);
    if (results.forensic) words.push(`the classifier's score is ${results.forensic[0].toFixed(2)}, higher is more likely forged`);
    document.getElementById("results").hidden = false;
    said.textContent = `Done in ${Math.round(performance.now() - start)} ms: ${words.join("; ")}.`;
  } catch (error) {
    said.textContent = `This did not work: ${error.message}. Is the address of onnxruntime-web right, and the file a picture?`;
  }
});
