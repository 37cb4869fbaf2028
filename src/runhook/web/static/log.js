// Shows a log of any length: only the lines that are to be seen are in the page, and only some pages
// of lines around them in memory; the server is asked for slices by line number. Where one is, is
// `top` (a line, with a fraction); the scroll bar only follows it, since no browser makes an element
// as high as ten million lines. Colours (SGR sequences) are shown, other escape sequences dropped.
// Without this script the page shows a slice, with links to earlier and later ones.

import { parts, styled } from "./log_text.js";

const PAGE = 500, MOST_PAGES = 40, MOST_CHARACTERS = 8e6, LINE_PX = 20, HIGHEST_PX = 8e6, PAUSE_MS = 200;
const box = document.getElementById("log");
const tools = document.getElementById("log-tools");
const button = Object.fromEntries([...tools.querySelectorAll("button[id]")].map((each) => [each.id, each]));
const form = document.getElementById("log-search");
const told = document.getElementById("log-told");
const view = document.createElement("div"), rows = document.createElement("div"), spacer = document.createElement("div");
const pages = new Map();
const scale = () => Math.min(1, HIGHEST_PX / (total * LINE_PX || 1));
let total = 0, top = 0, drawn = -1, marked = 0, following = true, wrap = false, timed = false, generation = 0, needle = "";

const ask = async (verb, query, signal) => {
  const url = new URL(`${box.dataset.source}/${verb}`, location);
  if (box.dataset.attempt) query.attempt = box.dataset.attempt;
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const answer = await fetch(url, { signal });
  const body = await answer.json();
  if (!answer.ok) throw new Error(Object.values(body.details ?? {})[0] ?? body.message);
  return body;
};

async function load(number) {
  const page = pages.get(number) ?? { lines: [], times: [], cut: [], styles: [], stale: true };
  pages.delete(number);
  pages.set(number, page);
  if (page.busy || !page.stale) return;
  page.busy = true;
  page.stale = false;
  const fresh = { lines: [], times: [], cut: [] }, began = generation;
  try {
    let found;
    do {
      const count = PAGE - fresh.lines.length;
      found = await ask("lines", { from: number * PAGE + fresh.lines.length + 1, count, times: timed });
      for (const name of ["lines", "times", "cut"]) fresh[name].push(...(found[name] ?? []));
    } while (found.lines.length && fresh.lines.length < PAGE && number * PAGE + fresh.lines.length < found.total);
    if (began !== generation) return;
    Object.assign(page, fresh, { styles: parts(fresh.lines), size: fresh.lines.reduce((sum, each) => sum + each.length, 0) });
    forget();
    schedule();
  } catch {
    page.stale = true;
  } finally {
    page.busy = false;
  }
}

function forget() {
  let size = 0, kept = 0;
  for (const number of [...pages.keys()].reverse()) {
    size += pages.get(number).size ?? 0;
    if (++kept > MOST_PAGES || (size > MOST_CHARACTERS && kept > 3)) pages.delete(number);
  }
}

async function count() {
  let answer;
  do {
    answer = await ask("lines", { count: 0 });
    if (answer.total !== total) {
      for (const number of pages.keys()) if ((number + 1) * PAGE >= total) pages.get(number).stale = true;
      if (answer.total < total) pages.clear();
      total = answer.total;
      box.dataset.total = total;
    } else if (pages.has(Math.floor((total - 1) / PAGE))) {
      pages.get(Math.floor((total - 1) / PAGE)).stale = true;
    }
    place();
  } while (!answer.counted);
}

const fit = () => box.clientHeight / LINE_PX;
const lowest = () => Math.max(0, total - fit());

function place() {
  spacer.style.height = `${Math.min(HIGHEST_PX, total * LINE_PX)}px`;
  if (following) top = lowest();
  settle();
  schedule();
}

let settled = -1;
function settle() {
  const most = box.scrollHeight - box.clientHeight;
  box.scrollTop = scale() === 1 ? top * LINE_PX : (lowest() ? top / lowest() : 0) * most;
  settled = box.scrollTop;
}

function go(line, follow = false) {
  top = Math.max(0, Math.min(line, lowest()));
  setFollowing(follow || (top >= lowest() - 0.5 && line >= lowest()));
  settle();
  schedule();
}

function setFollowing(yes) {
  following = yes;
  button.follow.hidden = yes;
}

let waiting = false;
function schedule() {
  if (!waiting) requestAnimationFrame(() => { waiting = false; draw(); });
  waiting = true;
}

function row(index) {
  const page = pages.get(Math.floor(index / PAGE)), at = index % PAGE;
  const line = document.createElement("div"), number = document.createElement("a");
  line.className = index + 1 === marked ? "line marked" : "line";
  number.className = "n";
  number.href = `#L${index + 1}`;
  number.tabIndex = -1;
  number.dataset.n = index + 1;
  number.setAttribute("aria-label", `Line ${index + 1}`);
  line.append(number);
  if (page?.times?.[at]) {
    const time = document.createElement("span"), instant = new Date(page.times[at]);
    time.className = "at";
    time.dataset.at = instant.toLocaleTimeString();
    time.title = instant.toLocaleString();
    line.append(time);
  }
  if (page?.lines[at] !== undefined) line.append(styled(page.lines[at], page.styles[at], needle));
  if (page?.cut.includes(index + 1)) line.append(" …");
  return line;
}

function draw() {
  const first = Math.floor(Math.max(0, following && wrap ? total - fit() - 1 : top));
  const last = Math.min(total, first + Math.ceil(fit()) + 2);
  for (let number = Math.floor(first / PAGE); number * PAGE < last; number++) load(number);
  rows.style.height = `${box.clientHeight}px`;
  rows.replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, each) => row(first + each)));
  const lines = rows.children, heights = [...lines].reduce((sum, each) => sum + each.offsetHeight, 0);
  let shift = lines.length ? -(top - first) * lines[0].offsetHeight : 0;
  if (following) shift = Math.min(0, box.clientHeight - heights);
  for (const line of lines) line.style.transform = `translateY(${shift}px)`;
  drawn = first;
}

function begin() {
  view.className = "view";
  rows.className = "rows";
  view.append(rows);
  box.replaceChildren(view, spacer);
  box.classList.add("virtual");
  tools.hidden = false;
  box.addEventListener("scroll", () => {
    if (Math.abs(box.scrollTop - settled) < 1) return;
    settled = box.scrollTop;
    const most = box.scrollHeight - box.clientHeight;
    top = scale() === 1 ? Math.min(lowest(), box.scrollTop / LINE_PX) : (most ? box.scrollTop / most : 0) * lowest();
    setFollowing(top >= lowest() - 0.5);
    schedule();
  });
  box.addEventListener("wheel", (event) => {
    if (scale() === 1 || event.ctrlKey || !event.deltaY) return;
    event.preventDefault();
    go(top + event.deltaY * (event.deltaMode ? 1 : 1 / LINE_PX));
  }, { passive: false });
  const keys = { ArrowDown: () => 1, ArrowUp: () => -1, PageDown: () => fit() - 1, PageUp: () => 1 - fit(), Home: () => -total, End: () => total };
  box.addEventListener("keydown", (event) => {
    if (event.target !== box || event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
    event.preventDefault();
    go(top + keys[event.key]());
  });
  new ResizeObserver(place).observe(box);
  button.follow.addEventListener("click", () => go(total, true));
  toggle(button["log-wrap"], (on) => { wrap = on; box.classList.toggle("wrapped", on); });
  toggle(button["log-times"], (on) => { timed = on; generation++; pages.clear(); });
  button["log-error"].addEventListener("click", () => find({ errors: true }, 1));
  button["log-previous"].addEventListener("click", () => look(true));
  form.addEventListener("submit", (event) => { event.preventDefault(); look(false); });
  addEventListener("hashchange", toHash);
}

function toggle(each, set) {
  each.addEventListener("click", () => {
    const on = each.getAttribute("aria-pressed") !== "true";
    each.setAttribute("aria-pressed", on);
    set(on);
    place();
  });
}

function toHash() {
  const line = /^#L(\d+)$/.exec(location.hash);
  if (!line) return false;
  show(Number(line[1]));
  return true;
}

function show(line) {
  marked = Math.min(line, total);
  const seen = drawn >= 0 && line > top + 1 && line < top + fit() - 1;
  if (seen) { setFollowing(false); schedule(); } else go(marked - 1 - Math.floor(fit() / 3));
  if (marked < total) setFollowing(false);
}

let searching;
function look(back) {
  const text = form.elements.text.value, expression = form.elements.expression.checked;
  if (!text) return;
  needle = expression ? "" : text.toLowerCase();
  const from = marked ? marked + (back ? -1 : 1) : back ? Math.ceil(top + fit()) : Math.floor(top) + 1;
  find({ text, expression, back }, from);
}

async function find(query, from) {
  searching?.abort();
  searching = new AbortController();
  const end = query.back ? total : 1;
  told.textContent = "Looking…";
  try {
    let hit = await through(query, Math.max(1, Math.min(from, total + 1)));
    const around = hit === null && from !== end;
    if (around) hit = await through(query, end);
    told.textContent = hit === null ? "No line shows this." : `Line ${hit.toLocaleString()}${around ? ", from the other end" : ""}`;
    if (hit !== null) { show(hit); history.replaceState(null, "", `#L${hit}`); }
  } catch (error) {
    if (error.name !== "AbortError") told.textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
  }
  schedule();
}

async function through(query, from) {
  for (;;) {
    const { line, resume } = await ask("search", { ...query, from }, searching.signal);
    if (line !== null || resume === null) return line;
    if (query.back ? resume >= from : resume <= from) throw new Error(`the search does not get beyond line ${from.toLocaleString()}`);
    from = resume;
    told.textContent = `Looking… line ${from.toLocaleString()}`;
  }
}

if (box?.dataset.source) {
  begin();
  let counting = count().then(toHash, () => {}), again = false;
  const grow = () => {
    if (again) return;
    again = true;
    counting = counting.then(() => { again = false; return count(); }).catch(() => {})
      .then(() => new Promise((resume) => { setTimeout(resume, PAUSE_MS); }));
  };
  if (box.dataset.follow) {
    const stream = new EventSource(box.dataset.follow);
    stream.addEventListener("log", grow);
    stream.addEventListener("end", () => { grow(); stream.close(); });
    addEventListener("pagehide", () => stream.close());
  }
}
