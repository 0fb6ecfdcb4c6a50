const WORDS = ["Bad", "Poor", "Fair", "Good", "Excellent"];

class Mushra {
  constructor(root, clips) {
    this.root = root;
    this.clips = clips;
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

  setup() {
    const settings = new Set(this.clips.flatMap((c) => c.versions.map((v) => v.setting)));
    const rates = [...settings].filter((rate) => rate !== null).sort((a, b) => a - b);
    const rate = choice("Codecs near", rates.map((r) => `${r} kbps`), Math.floor(rates.length / 2));
    const start = el("button", { type: "button", class: "main" }, "Start");
    start.addEventListener("click", () => this.begin(rates[rate.select.selectedIndex]));
    this.root.replaceChildren(el("div", { class: "card" }, el("div", { class: "row" }, rate.label, start)));
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
    const heard = new Set();
    this.deck?.pause();
    this.deck = new Deck(clip.seconds, () => mark());
    let named = null;
    const buttons = new Map();
    const mark = () => buttons.forEach((button, name) =>
      button.setAttribute("aria-pressed", String(this.deck.sounding && name === named)));
    const next = el("button", { type: "button", class: "main", disabled: true },
      number + 1 < this.pages.length ? "Next recording" : "Finish");
    const sound = (name, version) => {
      const button = el("button", { type: "button", "aria-pressed": "false" }, name);
      button.addEventListener("click", () => {
        named = name;
        this.deck.play(version);
        heard.add(version);
        next.disabled = !order.every((v) => heard.has(v));
      });
      buttons.set(name, button);
      return button;
    };
    const pause = el("button", { type: "button" }, "Pause");
    pause.addEventListener("click", () => this.deck.pause());
    const sliders = order.map((version, i) => {
      const name = `Sound ${i + 1}`;
      const output = el("output", {}, "50");
      const slider = el("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": `Rating of sound ${i + 1}` });
      slider.addEventListener("input", () => {
        output.textContent = slider.value;
        slider.setAttribute("aria-valuetext", `${slider.value}, ${WORDS[Math.min(4, Math.floor(slider.value / 20))]}`);
      });
      return { slider, line: el("div", { class: "scale" }, sound(name, version), slider, output) };
    });
    next.addEventListener("click", () => {
      order.forEach((version, i) => this.ratings.push({
        recording: clip.name, role: version.role, codec: version.codec, version: version.label,
        rating: Number(sliders[i].slider.value),
      }));
      this.deck.pause();
      if (number + 1 < this.pages.length) this.page(number + 1);
      else this.finish();
    });
    const head = el("p", { role: "status", tabIndex: -1 },
      `Recording ${number + 1} of ${this.pages.length}: ${clip.name}. Play every sound and rate it against the reference.`);
    this.root.replaceChildren(el("div", { class: "card" }, head,
      el("div", { class: "row" }, sound("Reference", clip.versions[0]), pause),
      el("div", { class: "scale" }, el("span"), el("div", { class: "words" }, ...WORDS.map((w) => el("span", {}, w))), el("span")),
      ...sliders.map((item) => item.line), el("div", { class: "row" }, next)));
    head.focus();
  }

  finish() {
    this.result = { test: "MUSHRA", date: new Date().toISOString(), rate: this.rate, ratings: this.ratings };
    const groups = new Map();
    for (const { role, codec, rating, version } of this.ratings) {
      const name = role === "codec" ? codec : version;
      groups.set(name, [...(groups.get(name) ?? []), rating]);
    }
    const rows = [...groups].map(([name, ratings]) =>
      ({ name, mean: ratings.reduce((a, b) => a + b, 0) / ratings.length })).sort((a, b) => b.mean - a.mean);
    const original = this.ratings.filter((r) => r.role === "original");
    const missed = original.filter((r) => r.rating < 90).length;
    const store = el("button", { type: "button", class: "main" }, "Save answers");
    store.addEventListener("click", () => save("mushra.json", this.result));
    const again = el("button", { type: "button" }, "New test");
    again.addEventListener("click", () => this.setup());
    const note = missed / original.length > 0.15
      ? "The hidden reference got less than 90 in more than 15 % of the recordings: BS.1534-3 would not count this listener."
      : "The hidden reference was found.";
    const text = el("p", { class: "result", role: "status", tabIndex: -1 }, note);
    this.root.replaceChildren(el("div", { class: "card" }, text,
      el("table", {}, el("caption", {}, "Mean ratings"),
        el("tbody", {}, ...rows.map((row) => el("tr", {}, el("th", { scope: "row" }, row.name), el("td", {}, row.mean.toFixed(1)))))),
      el("div", { class: "row" }, store, again)));
    text.focus();
  }
}
