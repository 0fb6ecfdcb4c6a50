/** Calls of the page: lines that people carry, the state of the call, and its end. */
import type { CallState } from "../net/call.js";
import type { Codec } from "../player/codec.js";
import { clock } from "../player/dom.js";
import { Session } from "../player/session.js";

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const milliseconds = (seconds: number): string => `${Math.round(1000 * seconds)} ms`;

function described(state: CallState): string {
  const { lost, late, recovered, concealed, buffer, delay } = state;
  const ear = delay ? `, ${milliseconds(delay)} from mouth to ear` : "";
  return `${clock(state.seconds)}: ${percent(lost)} lost, ${percent(late)} too late, ` +
    `${percent(recovered)} from copies, ${percent(concealed)} concealed; ` +
    `${milliseconds(buffer)} held${ear}`;
}

export function setUpCalls(codec: Codec, rate: number): void {
  const at = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
  const [begin, join, leave, copy] = ["begin", "join", "leave", "copy"].map((id) =>
    at<HTMLButtonElement>(id)) as [
      HTMLButtonElement, HTMLButtonElement, HTMLButtonElement, HTMLButtonElement,
    ];
  const talk = at<HTMLInputElement>("talk");
  const theirs = at<HTMLTextAreaElement>("theirs");
  const ours = at<HTMLTextAreaElement>("ours");
  const [told, meters] = [at("called"), at("meters")];
  let session: Session | undefined;

  const say = (words: string, fault = false): void => {
    told.textContent = words;
    told.className = fault ? "fault" : "";
  };
  const show = (): void => {
    begin.hidden = session !== undefined;
    talk.disabled = session !== undefined;
    leave.hidden = session === undefined;
  };
  const give = (line: string): void => {
    ours.value = line;
    at("giving").hidden = !line;
  };
  const events = {
    connected(muted: string): void {
      give("");
      say(muted ? `Connected, but you are not heard: ${muted}` : "Connected");
    },
    state(state: CallState): void {
      meters.textContent = state.connected ? described(state) : "";
    },
    ended(why: string): void {
      session = undefined;
      say(why ? `Ended: ${why}` : "Ended");
      give("");
      show();
    },
  };
  const open = async (): Promise<Session> => {
    session ??= await Session.open(codec, rate, talk.checked, events);
    show();
    return session;
  };

  /** Does something to the call while its buttons wait; what goes wrong is told. */
  const doing = (button: HTMLButtonElement, work: () => Promise<void>): void => {
    button.addEventListener("click", async () => {
      begin.disabled = join.disabled = true;
      try {
        await work();
      } catch (error) {
        say(`No call: ${(error as Error).message}`, true);
      }
      begin.disabled = join.disabled = false;
    });
  };
  doing(begin, async () => {
    meters.textContent = "";
    give(await (await open()).line.offer());
    say("Bring this line to the other side, then paste its answer below");
    ours.select();
  });
  doing(join, async () => {
    meters.textContent = "";
    const answer = await (await open()).line.take(theirs.value.trim());
    theirs.value = "";
    if (answer === undefined) {
      say("Connecting…");
      return;
    }
    give(answer);
    say("Bring this answer to the other side within half a minute");
    ours.select();
  });
  copy.addEventListener("click", () => {
    ours.select();
    navigator.clipboard.writeText(ours.value).then(
      () => say("Copied"),
      () => say("Copy it with the keys: the browser does not let this page do it", true),
    );
  });
  leave.addEventListener("click", () => session?.leave());
  addEventListener("pagehide", () => session?.leave());
}
