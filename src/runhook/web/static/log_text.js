// Lines of a log as elements: colours (SGR sequences, ECMA-48) become classes, what is looked for is
// marked, and every other control sequence is dropped. Text never becomes markup.

const SEQUENCE = /\x1b(?:\[([0-9;:]*)([ -\/]*[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const PLAIN = { 1: "bold", 2: "dim", 3: "italic", 4: "underline" };
const ENDS = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"] };

// The style after each line, so that a line begins with that of the line before: a list of the
// styles at the beginning of each.
export function parts(lines) {
  let style = "";
  return lines.map((line) => {
    const before = style;
    for (const match of line.matchAll(SEQUENCE)) if (match[2] === "m") style = restyled(style, match[1]);
    return before;
  });
}

export function styled(line, style, needle) {
  const made = document.createDocumentFragment();
  let at = 0;
  for (const match of line.matchAll(SEQUENCE)) {
    put(made, line.slice(at, match.index), style, needle);
    if (match[2] === "m") style = restyled(style, match[1]);
    at = match.index + match[0].length;
  }
  put(made, line.slice(at), style, needle);
  return made;
}

function put(into, raw, style, needle) {
  const text = raw.replace(CONTROL, "");
  if (!text) return;
  const span = document.createElement("span");
  span.className = style;
  into.append(span);
  const lower = text.toLowerCase();
  let at = 0;
  for (let hit; needle && (hit = lower.indexOf(needle, at)) >= 0; at = hit + needle.length) {
    const mark = document.createElement("mark");
    mark.textContent = text.slice(hit, hit + needle.length);
    span.append(text.slice(at, hit), mark);
  }
  span.append(text.slice(at));
}

function restyled(style, codes) {
  let classes = new Set(style.split(" ").filter(Boolean));
  const foreground = (name) => {
    classes = new Set([...classes].filter((each) => !each.startsWith("fg")));
    if (name) classes.add(name);
  };
  const given = (codes || "0").split(/[;:]/).map(Number);
  for (let at = 0; at < given.length; at++) {
    const code = given[at];
    if (code === 0) classes.clear();
    else if (PLAIN[code]) classes.add(PLAIN[code]);
    else if (ENDS[code]) ENDS[code].forEach((each) => classes.delete(each));
    else if (code >= 30 && code <= 37) foreground(`fg${code - 30}`);
    else if (code >= 90 && code <= 97) foreground(`fg${code - 90}`);
    else if (code === 39) foreground();
    else if (code === 38 || code === 48) {
      const [name, length] = nearest(given.slice(at + 1));
      if (code === 38) foreground(name);
      at += length;
    }
  }
  return [...classes].join(" ");
}

// The nearest of our eight for one of 256 colours or of 16 million, and how many codes said it.
function nearest([kind, ...rest]) {
  const bits = (red, green, blue) => `fg${(red > 127) | ((green > 127) << 1) | ((blue > 127) << 2)}`;
  if (kind === 2) return [bits(...rest), 4];
  const number = rest[0], cube = number - 16;
  if (number < 16) return [`fg${number % 8}`, 2];
  if (number > 231) return ["fg7", 2];
  return [bits(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51), 2];
}
