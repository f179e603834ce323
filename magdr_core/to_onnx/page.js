// Runs the networks of models.json on a picture, with the onnxruntime-web that the user names.
import { readPicture } from "./picture.js";
import { verdictOf } from "./verdict.js";

const told = await (await fetch("models.json")).json();
const at = (id) => document.getElementById(id);
const sessions = new Map();
let ort = null;
let current = null;

at("runtime").value = new URLSearchParams(location.search).get("ort") ?? "";
describe();

/** What there is to do here. */
function describe() {
  const does = {
    restoration: "A purifier takes faint adversarial patterns out of a face",
    parser: "a parser tells its parts",
    forensic: "a classifier scores whether it looks forged",
  };
  const listed = told.models.map((model) => does[model.kind]).join("; ");
  at("networks").hidden = !listed;
  at("networks-words").textContent = `${listed.charAt(0).toUpperCase()}${listed.slice(1)}.`;
  const verdict = told.verdict;
  if (!verdict) return;
  at("verdict").hidden = false;
  at("asked").textContent = verdict.asked;
  at("megabytes").textContent = (verdict.bytes / 1e6).toFixed(1);
  at("granted").hidden = !verdict.taken_for_granted.length;
  at("granted").textContent = `The editor is told what a face shows already. Here that is taken for granted: ${verdict.taken_for_granted.join(", ")}.`;
  const labels = ["Take the example", "Take the example, attacked"];
  verdict.examples.forEach((file, i) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "second", textContent: labels[i] });
    button.addEventListener("click", () => working("picture", async () => {
      at("picture").value = "";
      await take(await (await fetch(file)).blob());
    }));
    at("examples").append(button);
  });
  at("examples").hidden = !verdict.examples.length;
}

async function session(file) {
  if (!sessions.has(file)) {
    ort ??= await import(new URL(at("runtime").value, location.href).href);
    ort.env.wasm.numThreads = 1;
    sessions.set(file, await ort.InferenceSession.create(file, { executionProviders: ["wasm"], logSeverityLevel: 3 }));
  }
  return sessions.get(file);
}

async function run(file) {
  const images = new ort.Tensor("float32", current, [1, 3, told.size, told.size]);
  return (await session(file)).run({ images });
}

/** Tell something below a part of the page: picture, networks or verdict. */
function say(where, text) {
  at(`said-${where}`).textContent = text;
}

/** Make a file the picture at hand. */
async function take(file) {
  current = null;
  at("answer").hidden = true;
  for (const id of ["received", "restored", "parts"]) at(id).closest("figure").hidden = true;
  for (const where of ["networks", "verdict"]) say(where, "");
  current = await readPicture(file, told.size);
  show("received", current);
}

/** Values [3,S,S] in [0,1] onto a canvas. */
function show(id, values) {
  const size = told.size, canvas = at(id), image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * values[c * size * size + i]);
    image.data[4 * i + 3] = 255;
  }
  canvas.width = canvas.height = size;
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.closest("figure").hidden = false;
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
  at("legend").textContent = `its parts: ${large.join(", ")}`;
}

async function runNetworks() {
  for (const model of told.models) await session(model.file);
  const start = performance.now(), results = {}, words = [];
  for (const model of told.models) results[model.kind] = (await run(model.file)).result.data;
  const took = Math.round(performance.now() - start);
  if (results.restoration) {
    show("restored", results.restoration);
    const change = results.restoration.reduce((sum, value, i) => sum + Math.abs(value - current[i]), 0) / current.length;
    words.push(`the purifier moved values by ${(255 * change).toFixed(1)} of 255 levels on average`);
  }
  if (results.parser) showParts(results.parser);
  if (results.forensic) words.push(`the classifier's score is ${results.forensic[0].toFixed(2)}, higher is more likely forged`);
  say("networks", `Done in ${took} ms${words.length ? ": " : ""}${words.join("; ")}.`);
}

async function judge() {
  await session(told.verdict.file);
  const start = performance.now(), answer = verdictOf(told.verdict, await run(told.verdict.file));
  for (const id of ["word", "score", "how_sure", "why", "what_to_do"]) at(id).textContent = answer[id];
  at("word").className = `lead ${answer.mark}`;
  at("answer").hidden = false;
  say("verdict", `Judged in ${Math.round(performance.now() - start)} ms.`);
}

/** Do something while the buttons rest, and say what went wrong. */
async function working(where, action) {
  say(where, "");
  const buttons = document.querySelectorAll("button");
  buttons.forEach((button) => { button.disabled = true; });
  try {
    await action();
  } catch (error) {
    say(where, `This did not work: ${error.message}. Is the address of onnxruntime-web right, and the file a picture?`);
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
  }
}

at("picture").addEventListener("change", () => {
  const file = at("picture").files[0];
  if (file) working("picture", () => take(file));
});

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const verdict = event.submitter?.value === "verdict" || !told.models.length, where = verdict ? "verdict" : "networks";
  working(where, async () => {
    if (!current) {
      say(where, "Choose a picture first.");
      return;
    }
    say(where, verdict ? "Reading the networks and looking. This takes some seconds …" : "Reading the networks …");
    await (verdict ? judge() : runNetworks());
  });
});
