// What every long page does: says where one is, and which tables go on to the right. The page is complete without it.
"use strict";
(() => {
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const heads = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  const here = () => {
    const passed = heads.filter((head) => head.getBoundingClientRect().top < 120);
    const now = links.get((passed.at(-1) ?? heads[0])?.id);
    for (const a of links.values()) {
      if (a === now) a.setAttribute("aria-current", "true");
      else a.removeAttribute("aria-current");
    }
  };
  if (heads.length) {
    addEventListener("scroll", here, { passive: true });
    here();
  }

  // A region that does not scroll is no stop of the keyboard.
  const look = (box) => {
    const over = box.scrollWidth > box.clientWidth + 1;
    if (over) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
    box.classList.toggle("more", over && box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    const cue = box.previousElementSibling;
    if (cue?.classList.contains("cue")) cue.hidden = !over;
    else if (over && box.matches(".table > *, .drawing > *")) {
      const words = document.createElement("p");
      words.className = "cue";
      words.textContent = "goes on to the right \u2192";
      box.before(words);
    }
  };
  const watch = new ResizeObserver((entries) => entries.forEach((entry) => look(entry.target)));
  for (const box of document.querySelectorAll(".scroll")) {
    watch.observe(box);
    box.addEventListener("scroll", () => look(box), { passive: true });
  }

  const unfold = document.querySelector(".unfold");
  if (!unfold) return;
  unfold.hidden = false;
  unfold.addEventListener("click", () => {
    const folded = [...document.querySelectorAll("details")];
    const open = !folded.every((d) => d.open);
    for (const d of folded) d.open = open;
    unfold.textContent = open ? "Fold all" : "Unfold all";
  });
})();
