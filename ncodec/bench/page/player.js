/* A clip: its versions as pictures to choose from, and one playing position for all. */
class Player {
  constructor(clip, index) {
    this.clip = clip;
    this.deck = new Deck(clip.seconds, () => this.show());
    this.deck.version = clip.versions[0];
    this.button = el("button", { type: "button", class: "main" }, "Play");
    this.button.addEventListener("click", () => this.toggle());
    this.slider = el("input", {
      type: "range", min: 0, max: clip.seconds, step: 0.01, value: 0, class: "seek",
      "aria-label": `Position in ${clip.name}, seconds`,
    });
    this.slider.addEventListener("input", () => this.deck.seek(Number(this.slider.value)));
    this.time = el("span", {}, "");
    const loop = el("input", { type: "checkbox", checked: true });
    loop.addEventListener("change", () => {
      const at = this.deck.position();
      this.deck.loop = loop.checked;
      if (this.deck.sounding) this.deck.seek(at);
    });
    this.radios = clip.versions.map((version, i) =>
      el("input", { type: "radio", name: `version-${index}`, checked: i === 0 }));
    const cards = clip.versions.map((version, i) => this.card(version, i));
    this.root = el("div", { class: "card player" },
      el("h3", {}, `${clip.name} (${clip.kind}${clip.why ? `, ${clip.why}` : ""})`),
      el("div", { class: "row" }, this.button, this.slider, this.time,
        el("label", {}, loop, "Loop")),
      el("fieldset", { class: "versions" },
        el("legend", {}, `Version of ${clip.name}`), ...cards));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.show();
  }

  card(version, i) {
    const radio = this.radios[i];
    radio.addEventListener("change", () => this.deck.choose(version));
    const picture = el("span", { class: "strip" },
      el("img", {
        src: `data:image/png;base64,${version.picture}`,
        alt: `Spectrogram: ${version.label}`,
      }), el("i"));
    picture.addEventListener("click", (event) => {
      event.preventDefault(); // the label would only choose: a click also goes to its place
      const box = picture.getBoundingClientRect();
      radio.checked = true;
      this.deck.choose(version);
      this.deck.seek((event.clientX - box.left) / box.width * this.clip.seconds);
    });
    const enlarge = el("button", { type: "button", class: "enlarge", "aria-label": `Enlarge: ${version.label}` }, "\u2922");
    enlarge.addEventListener("click", () => zoom.spectrogram(this.clip, version));
    return el("label", { class: "version" }, el("span", { class: "name" }, radio, version.label, enlarge), picture);
  }

  toggle() {
    if (this.deck.sounding) this.deck.pause();
    else this.deck.play();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const digit = "1234567890".indexOf(event.key);
    if (event.key === " " && event.target.tagName !== "BUTTON" && event.target.type !== "checkbox") {
      event.preventDefault();
      this.toggle();
    } else if (event.key.toLowerCase() === "e") {
      zoom.spectrogram(this.clip, this.deck.version);
    } else if (digit >= 0 && digit < this.radios.length) {
      this.radios[digit].checked = true;
      this.radios[digit].focus();
      this.deck.choose(this.clip.versions[digit]);
    }
  }

  show() {
    const at = this.deck.position();
    this.root.style.setProperty("--at", at / this.clip.seconds);
    this.button.textContent = this.deck.sounding ? "Pause" : "Play";
    this.time.textContent = `${at.toFixed(1)} / ${this.clip.seconds.toFixed(1)} s`;
    if (document.activeElement !== this.slider || this.deck.sounding) this.slider.value = at;
    if (this.deck.sounding) requestAnimationFrame(() => this.deck.sounding && this.show());
  }
}
