"use strict";
// Says that something happens, and does not send what would be refused. The form works without it, too.
const form = document.querySelector("form");
const picture = document.getElementById("picture");
const status = form.querySelector("[role=status]");
const most = Number(form.dataset.most) * 1e6;

picture.addEventListener("change", () => {
  const file = picture.files[0];
  const large = file && file.size > most;
  picture.setCustomValidity(large ? `The file has ${Math.ceil(file.size / 1e6)} MB; pictures of up to ${form.dataset.most} MB are read.` : "");
  if (large) picture.reportValidity();
});

form.addEventListener("submit", () => {
  const attack = new FormData(form).get("mode") === "attack";
  status.textContent = attack ? "Attacking, looking and restoring. This takes half a minute or so …" : "Looking. This takes some seconds …";
  // Not at once: a button that is disabled now would not be sent.
  setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }), 0);
});

// A page that the browser brings back from its memory is not working any more.
addEventListener("pageshow", () => {
  status.textContent = "";
  form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
});
