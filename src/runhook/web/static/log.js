// Shows a log as it is written: colours (SGR sequences) are shown, every other escape sequence is
// dropped, a carriage return begins its line anew. Keeps the last lines only; "Raw" has them all.

const MOST_LINES = 5000;
const SEQUENCE = /\x1b(?:\[([0-9;:]*)([ -\/]*[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])/g;
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g;

const pre = document.getElementById("log");
const follow = document.getElementById("follow");
let style = "";
let line = null;
let pending = "";
let following = true;

function newLine() {
  line = document.createElement("span");
  line.className = "line";
  pre.append(line);
  if (pre.childElementCount > MOST_LINES) pre.firstElementChild.remove();
}

function put(text) {
  if (!text) return;
  const span = document.createElement("span");
  if (style) span.className = style;
  span.textContent = text.replace(CONTROL, "");
  line.append(span);
}

function setStyle(codes) {
  const classes = new Set(style.split(" ").filter(Boolean));
  const drop = (prefix) => [...classes].filter((name) => name.startsWith(prefix)).forEach((name) => classes.delete(name));
  for (const code of (codes || "0").split(";").map(Number)) {
    if (code === 0) classes.clear();
    else if (code === 1) classes.add("bold");
    else if (code === 22) classes.delete("bold");
    else if (code >= 30 && code <= 37) { drop("fg"); classes.add(`fg${code - 30}`); }
    else if (code >= 90 && code <= 97) { drop("fg"); classes.add(`fg${code - 90}`); }
    else if (code === 39) drop("fg");
  }
  style = [...classes].join(" ");
}

function putStyled(text) {
  let at = 0;
  for (const match of text.matchAll(SEQUENCE)) {
    put(text.slice(at, match.index));
    if (match[2] === "m") setStyle(match[1]);
    at = match.index + match[0].length;
  }
  put(text.slice(at));
}

function append(data) {
  const text = pending + data;
  const cut = /\x1b[^@-Z\\^_a-z]{0,64}$|\r$/.exec(text);
  pending = cut ? cut[0] : "";
  const whole = (cut ? text.slice(0, cut.index) : text).replaceAll("\r\n", "\n");
  whole.split("\n").forEach((part, index) => {
    if (index > 0) newLine();
    const states = part.split("\r");
    if (states.length > 1) line.replaceChildren();
    putStyled(states.findLast((state) => state !== "") ?? "");
  });
  if (following) pre.scrollTop = pre.scrollHeight;
}

function atEnd() {
  return pre.scrollHeight - pre.scrollTop - pre.clientHeight < 24;
}

if (pre?.dataset.source) {
  const stream = new EventSource(pre.dataset.source);
  stream.addEventListener("open", () => {
    if (!line) { pre.replaceChildren(); newLine(); }
  });
  stream.addEventListener("log", (event) => append(JSON.parse(event.data)));
  stream.addEventListener("end", () => stream.close());
  addEventListener("pagehide", () => stream.close());
  pre.addEventListener("scroll", () => {
    following = atEnd();
    follow.hidden = following;
  });
  follow.addEventListener("click", () => {
    following = true;
    pre.scrollTop = pre.scrollHeight;
  });
}
