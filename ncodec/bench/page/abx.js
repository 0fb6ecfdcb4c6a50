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

/* The fewest right answers of which chance is below 5 %. */
function needed(trials) {
  let right = 0;
  while (guessing(right, trials) >= 0.05) right++;
  return right;
}

/* Holm (1979): p-values of several tests, so that one in twenty of all *lists* is wrong, not of all tests. */
function corrected(values) {
  const order = values.map((p, i) => [p, i]).sort((a, b) => a[0] - b[0]);
  const result = [];
  let most = 0;
  order.forEach(([p, i], rank) => {
    most = Math.max(most, Math.min(1, p * (values.length - rank)));
    result[i] = most;
  });
  return result;
}

class Abx {
  constructor(root, clips, page) {
    this.root = root;
    this.clips = clips;
    this.page = page;
    this.listener = new Listener();
    this.results = kept.get(`ncodec-abx-${page}`) ?? [];
    this.setup();
  }

  /* The hardest fair question: the original against the first codec's best. */
  static pair(versions) {
    const first = versions.findIndex((v) => v.role === "codec");
    let best = first;
    versions.forEach((v, i) => {
      if (v.role === "codec" && v.codec === versions[first].codec && v.setting > versions[best].setting) best = i;
    });
    return [0, Math.max(best, 1)];
  }

  setup() {
    const clip = choice("Recording", this.clips.map((c) => `${c.name} (${c.kind})`));
    const trials = el("input", { type: "number", min: 5, max: 50, value: 16 });
    const start = el("button", { type: "button", class: "main" }, "Start");
    const pair = el("span", { class: "row" });
    let a, b;
    const offer = () => {
      const versions = this.clips[clip.select.selectedIndex].versions;
      const labels = versions.map((v) => v.label);
      const chosen = Abx.pair(versions);
      a = choice("A", labels, chosen[0]);
      b = choice("B", labels, chosen[1]);
      pair.replaceChildren(a.label, b.label);
    };
    const count = () => Math.min(50, Math.max(5, Math.round(Number(trials.value)) || 16));
    const rule = el("p", {});
    const explain = () => {
      rule.textContent = `Of ${count()} trials ${needed(count())} right answers are needed for p < 0.05. `
        + "Fewer prove nothing: a small difference may need more trials.";
    };
    trials.addEventListener("input", explain);
    explain();
    clip.select.addEventListener("change", offer);
    offer();
    const problem = el("p", { role: "alert" });
    start.addEventListener("click", () => {
      const [i, j] = [a.select.selectedIndex, b.select.selectedIndex];
      if (i === j) problem.textContent = "A and B must differ.";
      else this.begin(this.clips[clip.select.selectedIndex], i, j, count());
    });
    this.root.replaceChildren(el("div", { class: "card" }, this.listener.row,
      el("div", { class: "row" }, clip.label, pair, el("label", {}, "Trials", trials), start), rule, problem), this.list());
  }

  list() {
    if (!this.results.length) return el("span");
    const p = corrected(this.results.map((result) => result.p));
    const cell = (text) => el("td", {}, text);
    const rows = this.results.map((r, i) => el("tr", {}, el("th", { scope: "row" }, r.recording), cell(r.a), cell(r.b),
      cell(`${r.right} of ${r.trials}`), cell(p[i].toFixed(3)), cell(p[i] < 0.05 ? "told apart" : "not shown")));
    const heads = ["recording", "A", "B", "right", "p, all tests", ""].map((text) => el("th", { scope: "col" }, text));
    const store = el("button", { type: "button", class: "main" }, "Save answers");
    store.addEventListener("click", () => save(this.listener.file("abx"), {
      test: "ABX", page: this.page, listener: this.listener.value, tests: this.results,
    }));
    const clear = el("button", { type: "button" }, "Forget them");
    clear.addEventListener("click", () => {
      this.results = [];
      kept.set(`ncodec-abx-${this.page}`, null);
      this.setup();
    });
    return el("div", { class: "card" }, el("div", { class: "scroll" },
      el("table", {}, el("caption", {}, "Your tests, p corrected for their number (Holm)"),
        el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows))), el("div", { class: "row" }, store, clear));
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
    const stop = el("button", { type: "button" }, "Give up");
    stop.addEventListener("click", () => { this.deck.pause(); this.setup(); });
    const say = (name) => {
      const button = el("button", { type: "button", "data-answer": name }, `X is ${name}`);
      button.addEventListener("click", () => this.answer(name));
      return button;
    };
    this.count = el("p", { role: "status" });
    this.card = el("div", { class: "card" }, this.count,
      el("div", { class: "row" }, ...Object.values(this.buttons), pause, stop), this.deck.part(),
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
    const { A, B } = this.versions;
    this.result = {
      date: new Date().toISOString(), recording: this.clip.name, a: A.label, b: B.label, hashes: [A.hash, B.hash],
      trials: this.trials, right, p, answers: this.answers,
    };
    this.results.push(this.result);
    kept.set(`ncodec-abx-${this.page}`, this.results);
    const told = p < 0.05 ? "You tell them apart." : "That shows no difference; it does not show that there is none.";
    const again = el("button", { type: "button" }, "New test");
    again.addEventListener("click", () => this.setup());
    const text = el("p", { class: "result", role: "status", tabIndex: -1 },
      `${right} of ${this.trials} right. By guessing: ${(100 * p).toFixed(1)} %. ${told}`);
    this.root.replaceChildren(el("div", { class: "card" }, text, el("div", { class: "row" }, again)), this.list());
    text.focus();
  }
}
