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

// What began before and has ended since is told, wherever on the page one is.
const ENDS = new Set(["succeeded", "failed", "cancelled", "timed_out", "lost"]);

function toastEnds(before) {
  for (const row of document.querySelectorAll("[data-toast]")) {
    const was = before.get(row.dataset.run);
    if (!was || was === row.dataset.state || !ENDS.has(row.dataset.state)) continue;
    const toast = document.createElement("a");
    toast.className = `toast state ${row.dataset.state}`;
    toast.href = `/dash/runs/${row.dataset.run}`;
    toast.textContent = row.dataset.toast;
    document.getElementById("toasts").append(toast);
    setTimeout(() => toast.remove(), 8000);
  }
}

async function refreshBlocks() {
  const before = new Map([...document.querySelectorAll("[data-toast]")].map((row) => [row.dataset.run, row.dataset.state]));
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
  const icon = document.querySelector("link[rel=icon]"), newer = fresh.querySelector("link[rel=icon]");
  if (icon.href !== newer.href) icon.href = newer.href;
  toastEnds(before);
  watchScrolls();
  refreshTimes();
  if (!fresh.body.dataset.stream) stream?.close();
}

// A table that is wider than its place is scrolled; where nothing in it takes the keyboard's focus,
// it takes it itself.
const scrolls = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const needs = target.scrollWidth > target.clientWidth && !target.querySelector("a, button, input, summary, [tabindex]");
    if (needs) target.tabIndex = 0;
  }
});
const watchScrolls = () => document.querySelectorAll(".scroll:not([tabindex])").forEach((each) => scrolls.observe(each));
watchScrolls();

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
