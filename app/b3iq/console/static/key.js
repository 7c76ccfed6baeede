// The page that shows a new key once: a copy button, and a reload that makes no second key.
"use strict";

(() => {
  // The page answers a POST; under the console's address a reload is a plain GET.
  window.history.replaceState(null, "", "/console/");

  const secret = document.querySelector("#new-key");
  const button = document.querySelector("#copy-key");
  const said = document.querySelector("#copy-result");

  const select = () => {
    const range = document.createRange();
    range.selectNodeContents(secret);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(secret.textContent.trim());
      said.textContent = "Copied. Save it in a file now.";
    } catch {
      select();
      said.textContent = "The browser did not allow copying. The key is selected: press Ctrl+C.";
    }
  });
})();
