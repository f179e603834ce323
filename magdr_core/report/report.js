// Enlarges one sample of a strip beside the clean and the disrupted one. The page is complete without it.
"use strict";
(() => {
  const dialog = document.getElementById("zoom");
  const lenses = dialog.querySelector(".lenses");
  const title = document.getElementById("zoom-title");
  const place = document.getElementById("zoom-place");
  let shown = null;

  // Draws sample number `index` of a strip's images, input above output.
  const lens = (button, index) => {
    const size = Number(button.dataset.size);
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = button.dataset.title;
    figure.append(caption);
    for (const image of button.querySelectorAll("img")) {
      const canvas = document.createElement("canvas");
      canvas.width = size;
      canvas.height = image.naturalHeight;
      const left = index * (size + Number(button.dataset.gap));
      canvas.getContext("2d").drawImage(image, left, 0, size, canvas.height, 0, 0, size, canvas.height);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${image.alt}, number ${index + 1}`);
      figure.append(canvas);
    }
    return figure;
  };

  const show = (step) => {
    const samples = Number(shown.button.dataset.samples);
    shown.index = (shown.index + step + samples) % samples;
    const gallery = shown.button.closest(".gallery");
    const panel = shown.button.closest(".panel");
    const first = panel && panel.querySelector(".strip.reference .zoom");
    const beside = [gallery.querySelector(".clean .zoom"), first, shown.button];
    lenses.replaceChildren(...[...new Set(beside)].filter(Boolean).map((b) => lens(b, shown.index)));
    const attack = panel && panel.querySelector(".chosen b");
    title.textContent = attack ? `${attack.textContent}: ${shown.button.dataset.title}` : "clean";
    place.textContent = `Sample ${shown.index + 1} of ${samples}`;
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".zoom");
    if (!button) return;
    const box = button.querySelector("img").getBoundingClientRect();
    const samples = Number(button.dataset.samples);
    // A click from the keyboard has no place: it starts at the first sample.
    const at = event.detail ? Math.floor(((event.clientX - box.left) / box.width) * samples) : 0;
    shown = { button, index: Math.min(Math.max(at, 0), samples - 1) };
    show(0);
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
    else if (event.target.dataset.step) show(Number(event.target.dataset.step));
  });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) show(step);
  });
  // Paper cannot be unfolded.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => (d.open = true)));
})();
