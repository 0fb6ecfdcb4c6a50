"use strict";

/* Make an element: properties are set, "aria-" and "data-" ones and "class" become attributes. */
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class" || key.includes("-")) node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children);
  return node;
}

function choice(label, options, chosen = 0) {
  const select = el("select", {}, ...options.map((text, i) => el("option", { value: i }, text)));
  select.selectedIndex = chosen;
  return { select, label: el("label", {}, label, select) };
}

function shuffled(items) {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [result[i], result[j]] = [result[j], result[i]];
  }
  return result;
}

/* A fair whole number from 0 to n - 1. */
function below(n) {
  const limit = Math.floor(2 ** 32 / n) * n;
  let draw;
  do draw = crypto.getRandomValues(new Uint32Array(1))[0]; while (draw >= limit);
  return draw % n;
}

/* What a session's end or a reload would lose; a browser that keeps nothing is no error. */
const kept = {
  get(key) {
    try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
  },
  set(key, value) {
    try {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, JSON.stringify(value));
    } catch { /* private windows */ }
  },
};

/* Who listens, with what: asked once for both tests. */
class Listener {
  constructor() {
    const known = kept.get("ncodec-listener") ?? {};
    this.name = el("input", { type: "text", value: known.name ?? "", autocomplete: "off" });
    this.gear = el("input", { type: "text", value: known.gear ?? "", placeholder: "headphones, model" });
    this.row = el("div", { class: "row" }, el("label", {}, "Listener", this.name), el("label", {}, "Played over", this.gear));
    for (const input of [this.name, this.gear]) input.addEventListener("change", () => kept.set("ncodec-listener", this.value));
  }

  get value() { return { name: this.name.value.trim(), gear: this.gear.value.trim() }; }

  file(test) {
    const who = this.value.name.replace(/[^\w-]+/g, "_") || "listener";
    return `${test}-${who}-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "")}.json`;
  }
}

function save(name, tree) {
  const blob = new Blob([JSON.stringify(tree, null, 1)], { type: "application/json" });
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
