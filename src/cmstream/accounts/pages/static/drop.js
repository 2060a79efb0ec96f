// What only a script can do: files dropped on the frame go into its file input, and those chosen
// are named. Without it the input alone does the same work.
"use strict";

document.documentElement.classList.add("has-script");

for (const zone of document.querySelectorAll(".drop")) {
  const input = zone.querySelector("input[type=file]");
  const chosen = zone.querySelector(".chosen");

  const show = () => {
    chosen.replaceChildren(
      ...Array.from(input.files, (file) => {
        const item = document.createElement("li");
        item.textContent = `${file.name}, ${Math.ceil(file.size / 1024)} KiB`;
        return item;
      }),
    );
  };

  const hover = (event) => {
    event.preventDefault();
    zone.classList.add("over");
  };

  input.addEventListener("change", show);
  if (input.webkitdirectory) {
    continue;
  }
  zone.addEventListener("dragenter", hover);
  zone.addEventListener("dragover", hover);
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length > 0) {
      input.files = event.dataTransfer.files;
      show();
    }
  });
}

const summary = document.querySelector("[data-focus]");
if (summary) {
  summary.focus();
}
