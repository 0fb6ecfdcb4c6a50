/* The chance of so many right answers or more by guessing. */
function guessing(right, trials) {
  let total = 0;
  let ways = 1; // trials over k
  for (let k = 0; k <= trials; k++) {
    if (k >= right) total += ways;
    ways = ways * (trials - k) / (k + 1);
  }
  return total / 2 ** trials;
}

class Abx {
  constructor(root, clips) {
    this.root = root;
    this.clips = clips;
    this.setup();
  }

  setup() {
    const clip = choice("Recording", this.clips.map((c) => `${c.name} (${c.kind})`));
    const trials = el("input", { type: "number", min: 5, max: 50, value: 10 });
    const start = el("button", { type: "button", class: "main" }, "Start");
    const pair = el("span", { class: "row" });
    let a, b;
    const offer = () => {
      const labels = this.clips[clip.select.selectedIndex].versions.map((v) => v.label);
      a = choice("A", labels, 0);
      b = choice("B", labels, Math.min(2, labels.length - 1));
      pair.replaceChildren(a.label, b.label);
    };
    clip.select.addEventListener("change", offer);
    offer();
    const problem = el("p", { role: "alert" });
    start.addEventListener("click", () => {
      const [i, j] = [a.select.selectedIndex, b.select.selectedIndex];
      if (i === j) problem.textContent = "A and B must differ.";
      else this.begin(this.clips[clip.select.selectedIndex], i, j,
        Math.min(50, Math.max(5, Math.round(Number(trials.value)) || 10)));
    });
    this.root.replaceChildren(el("div", { class: "card" },
      el("div", { class: "row" }, clip.label, pair, el("label", {}, "Trials", trials), start), problem));
  }

  begin(clip, a, b, trials) {
    this.clip = clip;
    this.versions = { A: clip.versions[a], B: clip.versions[b] };
    this.trials = trials;
    this.answers = [];
    this.deck = new Deck(clip.seconds, () => this.mark());
    this.buttons = Object.fromEntries(["A", "B", "X"].map((name) => {
      const button = el("button", { type: "button", "aria-pressed": "false" }, `Play ${name}`);
      button.addEventListener("click", () => this.play(name));
      return [name, button];
    }));
    const pause = el("button", { type: "button" }, "Pause");
    pause.addEventListener("click", () => this.deck.pause());
    const say = (name) => {
      const button = el("button", { type: "button", "data-answer": name }, `X is ${name}`);
      button.addEventListener("click", () => this.answer(name));
      return button;
    };
    this.count = el("p", { role: "status" });
    this.card = el("div", { class: "card" }, this.count,
      el("div", { class: "row" }, ...Object.values(this.buttons), pause),
      el("div", { class: "row" }, say("A"), say("B")));
    this.card.addEventListener("keydown", (event) => {
      const name = event.key.toUpperCase();
      if (name in this.buttons && !event.ctrlKey && !event.metaKey) this.play(name);
    });
    this.root.replaceChildren(this.card);
    this.next();
    this.buttons.A.focus();
  }

  next() {
    this.x = below(2) ? "A" : "B";
    this.named = null;
    this.count.textContent = `Trial ${this.answers.length + 1} of ${this.trials}`;
    this.mark();
  }

  play(name) {
    this.named = name;
    return this.deck.play(this.versions[name === "X" ? this.x : name]);
  }

  mark() {
    for (const [name, button] of Object.entries(this.buttons)) {
      button.setAttribute("aria-pressed", String(this.deck.sounding && name === this.named));
    }
  }

  answer(name) {
    this.deck.pause();
    this.answers.push({ x: this.x, answer: name, right: name === this.x });
    if (this.answers.length < this.trials) this.next();
    else this.finish();
  }

  finish() {
    const right = this.answers.filter((answer) => answer.right).length;
    const p = guessing(right, this.trials);
    this.result = {
      test: "ABX", date: new Date().toISOString(), recording: this.clip.name,
      a: this.versions.A.label, b: this.versions.B.label,
      trials: this.trials, right, p, answers: this.answers,
    };
    const told = p < 0.05 ? "You tell them apart." : "That could be guessing.";
    const store = el("button", { type: "button", class: "main" }, "Save answers");
    store.addEventListener("click", () => save("abx.json", this.result));
    const again = el("button", { type: "button" }, "New test");
    again.addEventListener("click", () => this.setup());
    const text = el("p", { class: "result", role: "status", tabIndex: -1 },
      `${right} of ${this.trials} right. By guessing: ${(100 * p).toFixed(1)} %. ${told}`);
    this.root.replaceChildren(el("div", { class: "card" }, text, el("div", { class: "row" }, store, again)));
    text.focus();
  }
}
