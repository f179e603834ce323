// The switches of the picture grids, and one sample enlarged beside the clean and the disrupted one.
// The page is complete without it.
"use strict";
(() => {
  const dialog = document.getElementById("zoom");
  const lenses = dialog.querySelector(".lenses");
  const title = document.getElementById("zoom-title");
  const place = document.getElementById("zoom-place");
  const select = document.getElementById("zoom-version");
  let shown = null;

  // Shows one attack's panel, and in it everything or one version.
  const turn = (gallery) => {
    const chosen = (name) => gallery.querySelector(`[data-switch="${name}"] input:checked`)?.value ?? "";
    const version = chosen("version");
    for (const panel of gallery.querySelectorAll(".panel")) {
      const strips = [...panel.querySelectorAll(".strip")];
      for (const strip of strips) strip.hidden = version !== "" && strip.dataset.version !== version;
      panel.querySelector(".nothing").hidden = version === "clean" || strips.some((strip) => !strip.hidden);
      panel.hidden = panel.dataset.panel !== chosen("panel") || version === "clean";
    }
    const clean = gallery.querySelector(".clean");
    if (clean) clean.hidden = version !== "" && version !== "clean";
  };
  for (const gallery of document.querySelectorAll(".gallery")) {
    // A switch with one place would be no switch.
    for (const set of gallery.querySelectorAll(".switch")) set.hidden = set.querySelectorAll("input").length < 2;
    gallery.addEventListener("change", () => turn(gallery));
    turn(gallery);
  }

  // Draws sample number `index` of a strip's images, input above output.
  const lens = (button, index) => {
    const size = Number(button.dataset.size);
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = button.dataset.title;
    figure.append(caption);
    const numbers = JSON.parse(button.dataset.numbers);
    for (const image of button.querySelectorAll("img")) {
      const canvas = document.createElement("canvas");
      canvas.width = size;
      canvas.height = image.naturalHeight;
      const left = index * (size + Number(button.dataset.gap));
      canvas.getContext("2d").drawImage(image, left, 0, size, canvas.height, 0, 0, size, canvas.height);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${image.alt}, number ${index + 1}`);
      figure.append(canvas);
      const told = numbers[image.dataset.side]?.[index];
      const words = document.createElement("small");
      words.textContent = told ? `${image.dataset.side}: ${told}` : image.dataset.side;
      figure.append(words);
    }
    return figure;
  };

  const draw = () => {
    const { buttons, panel } = shown;
    const samples = Number(buttons[shown.version].dataset.samples);
    const id = JSON.parse(buttons[shown.version].dataset.ids)[shown.index];
    const clean = buttons.find((b) => b.closest(".clean"));
    const first = buttons.find((b) => b.closest(".strip.reference"));
    const beside = new Set([clean, first, buttons[shown.version]]);
    lenses.replaceChildren(...[...beside].filter(Boolean).map((b) => lens(b, shown.index)));
    const name = buttons[shown.version].dataset.title;
    const attack = panel && panel.querySelector(".chosen b").textContent;
    title.textContent = attack && buttons[shown.version] !== clean ? `${attack}: ${name}` : name;
    place.textContent = `Sample ${shown.index + 1} of ${samples}${id === undefined ? "" : `, ${id}`}`;
    select.value = String(shown.version);
  };
  const step = (by) => {
    const samples = Number(shown.buttons[shown.version].dataset.samples);
    shown.index = (shown.index + by + samples) % samples;
    draw();
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".zoom");
    if (!button) return;
    const box = button.querySelector("img").getBoundingClientRect();
    const samples = Number(button.dataset.samples);
    // A click from the keyboard has no place: it starts at the first sample.
    const at = event.detail ? Math.floor(((event.clientX - box.left) / box.width) * samples) : 0;
    const gallery = button.closest(".gallery");
    const panel = button.closest(".panel") || gallery.querySelector(".panel:not([hidden])");
    const buttons = [...gallery.querySelectorAll(".clean .zoom"), ...(panel?.querySelectorAll(".zoom") ?? [])];
    const options = buttons.map((b, i) => new Option(b.dataset.title, String(i)));
    select.replaceChildren(...options);
    const index = Math.min(Math.max(at, 0), samples - 1);
    shown = { buttons, panel, version: buttons.indexOf(button), index };
    draw();
    dialog.showModal();
    dialog.querySelector('[data-step="1"]').focus();
  });
  select.addEventListener("change", () => {
    shown.version = Number(select.value);
    draw();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
    else if (event.target.dataset.step) step(Number(event.target.dataset.step));
  });
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    step(by);
    event.preventDefault(); // in the list of versions they would choose another one; up and down still do
  });
})();
