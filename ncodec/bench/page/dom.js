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

function save(name, tree) {
  const blob = new Blob([JSON.stringify(tree, null, 1)], { type: "application/json" });
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
