const WORDS = ["Bad", "Poor", "Fair", "Good", "Excellent"];
const ANCHORS = ["low", "mid"];

class Mushra {
  constructor(root, clips, page) {
    this.root = root;
    this.clips = clips;
    this.id = page;
    this.listener = new Listener();
    this.setup();
  }

  /* The codecs' own rates differ: for a rate, each codec's nearest one takes part. */
  static conditions(clip, rate) {
    const nearest = new Map();
    for (const version of clip.versions.filter((v) => v.role === "codec")) {
      const off = Math.abs(Math.log(version.setting / rate));
      const known = nearest.get(version.codec);
      if (!known || off < known.off) nearest.set(version.codec, { version, off });
    }
    const near = [...nearest.values()].filter((item) => item.off < Math.log(2.1));
    return [...clip.versions.filter((v) => v.role !== "codec"), ...near.map((item) => item.version)];
  }

  get store() { return `ncodec-mushra-${this.id}`; }

  setup() {
    const settings = new Set(this.clips.flatMap((c) => c.versions.map((v) => v.setting)));
    const rates = [...settings].filter((rate) => rate !== null).sort((a, b) => a - b);
    const rate = choice("Codecs near", rates.map((r) => `${r} kbps`), Math.floor(rates.length / 2));
    const start = el("button", { type: "button", class: "main" }, "Start");
    start.addEventListener("click", () => this.train(rates[rate.select.selectedIndex]));
    const row = el("div", { class: "row" }, rate.label, start);
    const before = kept.get(this.store);
    if (before) {
      const go = el("button", { type: "button" }, `Go on at recording ${before.done + 1} of ${this.clips.length}`);
      go.addEventListener("click", () => {
        this.rate = before.rate;
        this.ratings = before.ratings;
        this.pages = before.order.map((i) => this.clips[i]);
        this.page(before.done);
      });
      row.append(go);
    }
    const few = this.clips.length < 4
      ? el("p", {}, "With so few recordings a rating says little: make the report with --clips 3.") : "";
    this.root.replaceChildren(el("div", { class: "card" }, this.listener.row, row, few));
  }

  /* BS.1534-3, 4: listeners hear all that is to come, named, and set their level, before they rate. */
  train(rate) {
    const clip = this.clips[0];
    const deck = new Deck(clip.seconds);
    const buttons = Mushra.conditions(clip, rate).map((version) => {
      const name = { original: "Reference", low: "Low anchor", mid: "Mid anchor" }[version.role] ?? "A codec";
      const button = el("button", { type: "button" }, name);
      button.addEventListener("click", () => deck.play(version));
      return button;
    });
    const start = el("button", { type: "button", class: "main" }, "Begin to rate");
    start.addEventListener("click", () => { deck.pause(); this.begin(rate); });
    const head = el("p", { tabIndex: -1 }, "Before you rate: hear what the range is, set the volume, and leave it there.");
    this.root.replaceChildren(el("div", { class: "card" }, head, el("div", { class: "row" }, ...buttons), el("div", { class: "row" }, start)));
    head.focus();
  }

  begin(rate) {
    this.rate = rate;
    this.ratings = [];
    this.pages = shuffled(this.clips);
    this.page(0);
  }

  page(number) {
    const clip = this.pages[number];
    const order = shuffled(Mushra.conditions(clip, this.rate));
    this.deck?.pause();
    this.deck = new Deck(clip.seconds, () => mark());
    let named = null;
    const heard = new Set();
    const rated = new Set();
    const buttons = new Map();
    const mark = () => buttons.forEach((button, name) =>
      button.setAttribute("aria-pressed", String(this.deck.sounding && name === named)));
    const next = el("button", { type: "button", class: "main", disabled: true },
      number + 1 < this.pages.length ? "Next recording" : "Finish");
    const ready = () => { next.disabled = !order.every((v) => heard.has(v) && rated.has(v)); };
    const play = (name, version) => {
      named = name;
      this.deck.play(version);
      heard.add(version);
      ready();
    };
    const sound = (name, version) => {
      const button = el("button", { type: "button", "aria-pressed": "false" }, name);
      button.addEventListener("click", () => play(name, version));
      buttons.set(name, button);
      return button;
    };
    const pause = el("button", { type: "button" }, "Pause");
    pause.addEventListener("click", () => this.deck.pause());
    const sliders = order.map((version, i) => {
      const output = el("output", {}, "\u2013");
      const slider = el("input", {
        type: "range", min: 0, max: 100, value: 50, class: "untouched", "aria-label": `Rating of sound ${i + 1}`,
        "aria-valuetext": "not rated yet",
      });
      const rate = () => {
        rated.add(version);
        slider.classList.remove("untouched");
        output.textContent = slider.value;
        slider.setAttribute("aria-valuetext", `${slider.value}, ${WORDS[Math.min(4, Math.floor(slider.value / 20))]}`);
        ready();
      };
      for (const event of ["input", "change"]) slider.addEventListener(event, rate);
      return { slider, line: el("div", { class: "scale" }, sound(`Sound ${i + 1}`, version), slider, output) };
    });
    next.addEventListener("click", () => {
      order.forEach((version, i) => this.ratings.push({
        recording: clip.name, kind: clip.kind, role: version.role, codec: version.codec, version: version.label,
        hash: version.hash, rating: Number(sliders[i].slider.value),
      }));
      this.deck.pause();
      if (number + 1 < this.pages.length) {
        kept.set(this.store, {
          rate: this.rate, ratings: this.ratings, order: this.pages.map((c) => this.clips.indexOf(c)), done: number + 1,
        });
        this.page(number + 1);
      } else this.finish();
    });
    // Without the name of the file, which may tell what is to be expected.
    const head = el("p", { role: "status", tabIndex: -1 }, `Recording ${number + 1} of ${this.pages.length}. `
      + "Play every sound and rate it against the reference: keys 0 (reference) to 9, space to pause.");
    const card = el("div", { class: "card" }, head,
      el("div", { class: "row" }, sound("Reference", clip.versions[0]), pause), this.deck.part(),
      el("div", { class: "scale" }, el("span"), el("div", { class: "words" }, ...WORDS.map((w) => el("span", {}, w))), el("span")),
      ...sliders.map((item) => item.line), el("div", { class: "row" }, next));
    card.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.type === "number") return;
      const digit = "0123456789".indexOf(event.key);
      if (event.key === " " && event.target.tagName !== "BUTTON") {
        event.preventDefault();
        this.deck.pause();
      } else if (digit === 0) play("Reference", clip.versions[0]);
      else if (digit > 0 && digit <= order.length) play(`Sound ${digit}`, order[digit - 1]);
    });
    this.root.replaceChildren(card);
    head.focus();
  }

  finish() {
    kept.set(this.store, null);
    this.result = {
      test: "MUSHRA", page: this.id, date: new Date().toISOString(), listener: this.listener.value, rate: this.rate,
      ratings: this.ratings,
    };
    const groups = new Map();
    for (const { role, codec, rating, version } of this.ratings) {
      const name = role === "codec" ? codec : version;
      groups.set(name, [...(groups.get(name) ?? []), rating]);
    }
    const rows = [...groups].map(([name, ratings]) =>
      ({ name, mean: ratings.reduce((a, b) => a + b, 0) / ratings.length })).sort((a, b) => b.mean - a.mean);
    const store = el("button", { type: "button", class: "main" }, "Save answers");
    store.addEventListener("click", () => save(this.listener.file("mushra"), this.result));
    const again = el("button", { type: "button" }, "New test");
    again.addEventListener("click", () => this.setup());
    const text = el("p", { class: "result", role: "status", tabIndex: -1 }, Mushra.screening(this.ratings));
    this.root.replaceChildren(el("div", { class: "card" }, text,
      el("table", {}, el("caption", {}, "Mean ratings"),
        el("tbody", {}, ...rows.map((row) => el("tr", {}, el("th", { scope: "row" }, row.name), el("td", {}, row.mean.toFixed(1)))))),
      el("div", { class: "row" }, store, again)));
    text.focus();
  }

  /* BS.1534-3, 4.1.2: who misses the reference, or takes the mid anchor for it, in over 15 % of trials does not count. */
  static screening(ratings) {
    const share = (role, wrong) => {
      const these = ratings.filter((r) => r.role === role);
      return these.length ? these.filter((r) => wrong(r.rating)).length / these.length : 0;
    };
    if (share("original", (r) => r < 90) > 0.15) {
      return "The hidden reference got less than 90 in more than 15 % of the recordings: BS.1534-3 would not count this listener.";
    }
    if (share("mid", (r) => r > 90) > 0.15) {
      return "The 7 kHz anchor got more than 90 in more than 15 % of the recordings: BS.1534-3 would not count this listener.";
    }
    return "The hidden reference was found.";
  }
}
