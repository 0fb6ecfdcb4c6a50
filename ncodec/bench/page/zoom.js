/* One dialog for what is too small on the page: plots, and spectrograms with their axes. */
const zoom = {
  open(...children) {
    const dialog = document.getElementById("zoom");
    const close = el("button", { type: "button" }, "Close");
    close.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(el("div", { class: "row" }, close), ...children);
    dialog.showModal();
  },
  plot(figure) {
    zoom.open(el("h3", {}, figure.querySelector("figcaption").textContent), figure.querySelector("svg").cloneNode(true));
  },
  spectrogram(clip, version) {
    const parts = [el("h3", {}, `${clip.name}: ${version.label}`),
      zoom.chart(clip, version.picture, "Level in mel bands"),
      el("p", {}, "-80", el("span", { class: "ramp level" }), "0 dB full scale")];
    if (version.difference) {
      parts.push(zoom.chart(clip, version.difference, "Difference to the original"),
        el("p", {}, "-20 (missing)", el("span", { class: "ramp off" }), "+20 dB (added)"));
    }
    zoom.open(...parts);
  },
  chart(clip, picture, title) {
    const place = (hz) => `${100 * hz}%`;
    const names = clip.ticks.map(([hz, at]) => el("span", { style: `bottom: ${place(at)}` }, `${hz / 1000} kHz`));
    const lines = clip.ticks.map(([, at]) => el("hr", { style: `bottom: ${place(at)}` }));
    const times = [0, 0.25, 0.5, 0.75, 1].map((part) => el("span", {}, `${(clip.from + part * clip.seconds).toFixed(1)} s`));
    return el("figure", { class: "chart" },
      el("div", { class: "hz" }, ...names),
      el("div", { class: "field" }, el("img", { src: `data:image/png;base64,${picture}`, alt: title }), ...lines),
      el("div", { class: "time" }, ...times));
  },
};
