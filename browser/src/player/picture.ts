/** Waveform and spectrogram of a sound, drawn as they become known. */
import { BANDS, type Columns } from "./engine.js";

const WAVE = 64;
const RAMP = [[0, 0, 4], [60, 15, 110], [145, 40, 120], [220, 80, 75], [250, 160, 45], [250, 250, 165]];

/** Colours of levels 0 to 255, from black over violet and orange to yellow. */
const COLOURS = Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low]!.map((from, i) => from + (RAMP[low + 1]![i]! - from) * (place - low));
});

export class Picture {
  readonly canvas = document.createElement("canvas");

  constructor() {
    this.canvas.width = 1;
    this.canvas.height = WAVE + BANDS;
    this.canvas.setAttribute("aria-hidden", "true");
  }

  add({ first, count, total, peaks, levels }: Columns): void {
    const { canvas } = this;
    if (canvas.width !== total) canvas.width = total;
    if (!count) return;
    const image = new ImageData(count, WAVE + BANDS);
    for (let x = 0; x < count; x++) {
      const top = Math.round((WAVE / 2) * (1 - Math.min(peaks[2 * x + 1]!, 1)));
      const bottom = Math.round((WAVE / 2) * (1 - Math.max(peaks[2 * x]!, -1)));
      for (let y = Math.min(top, WAVE / 2 - 1); y < Math.max(bottom, WAVE / 2); y++) {
        image.data.set([125, 184, 245, 255], 4 * (y * count + x));
      }
      for (let band = 0; band < BANDS; band++) {
        const y = WAVE + BANDS - 1 - band;
        const colour = COLOURS[levels[BANDS * x + band]!]!;
        image.data.set([...colour, 255], 4 * (y * count + x));
      }
    }
    canvas.getContext("2d")!.putImageData(image, first, 0);
  }
}
