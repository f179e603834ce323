// Put into a page after axe-core by accessibility.py: what axe-core finds, and what the Tab key reaches.
window.magdrLook = (() => {
  const NATIVE = "a[href], area[href], button, input, select, textarea, summary, iframe, [contenteditable]";
  // What may look otherwise in another colour scheme; everything else is the same in both.
  const COLOURS = ["color-contrast", "link-in-text-block"];
  let stops = [];
  let looks = [];

  // What moves by itself is at its end at once.
  const still = new CSSStyleSheet();
  still.replaceSync("* { scroll-behavior: auto !important; transition: none !important; animation: none !important; }");
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, still];

  const words = (e) => `<${e.localName}${e.id ? ` id=${e.id}` : ""}${e.className && typeof e.className === "string" ? ` class="${e.className}"` : ""}> ` +
    (e.getAttribute("aria-label") || e.innerText || e.name || "").trim().replace(/\s+/g, " ").slice(0, 50);

  const shown = (e) => e.checkVisibility({ visibilityProperty: true });

  // The Tab key stops at one button of a group: the chosen one.
  const chosen = (radio) => radio.checked || ![...document.getElementsByName(radio.name)].some((e) => e.checked);

  const isStop = (e) => {
    if (!shown(e) || e.matches(":disabled, [type=hidden]") || e.closest("[inert]")) return false;
    if (e.localName === "summary" && e.parentElement.querySelector(":scope > summary") !== e) return false;
    if (e.type === "radio" && !chosen(e)) return false;
    return e.matches(NATIVE) || e.tabIndex >= 0;
  };

  // What one sees of an element: itself and its labels, which stand for boxes that are out of sight.
  const seen = (e) => [e, ...(e.labels ?? [])];

  const look = (e) => seen(e).map((n) => {
    const s = getComputedStyle(n);
    const outline = s.outlineStyle === "none" || s.outlineWidth === "0px" ? "" : s.outline;
    return [outline, s.boxShadow, s.borderColor, s.backgroundColor, s.color, s.textDecorationLine].join();
  }).join("\n");

  const inSight = (e) => seen(e).some((n) => [...n.getClientRects()].some((box) => {
    if (box.width < 3 || box.height < 3) return false;
    return [0.5, 0.1, 0.9].some((x) => [0.5, 0.1, 0.9].some((y) => {
      const hit = document.elementFromPoint(box.left + x * box.width, box.top + y * box.height);
      return hit && seen(e).some((own) => own.contains(hit));
    }));
  }));

  return {
    // [{rule, impact, help, where: [words]}], and the rules that axe-core cannot decide by itself.
    async audit(coloursAlone) {
      const options = { resultTypes: ["violations", "incomplete"] };
      if (coloursAlone) options.runOnly = { type: "rule", values: COLOURS };
      const done = await axe.run(document, options);
      const brief = (r) => ({
        rule: r.id, impact: r.impact, help: r.help,
        where: r.nodes.map((n) => `${n.target.join(" ")}: ${n.any[0]?.message ?? n.html.slice(0, 80)}`),
      });
      return { found: done.violations.map(brief), open: done.incomplete.map(brief) };
    },

    // Everything that the Tab key has to reach, by name.
    begin() {
      const root = document.querySelector("dialog:modal") ?? document;
      stops = [...root.querySelectorAll(`${NATIVE}, [tabindex]`)].filter(isStop);
      document.activeElement?.blur();
      looks = stops.map(look);
      return stops.map(words);
    },

    // Where the Tab key has led: null outside the page, index -1 at something that begin() did not expect.
    async here() {
      const e = document.activeElement;
      if (!e || e === document.body) return null;
      const index = stops.indexOf(e);
      // A browser may scroll to it with the next frame.
      if (!inSight(e)) await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return { index, marked: index < 0 || look(e) !== looks[index], inSight: inSight(e), words: words(e) };
    },

    // Labels that can be clicked though no key reaches what they are of.
    mouseAlone() {
      return [...document.querySelectorAll("label")].filter((l) => shown(l) && l.getClientRects()[0]?.width > 2
        && l.control && !shown(l.control) && !l.querySelector("[tabindex='0']")).map(words);
    },

    tooWide: () => document.documentElement.scrollWidth > innerWidth,
  };
})();
