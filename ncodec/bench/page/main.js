const { clips, page } = JSON.parse(document.getElementById("data").textContent);

for (const figure of document.querySelectorAll("figure.zooms")) {
  figure.addEventListener("click", () => zoom.plot(figure));
}

for (const box of document.querySelectorAll(".legend input")) {
  box.addEventListener("change", () => {
    for (const series of document.querySelectorAll(".series")) {
      if (series.dataset.codec === box.dataset.codec) series.style.display = box.checked ? "" : "none";
    }
  });
}

/* For the browser's console, and for tests. */
window.report = {
  players: clips.map((clip, i) => new Player(clip, i)),
  abx: clips.length ? new Abx(document.getElementById("abx-test"), clips, page) : null,
  mushra: clips.length ? new Mushra(document.getElementById("mushra-test"), clips, page) : null,
};
document.getElementById("players").append(...window.report.players.map((player) => player.root));
