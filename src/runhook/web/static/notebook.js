// The notebook of a run as it is executed: cells that changed are asked for and swapped in place, an
// output that did not change is left alone, later slices come when one scrolls to them, and frames
// are made as high as what is in them. Without this script the page is as it was when it was loaded.

const HIGHEST = 1200;
const notebook = document.getElementById("notebook");
const wanted = new Set();
let fetching = false;

function pieces(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

async function ask(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  return answer.ok && !answer.redirected ? pieces(await answer.text()) : null;
}

function swapOutputs(now, next) {
  const old = [...now.children];
  const fresh = [...next.children];
  fresh.forEach((output, index) => {
    const known = old[index];
    if (!known) now.append(output);
    else if (!output.dataset.mark || known.dataset.mark !== output.dataset.mark) replaceOutput(known, output);
  });
  old.slice(fresh.length).forEach((output) => output.remove());
}

function replaceOutput(known, output) {
  const scrolled = known.querySelector("pre");
  const atEnd = scrolled && scrolled.scrollTop + scrolled.clientHeight > scrolled.scrollHeight - 24;
  const was = known.querySelector("iframe")?.height;
  known.replaceWith(output);
  if (was && output.querySelector("iframe")) output.querySelector("iframe").height = was;
  if (atEnd) output.querySelector("pre")?.scrollTo(0, 1e9);
}

function swapCell(now, next) {
  if (now.dataset.mark === next.dataset.mark) return;
  const [old, fresh] = [now, next].map((cell) => cell.querySelector(":scope > .outputs"));
  now.className = next.className;
  now.dataset.mark = next.dataset.mark;
  if (old && fresh) {
    swapOutputs(old, fresh);
    for (const part of [...now.children]) if (part !== old) part.remove();
    for (const part of [...next.children]) if (part !== fresh) now.insertBefore(part, old);
  } else {
    now.replaceChildren(...next.childNodes);
  }
}

function swap(root) {
  for (const next of root.querySelectorAll("article.cell")) {
    const now = document.getElementById(next.id);
    if (now) swapCell(now, next);
  }
}

async function fetchWanted() {
  if (fetching) return;
  fetching = true;
  while (wanted.size) {
    const numbers = [...wanted].slice(0, 100);
    numbers.forEach((number) => wanted.delete(number));
    const query = numbers.map((number) => `number=${number}`).join("&");
    const found = await ask(`${notebook.dataset.cells}&${query}`).catch(() => null);
    if (found) swap(found);
  }
  fetching = false;
}

function showProgress(told) {
  const place = document.getElementById("progress");
  if (!place) return;
  place.hidden = !told;
  if (!told) return;
  place.classList.toggle("stalled", told.stalled);
  const [bar, words] = [place.querySelector("progress"), place.querySelector("span")];
  bar.max = told.of || 1;
  bar.value = told.done;
  words.textContent = told.sentence;
}

document.addEventListener("cells", ({ detail: [marks, progress] }) => {
  showProgress(progress);
  if (!notebook.querySelector("article.cell")) return firstCells(marks);
  for (const [number, mark] of Object.entries(marks)) {
    const cell = document.getElementById(`cell-${number}`);
    if (cell && cell.dataset.mark !== mark) wanted.add(number);
  }
  fetchWanted();
});

async function firstCells(marks) {
  if (!Object.keys(marks).length) return;
  const found = await ask(`${notebook.dataset.cells}&from=1`).catch(() => null);
  if (found && !notebook.querySelector("article.cell")) {
    notebook.replaceChildren(...found.childNodes);
    watchMore();
  }
}

document.addEventListener("fresh", ({ detail: page }) => {
  const fresh = page.getElementById("notebook");
  if (!fresh) return;
  if (notebook.querySelector("article.cell")) swap(fresh);
  else {
    notebook.replaceChildren(...fresh.childNodes);
    watchMore();
  }
});

const nearEnd = new IntersectionObserver(async (entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    nearEnd.unobserve(target);
    const found = await ask(target.dataset.more).catch(() => null);
    if (found) target.parentElement.replaceWith(...found.childNodes);
    watchMore();
  }
}, { rootMargin: "1500px" });

function watchMore() {
  for (const link of notebook.querySelectorAll("a[data-more]")) nearEnd.observe(link);
}

addEventListener("message", (event) => {
  const height = event.data?.runhookHeight;
  if (!Number.isFinite(height)) return;
  for (const frame of notebook.querySelectorAll("iframe")) {
    if (frame.contentWindow === event.source) frame.height = Math.min(Math.max(height, 20), HIGHEST);
  }
});

function goToCell() {
  const number = /^#cell-(\d{1,9})$/.exec(location.hash)?.[1];
  if (!number || document.getElementById(`cell-${number}`)) return;
  const address = new URL(location.href);
  if (address.searchParams.get("cell") === number) return;
  address.searchParams.set("cell", number);
  location.replace(address);
}

addEventListener("hashchange", goToCell);
goToCell();
watchMore();
