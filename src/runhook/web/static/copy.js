// Puts a button beside each text that is there to be copied. Without this script, or where the
// browser allows no copying (no https), the text is selected and copied by hand.

const HEARD_MS = 2000;

for (const text of navigator.clipboard ? document.querySelectorAll("pre.copy") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copier";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected: copy it with the keyboard";
    }
    setTimeout(() => { button.textContent = "Copy"; }, HEARD_MS);
  });
  text.before(button);
}
