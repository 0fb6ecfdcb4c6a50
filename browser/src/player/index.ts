/** The custom element `<ecdc-player>`, and what it is made of. */
export { Codec } from "./codec.js";
export type { ModelSource, Summary } from "./engine.js";
export { Playback } from "./playback.js";
export { definePlayer, Player, useModel } from "./player.js";
