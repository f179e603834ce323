addEventListener("DOMContentLoaded", () => {
  // What is wider than its place scrolls: the keyboard has to get there, and only then.
  const wide = document.querySelectorAll(".table-wrapper, .highlight pre");
  const look = (one) => {
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
    else one.removeAttribute("tabindex");
  };
  const watch = new ResizeObserver((seen) => seen.forEach(({ target }) => look(target)));
  wide.forEach((one) => watch.observe(one));
  document.fonts.ready.then(() => wide.forEach(look));  // another font is wider, and resizes no box

  // The theme's drawers are opened by labels of hidden boxes, for mice alone: here they are buttons as well.
  document.querySelectorAll(".nav-overlay-icon, .toc-overlay-icon").forEach((label) => {
    const icon = label.firstElementChild;
    const box = label.control;
    icon.tabIndex = 0;
    icon.setAttribute("role", "button");
    icon.setAttribute("aria-label", box.getAttribute("aria-label"));
    const tell = () => icon.setAttribute("aria-expanded", box.checked);
    tell();
    box.addEventListener("change", tell);
    icon.addEventListener("keydown", (e) => {
      if (e.key !== "Enter" && e.key !== " ") return;
      e.preventDefault();
      label.click();
    });
  });
});
