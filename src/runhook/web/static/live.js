// Keeps a page fresh: relative times, and blocks marked data-live that are fetched again when the
// server says that something changed. Without this script the page is as it was when it was loaded.

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

function refreshTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const instant = new Date(element.dateTime);
    const seconds = (instant - Date.now()) / 1000;
    const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
    const words = relative.format(Math.round(seconds / size), unit);
    const isExact = "exact" in element.dataset;
    element.textContent = isExact ? exact.format(instant) : words;
    element.title = isExact ? words : exact.format(instant);
  }
}

async function refreshBlocks() {
  const answer = await fetch(document.body.dataset.page ?? location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const block of document.querySelectorAll("[data-live]")) {
    const successor = fresh.getElementById(block.id);
    const busy = block.contains(document.activeElement) && document.activeElement.matches("input, textarea");
    if (successor && !busy && successor.innerHTML !== block.innerHTML) {
      const focused = [...block.querySelectorAll("a, button")].indexOf(document.activeElement);
      block.replaceChildren(...successor.childNodes);
      if (focused >= 0) block.querySelectorAll("a, button")[focused]?.focus();
    }
  }
  document.dispatchEvent(new CustomEvent("fresh", { detail: fresh }));
  document.title = fresh.title;
  refreshTimes();
  if (!fresh.body.dataset.stream) stream?.close();
}

let stream;
let refreshing = Promise.resolve();
if (document.body.dataset.stream) {
  stream = new EventSource(document.body.dataset.stream);
  stream.addEventListener("changed", () => {
    refreshing = refreshing.then(refreshBlocks, refreshBlocks);
  });
  stream.addEventListener("cells", (event) => {
    document.dispatchEvent(new CustomEvent("cells", { detail: JSON.parse(event.data) }));
  });
}
setInterval(() => {  // nobody is told of single cells here, and an estimate ages
  if (document.hidden || !document.querySelector("[data-moving]")) return;
  refreshing = refreshing.then(refreshBlocks, refreshBlocks);
}, 5000);
addEventListener("pagehide", () => stream?.close());
refreshTimes();
setInterval(refreshTimes, 10000);
